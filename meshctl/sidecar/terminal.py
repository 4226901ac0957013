"""The terminal between the wrapper and the app, so that both behave as the app would alone.

The app is in a process group of its own. The wrapper's stays the terminal's foreground group, so that Ctrl-C reaches
the wrapper, which ends everything in order, until the app touches the terminal: the kernel then stops it, it is lent
the terminal, and continued. From then on it has the keyboard to itself. Ctrl-Z stops both, for the shell to see, and
`fg` continues both.

    the app reads, or sets modes → SIGTTIN, SIGTTOU     we are in front: lend it. We are not: stop as well, until `fg`
    Ctrl-Z, or the app stops itself → SIGTSTP           take it back, stop as well; continue with us

Knows nothing of how the app is started or ended.
"""

from __future__ import annotations

import os
import signal
import termios
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

_TOUCHED: Final = frozenset({signal.SIGTTIN, signal.SIGTTOU})


class Terminal:
    """The controlling terminal. `on_stuck` is called where the app waits for it and cannot have it."""

    def __init__(self, fd: int, on_stuck: Callable[[], None] = lambda: None) -> None:
        self._fd = fd
        self._on_stuck = on_stuck
        self._lent_to = 0
        self._is_wanted = False  # the app had it, or asked for it, when it was stopped
        self._known = 0  # SIGCONTs that were acted on and are yet to be told of
        self._modes = self._read_modes()
        # We are not in front while the app is, and must still be able to take it back and to write.
        signal.signal(signal.SIGTTOU, signal.SIG_IGN)

    def __repr__(self) -> str:
        return f"<Terminal {f'lent to group {self._lent_to}' if self._lent_to else 'ours'}>"

    @classmethod
    def find(cls, on_stuck: Callable[[], None] = lambda: None) -> Terminal | None:
        """The terminal this process was started from; None for one without."""
        try:
            return cls(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC), on_stuck)
        except OSError:
            return None

    @property
    def is_ours(self) -> bool:
        """Whether the keyboard's signals come to the wrapper's group."""
        return self._foreground() == os.getpgrp()

    def on_stopped(self, group: int, number: int) -> None:
        """The app, which leads `group`, was stopped by signal `number`."""
        if number in _TOUCHED:
            self._is_wanted = True
            if self._lend(group) or self._stop_too(number):
                self._go_on(group)
            else:
                self._on_stuck()
        elif number == signal.SIGTSTP:
            self._take(group)
            self._stop_too(number)
            self._go_on(group)
        # SIGSTOP is no word to us: whoever sent it continues the app as well.

    def on_continued(self, group: int) -> None:
        """The wrapper was told to go on, by `fg` or by `bg`: so is the app, once."""
        if self._known:
            self._known -= 1
        else:
            self._go_on(group)

    def suspend(self) -> None:
        """Ctrl-Z while no app runs."""
        self._stop_too(signal.SIGTSTP)
        self._known = 0

    def on_ended(self, group: int) -> None:
        """The app has ended: the terminal is as it was before."""
        if self._take(group):
            self._write_modes()
        self._is_wanted = False
        self._known = 0

    def close(self) -> None:
        """Give back the descriptor."""
        os.close(self._fd)

    # the rest is private

    def _go_on(self, group: int) -> None:
        if self._is_wanted:
            self._lend(group)
        with suppress(ProcessLookupError):
            os.killpg(group, signal.SIGCONT)

    def _lend(self, group: int) -> bool:
        """Let the app have the terminal, where it is ours to give; whether the app has it."""
        front = self._foreground()
        if front == os.getpgrp():
            # Where this fails the app has ended meanwhile, and waits for nothing.
            with suppress(OSError):
                os.tcsetpgrp(self._fd, group)
            self._lent_to = front = group
        return front == group

    def _take(self, group: int) -> bool:
        """Be in front again; whether the app had been."""
        if self._lent_to != group:
            return False
        self._lent_to = 0
        front = self._foreground()
        # A shell that took it for itself meanwhile keeps it. An app may have left it to a group that is gone.
        if front == group or not _exists(front):
            with suppress(OSError):
                os.tcsetpgrp(self._fd, os.getpgrp())
        return True

    def _stop_too(self, number: int) -> bool:
        """Stop the wrapper's group, as the shell expects of its job; whether it was stopped, now that it goes on.

        The kernel stops no group that no shell would continue (POSIX: an orphaned one)."""
        continued: list[int] = []
        before = {
            number: signal.signal(number, signal.SIG_DFL),
            signal.SIGCONT: signal.signal(signal.SIGCONT, lambda *_: continued.append(1)),
        }
        os.kill(0, number)
        for each, handler in before.items():
            signal.signal(each, handler)
        # A loop hears of a signal also where its own handler did not take it (signal.set_wakeup_fd).
        self._known = len(continued)
        return bool(continued)

    def _foreground(self) -> int:
        try:
            return os.tcgetpgrp(self._fd)
        except OSError:
            return -1  # it was hung up

    def _read_modes(self) -> list[Any]:
        try:
            return termios.tcgetattr(self._fd)
        except termios.error:
            return []

    def _write_modes(self) -> None:
        if self._modes:
            with suppress(termios.error):
                termios.tcsetattr(self._fd, termios.TCSADRAIN, self._modes)


def _exists(group: int) -> bool:
    if group <= 0:
        return False
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
