"""A terminal with a program on it, as a person has it: type, and read what appears."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import subprocess
import sys
import termios
import time
from types import TracebackType
from typing import Any

from tests.e2e.waiting import PATIENCE

from .running import environ

# Makes the terminal on its stdin that of its session, and becomes the command.
_TAKE = "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execvp(sys.argv[1], sys.argv[1:])"

CTRL_C, CTRL_D, CTRL_Z, CTRL_BACKSLASH = "\x03", "\x04", "\x1a", "\x1c"


class Screen:
    """A command in a session of its own on a terminal of its own; all of the session is ended with the block."""

    def __init__(self, command: list[str], **more: str) -> None:
        self.main, self.side = pty.openpty()
        self.modes = self.read_modes()
        self.seen = ""
        self._at = 0
        self.process = subprocess.Popen(
            [sys.executable, "-c", _TAKE, *command],
            stdin=self.side,
            stdout=self.side,
            stderr=self.side,
            start_new_session=True,
            env=environ(**{"PS1": "PROMPT ", "TERM": "dumb", "BASH_SILENCE_DEPRECATION_WARNING": "1"} | more),
        )

    def __enter__(self) -> Screen:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # 0 would be this process's own.
        for group in {self.foreground(), self.process.pid} - {0}:
            try:
                os.killpg(group, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.process.wait()
        os.close(self.main)
        os.close(self.side)

    def type(self, text: str) -> None:
        """Press these keys."""
        os.write(self.main, text.encode())

    def until(self, text: str, *, timeout: float = PATIENCE) -> str:
        """Wait until `text` appears after what was awaited before; what came until then."""
        deadline = time.monotonic() + timeout
        while (found := self.seen.find(text, self._at)) < 0:
            left = deadline - time.monotonic()
            assert left > 0, f"waited {timeout:g} s for {text!r}; the screen shows {self.seen!r}"
            if select.select([self.main], [], [], left)[0]:
                self.seen += os.read(self.main, 65536).decode(errors="replace")
        before, self._at = self.seen[self._at : found], found + len(text)
        return before

    def find(self, pattern: str) -> str:
        """Wait until something like `pattern` has appeared, also before what was awaited; the part in brackets."""
        deadline = time.monotonic() + PATIENCE
        while (found := re.search(pattern, self.seen)) is None:
            left = deadline - time.monotonic()
            assert left > 0, f"waited {PATIENCE:g} s for {pattern!r}; the screen shows {self.seen!r}"
            if select.select([self.main], [], [], left)[0]:
                self.seen += os.read(self.main, 65536).decode(errors="replace")
        return found[1]

    def wait(self, timeout: float = PATIENCE) -> int:
        """The command's exit status."""
        return self.process.wait(timeout)

    def foreground(self) -> int:
        """The group that has the keyboard; 0 where there is none."""
        try:
            return os.tcgetpgrp(self.main)
        except OSError:
            return 0

    def read_modes(self) -> list[Any]:
        """The terminal's modes."""
        return termios.tcgetattr(self.side)
