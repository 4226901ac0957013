"""How `sidecar wrap` ends: as the app does, whatever the app does; and what it says where it cannot even begin."""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import httpx
import psutil
import pytest

from meshctl.control.acks import register
from meshctl.control.discovery import machine
from meshctl.model.views import ProxyRecord
from meshctl.store.home import open_home
from meshctl.store.sqlite import SqliteStore

from .gateway import Ended, is_alive, meshctl, meshctl_process
from .sidecar import Wrapped
from .waiting import until

APP = Path(__file__).with_name("wrapped_app.py")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The mesh of this module."""
    return tmp_path_factory.mktemp("mesh") / "home"


def wrapped(home: Path, *arguments: object, said: bytes = b"") -> Ended:
    """What came of `sidecar wrap ARGUMENTS`, with `said` on its stdin."""
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "stdin": subprocess.PIPE}
    process = meshctl_process(home, "sidecar", "wrap", *arguments, **options)
    out, err = process.communicate(said, timeout=60)
    return Ended(process.returncode, out.decode(), err.decode())


@pytest.mark.parametrize(("script", "status"), [("exit 7", 7), ("kill -9 $$", 137)])
def test_a_job_ends_when_it_ends(script: str, status: int, home: Path) -> None:
    """A job that never listens ends with its own code, or 128 and the number of a signal, and no word of trouble."""
    ended = wrapped(home, "--service", "job", "--", "sh", "-c", script)
    assert (ended.status, ended.out) == (status, "")
    assert len(ended.err.splitlines()) == 1, ended.err


def test_the_streams_are_the_apps(home: Path) -> None:
    """stdin reaches the app, megabytes of its stdout and stderr come out as they were, and `--quiet` adds nothing."""
    script = "cat; head -c 3000000 /dev/zero | tr '\\0' e >&2; head -c 3000000 /dev/zero | tr '\\0' o"
    ended = wrapped(home, "-q", "--service", "noisy", "--", "sh", "-c", script, said=b"hello\n")
    assert ended.status == 0
    assert ended.out == "hello\n" + "o" * 3_000_000
    assert ended.err == "e" * 3_000_000


def test_the_apps_options_are_its_own(home: Path) -> None:
    """What follows the command belongs to it, without `--` too."""
    ended = wrapped(home, "--service", "echo", "echo", "--service", "x", "-q")
    assert (ended.status, ended.out) == (0, "--service x -q\n"), ended.err


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (("nosuchcommand",), 127, 'command not found: "nosuchcommand"'),
        (("--", "./nosuchfile"), 127, 'command not found: "./nosuchfile"'),
        (("--service", "s", "--", "/etc/passwd"), 126, '"/etc/passwd" cannot be run: permission denied'),
        (("--service", "Shop", "true"), 2, '"Shop" is no name for a service: expected a DNS label'),
        (("--service", "gateway", "true"), 2, "the gateway's own name"),
        (("python",), 2, "give it with --service NAME"),
        (("--version", "V 1", "true"), 2, '"V 1" is no name for a version'),
        (("--upstream", "x:udp", "true"), 2, '"x:udp" is no upstream'),
        (("--upstream", "a-b", "--upstream", "a_b", "true"), 2, "is no upstream"),
        (("--upstream", "x", "--upstream", "x:tcp", "true"), 2, "in the same variables"),
        (("--restart", "sometimes", "true"), 2, "expected one of no, on-failure, always"),
        (("--grace", "soon", "true"), 2, '--grace "soon"'),
        (("--health", "healthz", "true"), 2, "did you mean /healthz?"),
        (("--gateway", "80", "true"), 2, '--gateway "80"'),
        (("--port", "70000", "true"), 2, "70000"),
        ((), 2, "COMMAND"),
    ],
)
def test_what_cannot_be_meant(arguments: tuple[str, ...], status: int, said: str, home: Path) -> None:
    """A command that cannot run ends as under a shell, options that cannot be meant with 2; each says what is wrong."""
    in_process = status == 2
    ended = meshctl(home, "sidecar", "wrap", *arguments) if in_process else wrapped(home, *arguments)
    assert (ended.status, said in ended.err) == (status, True), ended.err


def test_versions_to_choose_from(home: Path, tmp_path: Path) -> None:
    """Where the service has several versions, none is taken silently."""
    file = tmp_path / "mesh.toml"
    file.write_text("routes = []\n[services.many.versions.v1]\n[services.many.versions.v2]\n")
    assert meshctl(home, "apply", "-c", file).status == 0
    ended = meshctl(home, "sidecar", "wrap", "--service", "many", "true")
    assert (ended.status, "has several versions: v1, v2" in ended.err) == (2, True), ended.err


def test_what_was_chosen_is_told(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that nobody gave, a proxy of the user's that is replaced, a configuration that is not in force, and a
    version that gets no requests are told."""
    (tmp_path / "mesh.toml").write_text("routes = []\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HTTP_PROXY", "http://proxy.example:3128")
    told = _remarks(tmp_path / "new", ("true",))
    assert 'wrapped as service "true"; --service names it otherwise' in told
    assert "$HTTP_PROXY is the sidecar now and not what it was; --no-proxy-env leaves it" in told
    assert f"{tmp_path / 'mesh.toml'} is not applied: run `meshctl apply` to have the mesh follow it" in told
    (tmp_path / "mesh.toml").write_text("routes = []\n[services.shop.versions.v1]\n")
    assert meshctl(tmp_path / "new", "apply").status == 0
    (told,) = _remarks(tmp_path / "new", ("true",), service="shop", version="v2", has_proxy=False)
    assert told.startswith("shop v2 has no weight in the configuration; `meshctl traffic shift shop v2=10`")
    assert _remarks(tmp_path / "new", ("true",), service="shop", version="v1", has_proxy=False) == []


def _remarks(home: Path, command: tuple[str, ...], *, has_proxy: bool = True, **typed: str) -> list[str]:
    from meshctl.sidecar.starting import WrapOptions, prepare
    from meshctl.sidecar.wrapper import Wrapping

    told: list[str] = []
    prepare(WrapOptions(open_home(home), Wrapping(command, has_proxy=has_proxy), **typed), told.append)
    return told


def test_logs_of_former_runs(tmp_path: Path) -> None:
    """The access logs of an app's last runs are kept, older ones dropped; those of other apps are left alone, and
    so are those of runs that have not ended."""
    home = tmp_path / "home"
    logs = open_home(home).logs
    for number in range(20):
        file = logs / f"old-default-{number:06x}.log"
        file.write_text("")
        os.utime(file, (number, number))
    others = [logs / "old-default-extra-000000.log", logs / "older-default-000000.log"]
    for each in others:
        each.write_text("")
        os.utime(each, (0, 0))
    running = ProxyRecord("old-default-000003", "sidecar", os.getpid(), 0.0, "/nowhere", machine=machine())
    with closing(SqliteStore(open_home(home).database)) as store:
        register(store, running, store.grant(600))
    assert wrapped(home, "--service", "old", "true").status == 0
    kept = {each.name for each in logs.glob("old-default-0000*.log")}
    assert kept == {f"old-default-{number:06x}.log" for number in (3, *range(10, 20))}
    assert all(each.exists() for each in others)


def test_a_taken_port(home: Path) -> None:
    """A port on which somebody listens is refused with who that is, and nothing is started."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = wrapped(home, "--port", port, "--service", "taken", "--", "echo", "started")
    assert (ended.status, ended.out) == (1, "")
    assert f"port {port} is taken by" in ended.err
    assert f"process {os.getpid()}" in ended.err


@pytest.fixture
def app(home: Path, tmp_path: Path) -> Iterator[Wrapped]:
    """A stubborn app that ends only when it is killed, soon after it was asked."""
    made = Wrapped(home, tmp_path, ("--service", "stub", "--grace", "0.3s"), (sys.executable, APP, "stubborn", "tell"))
    try:
        yield made.until_registered()
    finally:
        made.kill()


def test_an_app_that_will_not_end_is_killed(app: Wrapped) -> None:
    """An app that takes no notice of SIGTERM is killed after the grace."""
    began = time.monotonic()
    assert app.end() == 137
    assert time.monotonic() - began >= 0.3
    assert app.out.read_text() == "SIGTERM\n"


def test_impatience(home: Path, tmp_path: Path) -> None:
    """The first Ctrl-C waits for requests in flight, the second does not, the third reaches the app once more, and the
    fourth kills it."""
    app = Wrapped(home, tmp_path, ("--service", "slow", "--grace", "1h"), (sys.executable, APP, "stubborn", "tell"))
    try:
        app.until_registered()
        own = f"http://{app.address('proxy')}"
        until(
            lambda: httpx.get("http://slow/x", proxy=own, timeout=60).status_code == 200, "its own proxy to know of it"
        )
        with ThreadPoolExecutor(1) as pool:
            asked = pool.submit(httpx.get, "http://slow/held/x", proxy=own, timeout=110)
            until(lambda: _holding(app), "the request to arrive")
            app.process.send_signal(signal.SIGINT)
            until(lambda: app.registration() is None, "it to be withdrawn")
            assert (app.out.read_text(), asked.done()) == ("", False)
            for times in (1, 2):
                app.process.send_signal(signal.SIGINT)
                until(lambda: app.out.read_text() == times * "SIGINT\n", "the signal")  # noqa: B023
            app.process.send_signal(signal.SIGINT)
            assert app.process.wait(60) == 137
            assert asked.result(60).status_code >= 500
    finally:
        app.kill()


def _holding(app: Wrapped) -> list[str]:
    return list(httpx.get(f"http://127.0.0.1:{app.port}/holding", trust_env=False, timeout=30).json()["holding"])


def test_a_process_that_stays_behind(home: Path) -> None:
    """An app that forks itself away has ended: what it left is ended too, and that is told."""
    ended = wrapped(home, "--service", "forks", "--", "sh", "-c", "sleep 1000 & echo $!")
    assert ended.status == 0
    assert "app_left_processes" in ended.err
    until(lambda: not is_alive(int(ended.out)), "it to be gone")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_ended_before_it_began(number: signal.Signals, home: Path) -> None:
    """Ended while its proxy still starts, it ends with 128 and the signal's number, has started nothing and says
    nothing."""
    process = until(lambda: _stopped_early(home), "a wrapper that has not come far")
    process.send_signal(number)
    process.send_signal(signal.SIGCONT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) in {(128 + number, b"", b""), (-number, b"", b"")}


def _stopped_early(home: Path) -> subprocess.Popen[bytes] | None:
    """A wrapper that stands still while it loads what it needs; None where it was quicker than whoever stops it, which
    on a busy machine may be late."""
    process = meshctl_process(home, "sidecar", "wrap", "--service", "early", "--", "echo", "started",
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE)  # fmt: skip

    def is_ours() -> bool:
        with open(f"/proc/{process.pid}/cmdline", "rb") as file, open(f"/proc/{process.pid}/maps", "rb") as maps:
            return b"meshctl.sidecar.process" in file.read() and b"msgspec" in maps.read()

    until(lambda: process.poll() is not None or is_ours(), "the wrapper to begin")
    process.send_signal(signal.SIGSTOP)
    if process.poll() is None:
        until(lambda: psutil.Process(process.pid).status() == psutil.STATUS_STOPPED, "it to stand still")
        # What it says, and that it has started its app, it tells as soon as its proxy is ready.
        if not select.select([process.stdout, process.stderr], [], [], 0.2)[0]:
            return process
    process.kill()
    process.communicate()
    return None


def test_files_beside_the_app_are_not_ours(home: Path, tmp_path: Path) -> None:
    """In a folder with files that are called like Python's own modules, the app is wrapped as anywhere else."""
    for name in ("queue", "signal", "types", "socket", "msgspec"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('the wrong one')")
    words = ["--home", str(home), "sidecar", "wrap", "--service", "beside", "--", "sh", "-c", "echo well; exit 3"]
    # As the installed command does, and unlike `python -m`, without the working directory among Python's own.
    environ = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, [os.getcwd(), *sys.path]))}
    ended = subprocess.run(
        [sys.executable, "-P", "-m", "meshctl", *words],
        cwd=tmp_path,
        env=environ,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ended.returncode, ended.stdout) == (3, "well\n"), ended.stderr
