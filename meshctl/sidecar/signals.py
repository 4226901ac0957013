"""The signals that reach a wrapper, and what becomes of each.

    TERM, INT           end in order; the app gets the same signal when its turn comes
    HUP                 the access log was rotated; on to the app
    QUIT, USR1, USR2    on to the app
    TSTP, CONT          on to the app, which stops or goes on; the wrapper with it (`terminal`)
    WINCH               on to the app

What the keyboard sends is for everybody in the app's group, as it would be had it the terminal; what one process sends
to another is for the app itself. A signal that whoever started the wrapper had it ignore, as `nohup` does, is ignored.
"""

from __future__ import annotations

import asyncio
import signal
from typing import Final, Protocol

ENDING: Final = (signal.SIGTERM, signal.SIGINT)
PASSED_ON: Final = (signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2, signal.SIGWINCH, signal.SIGTSTP)
KEYBOARD: Final = frozenset({signal.SIGINT, signal.SIGQUIT, signal.SIGTSTP, signal.SIGWINCH})


class Receiver(Protocol):
    """Who acts on signals."""

    def on_ending(self, number: int) -> None:
        """SIGTERM or SIGINT has come."""

    def on_passed(self, number: int) -> None:
        """A signal for the app has come."""

    def on_continued(self) -> None:
        """SIGCONT has come."""


def receive(loop: asyncio.AbstractEventLoop, receiver: Receiver, ignored: frozenset[int]) -> None:
    """Have `receiver` act on signals from now on, in the place of whoever did before."""
    for number in (*ENDING, *PASSED_ON):
        if number in ignored:
            loop.remove_signal_handler(number)
            signal.signal(number, signal.SIG_IGN)
        else:
            loop.add_signal_handler(number, receiver.on_ending if number in ENDING else receiver.on_passed, number)
    loop.add_signal_handler(signal.SIGCONT, receiver.on_continued)
