"""`sidecar wrap` on a terminal: what `test_terminal` shows of the parts, of the whole."""

from __future__ import annotations

import shlex
import sys
from contextlib import closing
from pathlib import Path

import pytest

from meshctl.control.discovery import registrations
from meshctl.store.sqlite import SqliteStore
from tests.e2e.waiting import until

from .screen import CTRL_C, CTRL_Z, Screen

SHELL = ["bash", "--norc", "--noprofile", "--noediting", "-i"]
SERVER = """
import os, signal, sys
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

def end(*_):
    print("the app is interrupted", flush=True)
    sys.exit(7)

signal.signal(signal.SIGINT, end)
ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), SimpleHTTPRequestHandler).serve_forever()
"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A mesh of the test's own."""
    return tmp_path / "home"


def wrap(home: Path, *command: str) -> list[str]:
    """The command line that wraps `command`."""
    return [
        sys.executable,
        "-m",
        "meshctl",
        "--home",
        str(home),
        "sidecar",
        "wrap",
        "--service",
        "shown",
        "--",
        *command,
    ]


def registered(home: Path) -> int:
    """How many endpoints the mesh has."""
    with closing(SqliteStore(home / "mesh.db")) as store:
        return len(registrations(store))


def test_ctrl_c_ends_it_in_order(home: Path) -> None:
    """Ctrl-C takes the app from the mesh and then interrupts it, once, as it would be unwrapped; its code is the
    status."""
    with Screen(wrap(home, sys.executable, "-c", SERVER)) as screen:
        screen.until("ready", timeout=60)
        until(lambda: registered(home) == 1, "the app to be registered")
        screen.type(CTRL_C)
        screen.until("the app is interrupted")
        assert registered(home) == 0
        assert screen.wait() == 7
        assert screen.seen.count("the app is interrupted") == 1


def test_an_interactive_app(home: Path) -> None:
    """A wrapped Python prompt is used as any other."""
    with Screen(wrap(home, sys.executable, "-q", "-i")) as screen:
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


def test_ctrl_z_and_fg(home: Path) -> None:
    """While a wrapped app stands still nobody sends requests to it; `fg` brings both back."""
    with Screen(SHELL, WRAPPED=shlex.join(wrap(home, sys.executable, "-c", SERVER))) as screen:
        screen.until("PROMPT ")
        screen.type('eval "$WRAPPED"\n')
        screen.until("ready", timeout=60)
        until(lambda: registered(home) == 1, "the app to be registered")
        screen.type(CTRL_Z)
        screen.until("Stopped")
        screen.until("PROMPT ")
        assert registered(home) == 0
        screen.type("fg\n")
        until(lambda: registered(home) == 1, "the app to be registered again")
        screen.type(CTRL_C)
        screen.until("the app is interrupted")
        screen.until("PROMPT ")
        screen.type("echo status $?\n")
        screen.until("status 7")
