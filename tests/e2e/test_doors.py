"""What other users of the machine, apps and clients get of a running mesh when they try."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import httpx
import psutil
import pytest

from .conftest import StartGateway
from .gateway import Gateway, meshctl_process
from .sidecar import Wrapped
from .somebody import NOBODY, folder, somebody
from .waiting import until


@pytest.fixture
def reachable() -> Iterator[Path]:
    """A folder that every user of the machine can enter, unlike those of pytest."""
    folder = Path(tempfile.mkdtemp(prefix="mx-", dir="/tmp"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def as_nobody(*command: object) -> subprocess.CompletedProcess[str]:
    """What a command of another user comes to."""
    return as_user(NOBODY, *command)


def as_user(user: int, *command: object) -> subprocess.CompletedProcess[str]:
    """What a command comes to as a user's."""
    words = list(map(str, command))
    return subprocess.run(
        words, user=user, group=user, extra_groups=[], capture_output=True, text=True, check=False, timeout=60
    )


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another user")
def test_another_user(start_gateway: StartGateway, reachable: Path) -> None:
    """Another user can neither enter the home nor ask the admin socket, and still cannot where its permissions were
    loosened; of the admin address it sees health and metrics. A command refuses the loosened home, and says why."""
    home = reachable / "home"
    gateway = start_gateway("--route", "/=http://127.0.0.1:9", home=home)
    ask = ("curl", "-sS", "--max-time", "50", "--unix-socket", home / "run" / "gateway.sock", "http://x/v1/status")
    assert as_nobody("ls", home).returncode != 0
    assert as_nobody(*ask).returncode == 7  # not connected
    (home / "run" / "gateway.sock").chmod(0o777)
    (home / "run").chmod(0o755)
    home.chmod(0o755)
    assert as_nobody("ls", home).returncode == 0
    told = as_nobody(*ask)
    assert (told.returncode != 0, told.stdout) == (True, "")
    assert '"state"' in subprocess.run(list(map(str, ask)), capture_output=True, text=True, check=True).stdout
    refused = gateway.meshctl("status")
    assert (refused.status, "is open to other users (mode 0755)" in refused.err) == (1, True)
    assert "chmod 700" in refused.err
    home.chmod(0o700)
    told = as_nobody("curl", "-sS", "--max-time", "50", f"{gateway.admin}/metrics")
    assert "meshctl_revision" in told.stdout
    assert as_nobody("curl", "-sS", "-f", "--max-time", "50", f"{gateway.admin}/v1/routes").returncode == 22


APP = """
import os
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), SimpleHTTPRequestHandler).serve_forever()
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be other users")
def test_other_users_at_the_ports_of_an_app(http: httpx.Client) -> None:
    """By the ports at which a wrapped app reaches the mesh, its own user and root reach it; another user is told
    nothing, is counted and told of, by its number."""
    with folder() as mine:
        words = ("--service", "web", "--upstream", "web")
        app = Wrapped(mine / "home", mine / "said", words, (sys.executable, "-c", APP), before=somebody())
        try:
            app.until_registered()
            proxy, own = f"http://{app.address('proxy')}", f"http://{app.address('upstream:web')}/"
            for how in (("--proxy", proxy, "http://web/"), ("--noproxy", "*", own)):
                asked = ("curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}", "--max-time", "30", *how)
                for user, status in ((NOBODY, "200"), (0, "200"), (NOBODY - 1, "000")):
                    ended = as_user(user, *asked)
                    assert ended.stdout == status, (user, how, ended.stderr)
            line = 'meshctl_refusals_total{reason="not_the_app"} 2.0'
            # What workers have counted comes together in the supervisor, after a while.
            until(lambda: line in http.get(f"http://{app.address('admin')}/metrics").text, "the count")
            (told,) = (line for line in app.events().splitlines() if " not_the_app " in line)
            assert f"user={NOBODY - 1}" in told
            app.check()
        finally:
            app.kill()


MESH = """
[gateway.access_log]
path = "access.log"
[tracing]
endpoint = "http://127.0.0.1:9"
headers_file = "otlp"
sample = "100%"
[auth.asked.introspection]
url = "http://127.0.0.1:9/introspect"
client_id = "me"
client_secret_file = "secret"
[auth.key.api_key]
header = "x-api-key"
[[routes]]
name = "keyed"
path = "/keyed"
service = "orders"
auth = { any = ["key", "asked"] }
[[routes]]
name = "all"
path = "/"
service = "orders"
request_headers = { set = { authorization = "Bearer CANARY-set" } }
[services.orders]
endpoints = ["127.0.0.1:9"]
command = "TOKEN=CANARY-command python app.py --password CANARY-option"
"""
SHOWN = (
    "status -o json", "gateway status -o json", "routes ls -o json", "routes explain GET /x -H x-api-key:CANARY-typed",
    "services show orders -o json", "stat -o json", "edges -o json", "diff", "config history -o json", "logs -o json",
    "doctor -o json", "metrics show", "traffic history",
)  # fmt: skip
TAPS = ("tap", "tap -o json", "tap orders --hops --header user-agent -o json")
SENT = (
    ("/x?api_key=CANARY-query", {"cookie": "s=CANARY-cookie", "x-auth-token": "CANARY-header"}),
    ("/x", {"authorization": "Basic Q0FOQVJZOkNBTkFSWQ==", "referer": "http://a/?t=CANARY-referer"}),
    ("/keyed?access_token=CANARY-query", {"authorization": "Bearer CANARY-bearer"}),
    ("/keyed", {"x-api-key": "mk_CANARY-key"}),
    ("/shown?q=CANARY-query", {"referer": "http://a/?t=CANARY-referer", "x-original-url": "/?t=CANARY-original"}),
    ("/keyed", {"authorization": "Basic CANARY-basic", "proxy-authorization": "Basic CANARY-proxy"}),
)


@contextmanager
def tapped(gateway: Gateway, http: httpx.Client, folder: Path) -> Iterator[dict[str, Path]]:
    """What each of `TAPS` shows meanwhile, in files; they end with the block, once they have shown all of it."""
    files = {words: folder / f"tap {number}" for number, words in enumerate(TAPS)}

    def until_shown(path: str) -> None:
        def is_shown() -> bool:
            assert [each.poll() for each in taps] == [None] * len(taps), [each.read_text() for each in files.values()]
            http.get(f"{gateway.url}{path}")
            return all(path in each.read_text() for each in files.values())

        until(is_shown, f"every tap to show {path}", every=0.1, timeout=60)

    with ExitStack() as stack:
        taps = []
        for words, path in files.items():
            sink = stack.enter_context(path.open("wb"))
            taps.append(meshctl_process(gateway.home, *words.split(), stdout=sink, stderr=sink))
            stack.callback(taps[-1].wait)
            stack.callback(taps[-1].kill)
        until_shown("/first")
        yield files
        until_shown("/last")


def test_secrets_are_told_to_nobody(
    start_gateway: StartGateway, http: httpx.Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What clients prove themselves with, what stands in files for secrets and in the environment, and the headers and
    commands of mesh.toml are in no answer, log, metric, view, tap, bundle or command line."""
    monkeypatch.setenv("MESHCTL_REDIS_PASSWORD", "CANARY-environment")
    for name, text in (("secret", "CANARY-file"), ("otlp", "authorization: Bearer CANARY-otlp"), ("mesh.toml", MESH)):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o600)
    gateway = start_gateway("-c", tmp_path / "mesh.toml")
    told = {}
    with tapped(gateway, http, tmp_path) as taps:
        for number, (target, headers) in enumerate(SENT):
            told[f"answer {number}"] = http.get(f"{gateway.url}{target}", headers=headers).text
    for words, path in taps.items():
        told[words] = path.read_text()
        assert told[words].count("/keyed?…") == 1 and told[words].count("/shown?…") == 1, told[words]
        assert ("[redacted]" in told[words]) == ("json" in words)
    for words in SHOWN:
        ended = gateway.meshctl(*words.split())
        told[words] = ended.out + ended.err
    assert all(told.values()), [name for name, text in told.items() if not text]
    assert gateway.meshctl("doctor", "--bundle", tmp_path / "bundle.tgz").status in (0, 1)
    with tarfile.open(tmp_path / "bundle.tgz") as archive:
        for member in archive:
            found = archive.extractfile(member)
            assert found is not None
            told[f"bundle {member.name}"] = found.read().decode()
    told["metrics"] = http.get(f"{gateway.admin}/metrics/mesh").text
    own = psutil.Process(gateway.process.pid)
    for process in (own, *own.children(recursive=True)):
        with suppress(psutil.NoSuchProcess):
            told[f"command line {process.pid}"] = " ".join(process.cmdline())
    gateway.check()
    for path in (gateway.out, gateway.err, tmp_path / "access.log"):
        told[path.name] = path.read_text()
    assert "/keyed" in told["access.log"]
    assert [name for name, text in told.items() if "CANARY" in text] == []
