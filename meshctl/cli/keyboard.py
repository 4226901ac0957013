"""Single keys as they are pressed, on a terminal. Leaves the terminal as it was, however it ends."""

from __future__ import annotations

import os
import sys
from types import TracebackType
from typing import Any


class Keyboard:
    """Keys without Enter and without echo; Ctrl-C stays what it is."""

    def __init__(self) -> None:
        self._number = sys.stdin.fileno()
        self._before: list[Any] = []

    def __enter__(self) -> Keyboard:
        import termios
        import tty

        self._before = termios.tcgetattr(self._number)
        tty.setcbreak(self._number)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        import termios

        termios.tcsetattr(self._number, termios.TCSADRAIN, self._before)

    def fileno(self) -> int:
        """For waiting until there is a key."""
        return self._number

    def read(self) -> str:
        """What was pressed; "" at the end of input."""
        return os.read(self._number, 64).decode("utf-8", "replace")
