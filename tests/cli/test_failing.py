"""How commands fail: what they say on stderr, what status they end with, and that nothing of it reaches stdout."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest

from meshctl.cli import app
from meshctl.cli.session import Session
from meshctl.errors import EXIT_STATUS, MeshError

from .conftest import Meshctl, command


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["gatewy"], 2, "did you mean 'gateway'"),
        (["gateway", "up", "--lisen", ":0"], 2, "--lisen"),
        (["gateway", "up", "--workers", "many"], 2, '"many" is not a number of workers'),
        (["gateway", "up", "--route", "nonsense"], 2, "expected PATH=URL"),
        (["config", "history", "-n", "0"], 2, "0 is not in the range"),
        (["routes", "explain", "GET", "/", "-H", "nonsense"], 2, '"nonsense" is not a header'),
        (["routes", "ls", "-o", "yaml"], 2, "'yaml' is not one of"),
        (["init", "--template", "nonsense"], 2, "nonsense"),
        (["demo", "--for", "soon"], 2, '"soon" is no duration'),
        (["validate", "absent.toml"], 3, "absent.toml: no such file"),
        (["validate"], 4, "there is no mesh.toml here"),
        (["apply", "shop.toml"], 2, "hint: meshctl apply -c shop.toml"),
        (["gateway", "up", "shop.toml"], 2, "hint: meshctl gateway up -c shop.toml"),
        (["apply", "orders"], 2, "hint: meshctl apply --help"),
        (["status", "shop.toml"], 2, "hint: meshctl status --help"),
        (["gateway", "up"], 4, "meshctl init"),
        (["status"], 4, "nothing runs"),
        (["status", "--timeout", "soon"], 2, "--timeout"),
        (["gateway", "status"], 4, "nothing runs"),
        (["gateway", "down"], 4, "nothing runs"),
        (["gateway", "reload"], 4, "nothing runs"),
        (["routes", "ls"], 4, "nothing runs"),
        (["routes", "explain", "GET", "/"], 4, "nothing runs"),
        (["services", "ls"], 4, "nothing runs"),
        (["services", "show", "orders"], 4, "nothing runs"),
        (["config", "history"], 4, "no mesh home"),
        (["config", "rollback"], 4, "no mesh home"),
    ],
)
def test_failures_say_what_and_end_with_their_status(
    arguments: list[str], status: int, said: str, meshctl: Meshctl
) -> None:
    """A command that fails says so on stderr, nothing on stdout, with the status the table promises."""
    ended = meshctl(*arguments)
    assert (ended.status, ended.out) == (status, "")
    assert said.lower() in ended.err.lower()


@pytest.mark.parametrize("words", [("gateway", "status"), ("gateway", "up"), ("up",), ("apply",)], ids=" ".join)
def test_failures_make_no_home(words: tuple[str, ...], meshctl: Meshctl, folder: Path, environment: Path) -> None:
    """Looking for what runs, or for a file to run, leaves no state behind."""
    assert meshctl(*words, "--home", folder / "home").status == 4
    assert not (folder / "home").exists()


@pytest.mark.parametrize("code", EXIT_STATUS)
def test_every_code_ends_with_its_status(code: str, meshctl: Meshctl, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every MeshError becomes its message, its hint and the status of the table."""

    def fail(session: Session) -> None:
        """Fail."""
        raise MeshError(code, "it broke", hint="mend it")

    monkeypatch.setattr(app, "TREE", {"fail": fail, "other": fail})
    ended = meshctl("fail")
    assert (EXIT_STATUS[code], "", "meshctl: it broke\n  hint: mend it\n") == (ended.status, ended.out, ended.err)


def test_a_defect_is_one_line(meshctl: Meshctl, monkeypatch: pytest.MonkeyPatch) -> None:
    """An unexpected exception is one line and the way to see more, not a traceback; MESHCTL_DEBUG=1 raises it."""

    def fail(session: Session) -> None:
        """Fail."""
        raise ZeroDivisionError("by nothing")

    monkeypatch.setattr(app, "TREE", {"fail": fail, "other": fail})
    ended = meshctl("fail")
    assert ended.status == 1
    assert ended.err.startswith("meshctl: unexpected ZeroDivisionError: by nothing\n  hint: MESHCTL_DEBUG=1")
    monkeypatch.setenv("MESHCTL_DEBUG", "1")
    with pytest.raises(ZeroDivisionError):
        meshctl("fail")


def test_ctrl_c_is_quiet(meshctl: Meshctl, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C ends a command with 130 and without a word."""

    def wait(session: Session) -> None:
        """Wait."""
        raise KeyboardInterrupt

    monkeypatch.setattr(app, "TREE", {"wait": wait, "other": wait})
    assert meshctl("wait").status == 130
    assert meshctl("wait").err.strip() == ""


def test_interrupted_while_loading(folder: Path) -> None:
    """Ctrl-C ends a command with 130 and without a word also before it has loaded."""
    program = """
        import sys
        from meshctl.__main__ import main
        class Impatient:
            def find_spec(self, name, path, target=None):
                if name == "meshctl.cli.gateway":
                    raise KeyboardInterrupt
        sys.meta_path.insert(0, Impatient())
        sys.argv = ["meshctl", "apply"]
        main()
    """
    done = subprocess.run([sys.executable, "-c", dedent(program)], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


def test_a_closed_pipe_is_quiet(folder: Path) -> None:
    """A reader that goes away early (`| head`) ends the command without a traceback."""
    read, write = os.pipe()
    os.close(read)
    try:
        done = subprocess.run(command("config", "schema"), stdout=write, stderr=subprocess.PIPE, timeout=60)
    finally:
        os.close(write)
    assert (done.stderr, done.returncode) == (b"", 128 + signal.SIGPIPE)


@pytest.mark.parametrize(
    ("redirection", "status", "said"),
    [
        (">&- <&-", 0, ""),
        (">/dev/full", 1, "meshctl: the output cannot be written: no space left on device\n"),
        (">/dev/full 2>/dev/full", 1, ""),
    ],
)
def test_output_that_goes_nowhere(folder: Path, redirection: str, status: int, said: str) -> None:
    """Streams that were closed are nothing to trip over; what cannot be written is said in a line, and has failed."""
    if "full" in redirection and not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    words = " ".join(map(shlex.quote, command("config", "schema")))
    done = subprocess.run(["sh", "-c", f"{words} {redirection}"], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (status, "", said)


def test_messages_cannot_move_the_cursor(meshctl: Meshctl) -> None:
    """Control characters in what a user typed come out escaped."""
    ended = meshctl("validate", "evil\x1b[2J.toml")
    assert "\x1b" not in ended.err
    assert "evil\\x1b[2J.toml" in ended.err


def test_quiet_holds_wherever_it_stands(meshctl: Meshctl, folder: Path) -> None:
    """--quiet before and after the command holds back talk, and never an error."""
    assert meshctl("--quiet", "init").err == ""
    assert meshctl("init", "--force", "-q").err == ""
    assert "already there" in meshctl("init", "-q").err


def test_no_gateway_has_no_logs(meshctl: Meshctl) -> None:
    """Where no gateway ever ran nobody is told about the logs of one that writes to a terminal."""
    assert meshctl("keys", "create", "--owner", "acme").status == 0
    ended = meshctl("gateway", "logs")
    assert (ended.status, "nothing runs in the home /" in ended.err) == (4, True)


def test_nothing_runs_where(meshctl: Meshctl, folder: Path) -> None:
    """Where nothing runs, the home that was meant is named, be it there or not."""
    other = folder / "other"
    assert f"nothing runs in the home {other}\n" in meshctl("--home", str(other), "status").err
    assert meshctl("--home", str(other), "keys", "create", "--owner", "acme").status == 0
    for words in (("status",), ("stat",), ("metrics", "show"), ("gateway", "down")):
        ended = meshctl("--home", str(other), *words)
        assert (ended.status, f"nothing runs in the home {other}\n" in ended.err) == (4, True)
