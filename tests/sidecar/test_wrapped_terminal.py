"""`sidecar wrap` on a terminal: what `test_terminal` shows of the parts, of the whole; as it is, and by a user without
rights with the app in a network of its own."""

from __future__ import annotations

import fcntl
import os
import re
import shlex
import signal
import struct
import sys
import termios
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psutil
import pytest

from meshctl.control.discovery import registrations
from meshctl.store.sqlite import SqliteStore
from tests.e2e.enclosing import kept, network, skip_unless_allowed
from tests.e2e.somebody import folder, python, somebody
from tests.e2e.waiting import until

from .running import until_gone
from .screen import CTRL_BACKSLASH, CTRL_C, CTRL_Z, Screen

SHELL = ["bash", "--norc", "--noprofile", "--noediting", "-i"]
SERVER = """
import os, signal, sys
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

# In two pieces, for a shell shows the command too; at once, for signals may come at the same time.
def say(*words):
    os.write(1, " ".join(("the", "app", *map(str, words), "\\n")).encode())

def end(number, _):
    say("is interrupted" if number == signal.SIGINT else "is asked to end")
    sys.exit(7)

signal.signal(signal.SIGINT, end)
signal.signal(signal.SIGTERM, end)
signal.signal(signal.SIGCONT, lambda *_: say("goes on"))
signal.signal(signal.SIGQUIT, lambda *_: say("does not quit"))
signal.signal(signal.SIGWINCH, lambda *_: say("has", *os.get_terminal_size()))
ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), SimpleHTTPRequestHandler).serve_forever()
"""


def told(screen: Screen) -> list[str]:
    """What the app has said."""
    return re.findall("the app (.*?) \r", screen.seen)


class Wrap:
    """How an app is wrapped: where the mesh is, by which user, with which Python."""

    def __init__(self, home: Path, before: tuple[str, ...], python: str, *options: str) -> None:
        self.home = home
        self.python = python
        self._before = before
        self._options = options

    def __call__(self, *command: str) -> list[str]:
        """The command line that wraps `command`."""
        meshctl = [sys.executable, "-m", "meshctl", "--home", str(self.home), "sidecar", "wrap", "--service", "shown"]
        return [*self._before, *meshctl, *self._options, "--", *command]

    @property
    def registered(self) -> int:
        """How many endpoints the mesh has."""
        with closing(SqliteStore(self.home / "mesh.db")) as store:
            return len(registrations(store))


@pytest.fixture
def enclosed() -> Iterator[Wrap]:
    """By a user without rights, in a network of its own."""
    before = somebody()
    skip_unless_allowed(before)
    with folder() as made:
        yield Wrap(made / "home", before, python(), "--intercept")


@pytest.fixture(params=["as it is", "enclosed"])
def wrap(request: pytest.FixtureRequest, tmp_path: Path) -> Wrap:
    """See `Wrap`; the mesh is the test's own."""
    if request.param == "enclosed":
        made: Wrap = request.getfixturevalue("enclosed")
        return made
    return Wrap(tmp_path / "home", (), sys.executable)


def test_ctrl_c_ends_it_in_order(wrap: Wrap) -> None:
    """Ctrl-C takes the app from the mesh and then interrupts it, once, as it would be unwrapped; its code is the
    status. Ctrl-\\ is the app's alone."""
    with Screen(wrap(wrap.python, "-c", SERVER)) as screen:
        screen.until("ready", timeout=60)
        until(lambda: wrap.registered == 1, "the app to be registered")
        screen.type(CTRL_BACKSLASH)
        screen.until("the app does not quit")
        screen.type(CTRL_C)
        screen.until("the app is interrupted")
        assert wrap.registered == 0
        assert screen.wait() == 7
        assert told(screen) == ["does not quit", "is interrupted"]
        assert "worker_ended" not in screen.seen


def test_an_interactive_app(wrap: Wrap) -> None:
    """A wrapped Python prompt is used as any other."""
    with Screen(wrap(wrap.python, "-q", "-i")) as screen:
        screen.until(">>> ", timeout=60)
        screen.type("6 * 7\n")
        screen.until("42\r\n>>> ")
        # An interrupt between the prompt and the read is noticed with the next key alone: so it is with Python
        # everywhere.
        screen.type(CTRL_C + "\n")
        screen.until("KeyboardInterrupt")
        screen.type("raise SystemExit(4)\n")
        assert screen.wait() == 4
        assert screen.modes == screen.read_modes()


@pytest.mark.parametrize("wrap", ["as it is"], indirect=True)
def test_ctrl_z_and_fg(wrap: Wrap) -> None:
    """While a wrapped app stands still nobody sends requests to it; `fg` brings both back."""
    with Screen(SHELL, WRAPPED=shlex.join(wrap(wrap.python, "-c", SERVER))) as screen:
        screen.until("PROMPT ")
        screen.type('eval "$WRAPPED"\n')
        screen.until("ready", timeout=60)
        until(lambda: wrap.registered == 1, "the app to be registered")
        screen.type(CTRL_Z)
        screen.until("Stopped")
        screen.until("PROMPT ")
        assert wrap.registered == 0
        screen.type("fg\n")
        # It takes connections before it runs again, and whoever has two signals hears of the lower number first.
        screen.until("the app goes on")
        until(lambda: wrap.registered == 1, "the app to be registered again")
        screen.type(CTRL_C)
        screen.until("the app is interrupted")
        screen.until("PROMPT ")
        screen.type("echo status $?\n")
        screen.until("status 7")
        assert told(screen) == ["goes on", "is interrupted"]


def test_signals_reach_an_enclosed_app(enclosed: Wrap) -> None:
    """An app in a network of its own hears of the window's size, Ctrl-\\, Ctrl-Z, `fg` and SIGTERM, each once, as it
    would outside; when it has ended nothing is left: no process, no network, no file but the mesh's."""
    temporary = enclosed.home.parent / "tmp"
    temporary.mkdir()
    command = ["env", f"TMPDIR={temporary}", *enclosed(enclosed.python, "-c", SERVER)]
    with Screen(SHELL, WRAPPED=shlex.join(command)) as screen:
        screen.until("PROMPT ")
        screen.type('eval "$WRAPPED"\n')
        screen.until("(process ", timeout=60)
        app = int(screen.until(")"))
        wrapper = psutil.Process(app).ppid()
        everyone = [wrapper, *(each.pid for each in psutil.Process(wrapper).children(recursive=True))]
        own = network(app)
        assert own != network(os.getpid()) and kept(own)
        until(lambda: enclosed.registered == 1, "the app to be registered")

        fcntl.ioctl(screen.main, termios.TIOCSWINSZ, struct.pack("4H", 41, 99, 0, 0))
        screen.until("the app has 99 41")
        screen.type(CTRL_BACKSLASH)
        screen.until("the app does not quit")
        screen.type(CTRL_Z)
        screen.until("Stopped")
        screen.until("PROMPT ")
        assert psutil.Process(app).status() == psutil.STATUS_STOPPED
        screen.type("fg\n")
        screen.until("the app goes on")
        os.kill(wrapper, signal.SIGTERM)
        screen.until("the app is asked to end")
        screen.until("PROMPT ")
        screen.type("echo status $?\n")
        screen.until("status 7")
        until_gone(*everyone)
        assert told(screen) == ["has 99 41", "does not quit", "goes on", "is asked to end"]
        assert kept(own) == []
        assert [*temporary.iterdir(), *(enclosed.home / "run").glob("*.sock")] == []
