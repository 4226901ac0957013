"""The terminal reaches the app as if unwrapped, and the keyboard's signals reach the wrapper until it does."""

from __future__ import annotations

import os
import shlex
import signal
import sys
from pathlib import Path
from typing import Protocol

import psutil
import pytest

from tests.e2e.waiting import until

from .running import program
from .screen import CTRL_C, CTRL_D, CTRL_Z, Screen

WRAP = """
    async def main():
        loop = asyncio.get_running_loop()
        child = Child(loop, lambda number: terminal.on_stopped(child.pid, number))
        terminal = Terminal.find(lambda: say("it is stuck"))
        loop.add_signal_handler(signal.SIGINT, lambda: (say("the wrapper is interrupted"), child.kill()))
        loop.add_signal_handler(signal.SIGTSTP, lambda: child.signal(signal.SIGTSTP, everyone=True))
        loop.add_signal_handler(signal.SIGCONT, lambda: terminal.on_continued(child.pid))
        child.start(sys.argv[1:], os.environ, ignored)
        say("app", child.pid, "is up")
        code = await child.exited
        terminal.on_ended(child.pid)
        await child.clear(1)
        terminal.close()
        say("app ended with", code)
        return code
    ignored = ignored_signals()
    sys.exit(asyncio.run(main()))
"""

SHELL = ["bash", "--norc", "--noprofile", "--noediting", "-i"]

# Never touches the terminal, and tells whenever it goes on after a stop. It sleeps, for `signal.pause` would go on
# waiting where the signal came just before.
SILENT = """
import signal, time
signal.signal(signal.SIGCONT, lambda *_: print("it goes on", flush=True))
print("it waits", flush=True)
while True: time.sleep(0.05)
"""
# Echoes lines until there are no more.
READER = "import sys\nfor line in sys.stdin: print('read', line.strip(), flush=True)\nsys.exit(4)"


class Wrapped(Protocol):
    """The short command line of a wrapped Python program: the shell shows it, and the tests read what it shows."""

    def __call__(self, code: str) -> list[str]: ...


@pytest.fixture
def wrapped(tmp_path: Path) -> Wrapped:
    """See `Wrapped`."""

    def command(code: str) -> list[str]:
        wrap, app = tmp_path / "wrap.py", tmp_path / "app.py"
        wrap.write_text(program(WRAP)[2])
        app.write_text(code)
        return [sys.executable, str(wrap), sys.executable, str(app)]

    return command


def typed(command: list[str], more: str = "") -> Screen:
    """A shell into which the command was typed, and `more` after it."""
    screen = Screen(SHELL, WRAPPED=f"{shlex.join(command)} {more}")
    screen.until("PROMPT ")
    screen.type('eval "$WRAPPED"\n')
    return screen


def app_of(screen: Screen) -> int:
    """The app's process id, once it is up."""
    screen.until("app ")
    return int(screen.until(" is up"))


def test_ctrl_c_is_the_wrappers(wrapped: Wrapped) -> None:
    """While the app has not touched the terminal, Ctrl-C reaches the wrapper and not the app."""
    with Screen(wrapped(SILENT)) as screen:
        screen.until("it waits")
        assert screen.foreground() == screen.process.pid
        screen.type(CTRL_C)
        screen.until("the wrapper is interrupted")
        screen.until("app ended with 137")
        assert screen.wait() == 137


def test_an_app_that_reads_has_the_keyboard(wrapped: Wrapped) -> None:
    """An app that reads gets what is typed, is in front while it runs, and the wrapper is in front afterwards."""
    with Screen(wrapped(READER)) as screen:
        app = app_of(screen)
        until(lambda: screen.foreground() == app, "the app to be in front")
        screen.type("one\n")
        screen.until("read one")
        screen.type(f"two\n{CTRL_D}")
        screen.until("app ended with 4")
        assert screen.wait() == 4


def test_an_interactive_app_has_ctrl_c_itself() -> None:
    """In a wrapped Python prompt, Ctrl-C interrupts the computation and neither the prompt nor the wrapper."""
    with Screen(program(WRAP, sys.executable, "-q", "-i")) as screen:
        screen.until(">>> ")
        screen.type("print(6 * 7)\n")
        screen.until("42")
        screen.type("print('ready' + '!'); all(iter(lambda: True, None))\n")
        screen.until("ready!")
        screen.type(CTRL_C)
        screen.until("KeyboardInterrupt")
        screen.until(">>> ")
        screen.type("raise SystemExit(3)\n")
        screen.until("app ended with 3")
        assert "the wrapper is interrupted" not in screen.seen


def test_a_shell_in_it_has_job_control() -> None:
    """A wrapped interactive shell can put its own jobs in front and stop them."""
    with Screen(program(WRAP, *SHELL)) as screen:
        screen.until("PROMPT ")
        screen.type("sleep 1000\n")
        screen.until("sleep 1000")
        until(lambda: screen.foreground() not in {screen.process.pid, -1}, "the shell to be in front")
        until(lambda: command_in_front(screen) == "sleep", "the job to be in front")
        screen.type(CTRL_Z)
        screen.until("Stopped")
        # The first time it warns of the stopped job.
        screen.type("exit 5\nexit 5\n")
        screen.until("app ended with 5")
        assert "no job control" not in screen.seen


def command_in_front(screen: Screen) -> str:
    """The name of the process that leads the foreground group."""
    try:
        with open(f"/proc/{screen.foreground()}/comm") as file:
            return file.read().strip()
    except OSError:
        return ""


def test_modes_are_put_back(wrapped: Wrapped) -> None:
    """An app that sets the terminal's modes may, and when it dies without putting them back the wrapper does."""
    code = "import tty, os, signal; tty.setraw(0); print('raw', flush=True); os.kill(os.getpid(), signal.SIGKILL)"
    with Screen(wrapped(code)) as screen:
        screen.until("raw")
        screen.until("app ended with 137")
        screen.wait()
        assert screen.modes == screen.read_modes()


def test_ctrl_z_and_fg_of_a_silent_app(wrapped: Wrapped) -> None:
    """Ctrl-Z stops an app that never touched the terminal and its wrapper, the shell has its prompt, `fg` continues
    both."""
    with typed(wrapped(SILENT)) as screen:
        app = app_of(screen)
        screen.until("it waits")
        for _ in range(2):
            screen.type(CTRL_Z)
            screen.until("Stopped")
            screen.until("PROMPT ")
            assert state(app) == "T"
            screen.type("fg\n")
            screen.until("it goes on")
        screen.type(CTRL_C)
        screen.until("app ended with 137")
        screen.until("PROMPT ")


def test_ctrl_z_and_fg_of_an_app_that_reads(wrapped: Wrapped) -> None:
    """Ctrl-Z in front of an app that has the terminal gives the shell its prompt; `fg` gives the app the keyboard."""
    with typed(wrapped(READER)) as screen:
        app = app_of(screen)
        for number in range(2):
            until(lambda: screen.foreground() == app, "the app to be in front")
            screen.type(f"number {number}\n")
            screen.until(f"read number {number}")
            screen.type(CTRL_Z)
            screen.until("Stopped")
            screen.until("PROMPT ")
            screen.type("fg\n")
        screen.type(CTRL_D)
        screen.until("app ended with 4")
        screen.until("PROMPT ")
        screen.type("echo status $?\n")
        screen.until("status 4")


def test_in_the_background(wrapped: Wrapped) -> None:
    """Started with `&`, an app that reads is stopped with its wrapper as any job is, and reads after `fg`."""
    with typed(wrapped(READER), "& echo the job is $! ; wait $!") as screen:
        # The shell and the wrapper tell these at the same time.
        job = int(screen.find(r"the job is (\d+)\r"))
        app = int(screen.find(r"app (\d+) is up"))
        until(lambda: state(app) == "T" == state(job), "both to be stopped")
        screen.type("jobs\n")
        screen.until("Stopped")
        screen.type("fg\n")
        screen.type("hello\n")
        screen.until("read hello")
        screen.type(CTRL_D)
        screen.until("app ended with 4")


def test_stopped_and_continued_in_the_background(wrapped: Wrapped) -> None:
    """After Ctrl-Z and `bg` the app goes on without the terminal."""
    with typed(wrapped(SILENT)) as screen:
        job = os.getpgid(psutil.Process(app_of(screen)).ppid())
        screen.until("it waits")
        screen.type(CTRL_Z)
        screen.until("Stopped")
        screen.until("PROMPT ")
        screen.type("bg\n")
        screen.until("it goes on")
        assert screen.foreground() != job
        screen.type("fg\n")
        until(lambda: screen.foreground() == job, "the wrapper to be in front")
        screen.type(CTRL_C)
        screen.until("app ended with 137")


def test_ctrl_z_stops_a_pipeline(wrapped: Wrapped) -> None:
    """In a pipeline Ctrl-Z in front of the app stops the other commands too, so that the shell has its prompt."""
    with typed(wrapped(READER), "| cat") as screen:
        app = app_of(screen)
        until(lambda: screen.foreground() == app, "the app to be in front")
        screen.type(CTRL_Z)
        screen.until("Stopped")
        screen.until("PROMPT ")
        screen.type("fg\n")
        screen.type("hello\n")
        screen.until("read hello")
        screen.type(CTRL_D)
        screen.until("app ended with 4")


def test_ctrl_z_where_no_shell_would_continue(wrapped: Wrapped) -> None:
    """Without a shell, as first process of a container, Ctrl-Z stops nothing for good: the app goes on."""
    with Screen(wrapped(SILENT)) as screen:
        screen.until("it waits")
        screen.type(CTRL_Z)
        screen.until("it goes on")
        screen.type(CTRL_C)
        screen.until("app ended with 137")


def test_no_terminal() -> None:
    """Without a terminal there is none to lend."""
    from .running import run

    body = "say(Terminal.find())"
    assert run(program(body), start_new_session=True).stdout == "None\n"


def test_a_terminal_that_is_gone(wrapped: Wrapped) -> None:
    """When the terminal is closed under it, the wrapper does not fail; the app gets SIGHUP from the kernel where it is
    in front."""
    with Screen(wrapped(READER), PYTHONWARNINGS="error") as screen:
        app = app_of(screen)
        until(lambda: screen.foreground() == app, "the app to be in front")
        main, screen.main = screen.main, os.dup(screen.side)
        os.close(main)
        screen.wait()
        assert screen.process.returncode in {128 + signal.SIGHUP, -signal.SIGHUP}


def state(pid: int) -> str:
    """A process's state, in one letter."""
    with open(f"/proc/{pid}/stat") as file:
        return file.read().rpartition(")")[2].split()[0]


pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
