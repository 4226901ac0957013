"""Every example that a help text ends with is typed into a running mesh, and does what it says.

An example that needs something finds it: a key, a serial, a second configuration. One that never ends by itself, or
changes the machine, is not typed, and the reason stands here.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest

from meshctl.cli.app import build, run
from meshctl.control.acks import proxies
from meshctl.sidecar.team_record import read
from meshctl.store.home import Home
from meshctl.store.sqlite import SqliteStore

from .waiting import PATIENCE

APP = Path(__file__).with_name("wrapped_app.py")
GATEWAY = '[mesh]\nname = "shop"\n[gateway]\nlisten = ["127.0.0.1:0"]\nadmin = "localhost:0"\naccess_log = "off"\n'
MESH = f"""{GATEWAY}
[[routes]]
name = "orders"
path = "/v1/orders"
service = "orders"
timeout = "TIMEOUT"
quotas = {{ name = "month-per-key", limit = 1000, per = "month", by = "client_ip" }}
[[routes]]
name = "api"
path = "/api"
api = "orders"
service = "orders"
[api.orders.versions.v1]
deprecated = 2026-01-01
[[routes]]
name = "all"
path = "/"
service = "web"
[services.web]
command = "{sys.executable} {APP}"
[services.orders.versions.v1]
command = "{sys.executable} {APP}"
[services.orders.versions.v2]
endpoints = ["127.0.0.1:1"]
weight = 0
[services.orders.versions.v3]
endpoints = ["127.0.0.1:1"]
weight = 0
"""
OPENAPI = """
openapi: 3.0.3
info: { title: Orders, version: "1" }
paths:
  /orders:
    get: { responses: { "200": { description: all of them } } }
"""

ENDLESS = "runs until Ctrl-C"
FOLLOWS = "follows a rollout to its end, which takes minutes; test_rollout.py does"
MACHINE = "changes what the machine or its browsers trust; test_certs.py does that in a folder"
NOT_TYPED = {
    "meshctl demo": ENDLESS,
    "meshctl demo --for 10s": "takes its ten seconds; tests/cli/test_demo.py runs it",
    "meshctl init --template mesh && meshctl up": ENDLESS,
    "meshctl up": ENDLESS,
    "meshctl up web": ENDLESS,
    "meshctl down --timeout 10": "there is one mesh to end, which `meshctl down` does",
    "meshctl gateway up --route /=http://127.0.0.1:8000": ENDLESS,
    "meshctl gateway up --route /api=http://127.0.0.1:9000/v2 --route /=http://127.0.0.1:8000 -l 127.0.0.1:0": ENDLESS,
    "meshctl gateway logs -f -n 100": ENDLESS,
    "meshctl sidecar wrap --service orders -- python app.py": ENDLESS,
    "meshctl sidecar wrap --service web --upstream orders -- node server.js": ENDLESS,
    "meshctl sidecar wrap --service web --intercept -- node server.js": ENDLESS,
    "meshctl sidecar wrap --port 8000 --restart on-failure -- uvicorn shop:app --port 8000": ENDLESS,
    "meshctl sidecar wrap --service report --upstream db:tcp=5432 -- sh -c 'psql -h localhost -f report.sql'": (
        "needs a database; test_wrap.py has such a port"
    ),
    "meshctl traffic rollout orders --to v2": FOLLOWS,
    "meshctl traffic rollout orders --to v2 --steps 5,50 --every 30s --max-errors 0.5% --max-p99 300ms": FOLLOWS,
    "meshctl traffic rollout orders": FOLLOWS,
    "meshctl tap": ENDLESS,
    "meshctl tap orders --status 5xx --slow 200ms": ENDLESS,
    "meshctl tap --from web --to orders/v2 --path /v1": ENDLESS,
    "meshctl tap orders --lines 1 -o json": "waits for a request; test_looking.py sends them",
    "meshctl top": ENDLESS,
    "meshctl top orders --sort worst": ENDLESS,
    "meshctl top --status 5xx --for 10s -o json": "takes its ten seconds; test_looking.py looks for less long",
    "meshctl logs orders gateway --follow": ENDLESS,
    "meshctl certs trust install": MACHINE,
    "meshctl certs trust install --store nss": MACHINE,
    "meshctl certs trust uninstall": MACHINE,
}

DETACHED_TEAM = "meshctl up -c mesh.toml --detach"
DETACHED = "meshctl gateway up -c mesh.toml --detach"
ROLLOUT = "meshctl traffic rollout orders --to v2 --compare-to baseline --rollback ramp --detach"
# What is typed before an example, for it to have what it is about.
BEFORE = {
    "meshctl apply -c staging/mesh.toml --expect 4": [
        "meshctl apply -c staging/mesh.toml",
        "meshctl apply -c mesh.toml",
        "meshctl apply -c other.toml",
    ],
    "meshctl traffic promote orders": [ROLLOUT],
    ROLLOUT: ["meshctl traffic reset orders"],
}
# How an example ends where that is not with 0.
ENDS = {
    "meshctl diff -c staging/mesh.toml --exit-code": {1},
    # A busy machine may take longer than that.
    "meshctl gateway down --timeout 5": {0, 1},
    # The machine that tests run on may have something to find.
    "meshctl doctor": {0, 1},
    "meshctl doctor -o json": {0, 1},
    "meshctl doctor --bundle report.tar.gz": {0, 1},
    # Endpoints of the mesh are only written down, and a busy machine may keep a proxy from answering in a second.
    "meshctl status": {0, 1},
    "meshctl status -o json": {0, 1},
    "meshctl status --timeout 5s": {0, 1},
}
# These need a folder without a mesh.
EMPTY = [
    "meshctl init",
    "meshctl init --template canary",
    "meshctl init --from-openapi api.yaml --url http://127.0.0.1:8000",
    "meshctl certs init --offline-root /media/stick",
]
# These need a gateway in the background, and nothing else.
ALONE = [DETACHED, "meshctl gateway logs", "meshctl gateway down --timeout 5"]
# In this order they end a mesh.
LAST = ["meshctl gateway down", "meshctl down"]


def tree(command: Any) -> Iterator[Any]:
    """Every command and group under `command`."""
    yield command
    for sub in getattr(command, "commands", {}).values():
        yield from tree(sub)


EXAMPLES = list(dict.fromkeys(line for each in tree(build()) for line in (each.epilog or "").splitlines()))
TYPED = [line for line in EXAMPLES if line not in {*NOT_TYPED, *EMPTY, *ALONE, DETACHED_TEAM, *LAST}]


@dataclass
class Terminal:
    """A folder in which lines are typed, and what became of them."""

    folder: Path
    failures: dict[str, str] = field(default_factory=dict)

    def make(self, text: str) -> Terminal:
        """Put the files into the folder that examples name."""
        (self.folder / "staging").mkdir(parents=True)
        for name, timeout in (("mesh.toml", "2s"), ("staging/mesh.toml", "3s"), ("other.toml", "4s")):
            (self.folder / name).write_text(text.replace("TIMEOUT", timeout))
        return self

    def type(self, line: str) -> None:
        """Type a line, after those that it needs, and remember it if it does not end as it should."""
        for needed in BEFORE.get(line, ()):
            self.type(needed)

        os.chdir(self.folder)
        words, target = self.words(line)
        deadline = time.monotonic() + PATIENCE
        while True:
            status, out, err = self.run(words)
            # A proxy that did not answer in time on a busy machine is asked again.
            if status != 1 or not re.search("did not answer|has not answered", err) or time.monotonic() > deadline:
                break
        if status not in ENDS.get(line, {0}) or "Traceback" in err:
            self.failures[line] = f"ended with {status}: {err or out}"
        if target:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(out)

    def run(self, words: list[str]) -> tuple[int, str, str]:
        """Run a command line: status, stdout, stderr. What goes on in the background is not to be a part of us."""
        if "--detach" in words and "rollout" not in words:
            done = subprocess.run(
                [sys.executable, "-m", "meshctl", *words], capture_output=True, text=True, timeout=150, check=False
            )
            return done.returncode, done.stdout, done.stderr
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            status = run(words)
        return status, out.getvalue(), err.getvalue()

    def words(self, line: str) -> tuple[list[str], Path | None]:
        """The words of a line as a shell would pass them on, and the file that their output goes to."""
        lexer = shlex.shlex(line.removeprefix("source <(").removesuffix(")"), posix=True, punctuation_chars=">")
        lexer.whitespace_split = True
        first, *words = (self.meant(word) for word in lexer)
        assert first == "meshctl", line
        if ">" in words:
            at = words.index(">")
            return words[:at], self.folder / words[at + 1]
        return words, None

    def meant(self, word: str) -> str:
        """What stands for a word here: ids and serials are others in every mesh."""
        if word == "orders-v1-0a1b2c":
            return next(each["id"] for each in self.asked("sidecar", "ls") if each["service"] == "orders")
        if word == "mk_1f0c3a9e":
            return str(self.asked("keys", "create", "--owner", "acme")["id"])
        if word == "5e0f27de6db0664c":
            return next(each["serial"] for each in self.asked("certs", "ls") if each["subject"] == "laptop")
        if word == "/media/stick":
            (self.folder / "stick").mkdir()
            return str(self.folder / "stick")
        return str(Path(word).expanduser()) if word.startswith("~/") else word

    def asked(self, *words: str) -> Any:
        """The document that a command answers with."""
        status, out, err = self.run([*words, "-o", "json"])
        assert status == 0, err
        return json.loads(out)

    def kill(self) -> None:
        """End what is left in the background, where a line failed that should have."""
        os.chdir(self.folder)
        found = read(Home(self.folder / ".meshctl"))
        pids = [found.up.pid] if found is not None and found.up.is_running else []
        status, out, _ = self.run(["gateway", "status", "-o", "json"])
        pids += [each["pid"] for each in json.loads(out)] if status == 0 else []
        for pid in pids:
            with contextlib.suppress(psutil.NoSuchProcess):
                process = psutil.Process(pid)
                for each in (*process.children(recursive=True), process):
                    each.kill()


@pytest.fixture
def terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Terminal]:
    """A terminal in a folder with a mesh.toml, of a user who has nothing else."""
    user = tmp_path / "user"
    user.mkdir()
    (user / "root.pass").touch(mode=0o600)
    (user / "root.pass").write_text("correct horse battery staple")
    monkeypatch.setenv("HOME", str(user))
    monkeypatch.setenv("XDG_STATE_HOME", str(user / "state"))
    monkeypatch.delenv("MESHCTL_HOME", raising=False)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [os.getcwd(), *sys.path])))
    # The test goes to other folders; it comes back.
    monkeypatch.chdir(tmp_path)
    made = Terminal(tmp_path / "shop")
    yield made
    made.kill()


def test_what_is_said_of_examples_is_about_examples() -> None:
    """No reason or need stands here for an example that is no more."""
    assert {*NOT_TYPED, *BEFORE, *ENDS, *EMPTY, *ALONE, DETACHED_TEAM, *LAST} <= set(EXAMPLES)
    assert len(TYPED) > 100


@pytest.mark.timeout(900)
def test_examples_in_a_running_mesh(terminal: Terminal) -> None:
    """Each example that is about a mesh works in one that runs, in the order in which the help texts have them."""
    terminal.make(MESH).type(DETACHED_TEAM)
    (terminal.folder / "chain.pem").symlink_to("localhost.crt")
    (terminal.folder / "rootfs" / "usr" / "local" / "share" / "ca-certificates").mkdir(parents=True)
    assert terminal.failures == {}
    check_admin(terminal)
    for line in (*TYPED, *LAST):
        terminal.type(line)
    assert terminal.failures == {}


def check_admin(terminal: Terminal) -> None:
    """The address that the configuration has for /metrics is the gateway's alone; each sidecar has a free port."""
    with closing(SqliteStore(terminal.folder / ".meshctl" / "mesh.db")) as store:
        found = sorted((each.role, each.admin.rpartition(":")[0]) for each in proxies(store))
    sidecar = ("sidecar", "http://127.0.0.1")
    assert found == [("gateway", "http://localhost"), sidecar, sidecar]


def test_examples_without_a_mesh(terminal: Terminal, tmp_path: Path) -> None:
    """Each example that begins something works in an empty folder."""
    failures = {}
    for index, line in enumerate(EMPTY):
        fresh = Terminal(tmp_path / f"empty{index}")
        fresh.folder.mkdir()
        (fresh.folder / "api.yaml").write_text(OPENAPI)
        fresh.type(line)
        failures |= fresh.failures
    terminal.folder.mkdir()
    assert failures == {}


def test_examples_about_the_background(terminal: Terminal) -> None:
    """Each example that starts or ends something in the background does."""
    terminal.make(GATEWAY + '[[routes]]\nrespond = { status = 204 }\ntimeout = "TIMEOUT"\n')
    for line in ALONE:
        terminal.type(line)
    assert terminal.failures == {}
