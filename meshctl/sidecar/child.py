"""One run of the app: its process and the process group it leads, signalled, watched and ended to the last member.

Nothing is left of a group whose leader has gone: what stays behind is asked to end, then killed. Decides nothing about
when, and knows nothing of terminals: a stopped app is told of, and somebody else continues it.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Final

from meshctl.errors import MeshError
from meshctl.proxy.process_group import end_group
from meshctl.sidecar.launch import launch

BY_SIGNAL: Final = 128
"""What a shell adds to the number of the signal that ended a command."""
GRACE: Final = 10.0
"""Seconds between asking and killing."""
# One that wants the terminal is stopped again and again until it has it.
_TOUCHED: Final = frozenset({signal.SIGTTIN, signal.SIGTTOU})


class Child:
    """See the module. `exited` is done when the group's leader has ended, with the code a shell would tell."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, on_stopped: Callable[[int], None] = lambda _number: None
    ) -> None:
        self.pid = 0
        """Of the leader, and the number of its group."""
        self.exited: asyncio.Future[int] = loop.create_future()
        self._is_stopped = False
        self._is_ending = False
        self._loop = loop
        self._on_stopped = on_stopped

    def __repr__(self) -> str:
        return f"<Child process {self.pid} {f'ended with {self.exited.result()}' if self.exited.done() else 'running'}>"

    def start(
        self,
        command: Sequence[str],
        environ: Mapping[str, str],
        ignored: frozenset[int] = frozenset(),
        folder: str = "",
        enter: Callable[[], None] | None = None,
    ) -> None:
        """Start the command, as `launch` does. Raises MeshError."""
        # Before there is a child, so that none is missed; a parent that ignored SIGCHLD would take our exit codes.
        self._loop.add_signal_handler(signal.SIGCHLD, self._look)
        try:
            self.pid = launch(command, environ, ignored, folder, enter)
        except (MeshError, OSError):
            self._loop.remove_signal_handler(signal.SIGCHLD)
            raise

    def signal(self, number: int, *, everyone: bool = False) -> None:
        """Send a signal to the leader, or to `everyone` in its group. One that has ended takes no notice."""
        if not self.pid:
            return
        with suppress(ProcessLookupError):
            if everyone:
                os.killpg(self.pid, number)
            elif not self.exited.done():
                os.kill(self.pid, number)

    async def stop(self, number: int, grace: float = GRACE, *, everyone: bool = False) -> int:
        """Ask the app to end by signal `number`, kill its whole group after `grace` seconds; its code."""
        self.signal(number, everyone=everyone)
        self._is_ending = True
        if self._is_stopped:
            self.signal(signal.SIGCONT, everyone=True)
        await asyncio.wait([self.exited], timeout=grace)
        if not self.exited.done():
            self.kill()
        return await self.exited

    def kill(self) -> None:
        """End the whole group now."""
        self.signal(signal.SIGKILL, everyone=True)

    async def clear(self, grace: float = GRACE) -> bool:
        """End what the leader has left of its group; whether there was anything."""
        return await end_group(self.pid, grace)

    def _look(self) -> None:
        """Some child of this process has changed its state: see whether it is this one."""
        while self.pid and not self.exited.done():
            try:
                pid, status = os.waitpid(self.pid, os.WNOHANG | os.WUNTRACED | os.WCONTINUED)
            except ChildProcessError:
                # Reaped by somebody else in this process: how it ended is lost.
                self._end(0)
                return
            if pid == 0:
                return
            if os.WIFCONTINUED(status):
                self._is_stopped = False
            elif os.WIFSTOPPED(status):
                self._stop(os.WSTOPSIG(status))
            else:
                self._end(exit_code(status))

    def _stop(self, number: int) -> None:
        self._is_stopped = True
        if self._is_ending and number not in _TOUCHED:
            # It could not even take notice of being asked.
            self.signal(signal.SIGCONT, everyone=True)
        else:
            self._on_stopped(number)

    def _end(self, code: int) -> None:
        self._loop.remove_signal_handler(signal.SIGCHLD)
        self.exited.set_result(code)


def exit_code(status: int) -> int:
    """The code a shell tells of a wait status: the command's own, or 128 and the number of the signal that ended it."""
    return BY_SIGNAL + os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)
