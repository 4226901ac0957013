"""A network of the app's own, as its wrapper has it: the way in for the app, what a worker serves there, and the
process in there that makes sockets, started again should it end.

Made by `enclosing`. It lasts as long as anybody has a descriptor or a process of it, so nothing is left of it when they
have ended, however they do.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Final, NoReturn

import msgspec

from meshctl.errors import MeshError
from meshctl.proxy.inside import FAMILIES, KEPT, Enclosed, Inside
from meshctl.sidecar import linux
from meshctl.sidecar.enclosing import Made, make

AGAIN_AFTER: Final = 0.1
"""Seconds until the process that makes sockets is started again."""
_MOST: Final = 16
"""Descriptors of a network."""
_WORD: Final = 65_536
_KINDS: Final = {"user": linux.NEW_USER, "net": linux.NEW_NETWORK}
"""Namespaces in the order in which they are gone into: who is in the first one has the right to the second."""


class Enclosure:
    """See the module. `handles` are what was made, by their names."""

    def __init__(self, handles: dict[str, int]) -> None:
        self._spaces = [(handles.pop(name), kind) for name, kind in _KINDS.items() if name in handles]
        self._handles = handles | {"aliases": os.memfd_create("meshctl-aliases")}
        self._asked, self._asking = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._maker = 0
        self._is_closed = False
        self._start()

    def __repr__(self) -> str:
        return f"<Enclosure of {', '.join(self._handles)}, sockets made by process {self._maker}>"

    @property
    def order(self) -> tuple[Enclosed, list[int]]:
        """What a worker is told of it, with what it is given."""
        return Enclosed((*self._handles, "asking")), [*self._handles.values(), self._asking.fileno()]

    def inside(self, loop: asyncio.AbstractEventLoop) -> Inside:
        """The way to the app for this process."""
        return Inside(loop, self._asking.dup())

    def enter(self) -> None:
        """Have this process, which is about to be the app, go in. Raises OSError."""
        for handle, kind in self._spaces:
            linux.enter(handle, kind)

    def watch(self, loop: asyncio.AbstractEventLoop) -> None:
        """Start the process that makes sockets again whenever it ends."""
        handle = os.pidfd_open(self._maker)
        loop.add_reader(handle, self._on_ended, loop, handle)

    def _on_ended(self, loop: asyncio.AbstractEventLoop, handle: int) -> None:
        loop.remove_reader(handle)
        os.close(handle)
        with suppress(ChildProcessError):
            os.waitpid(self._maker, 0)
        self._maker = 0
        loop.call_later(AGAIN_AFTER, self._again, loop)

    def _again(self, loop: asyncio.AbstractEventLoop) -> None:
        if not self._is_closed:
            self._start()
            self.watch(loop)

    def close(self) -> None:
        """Let go of it."""
        self._is_closed = True
        if self._maker:
            with suppress(ProcessLookupError, ChildProcessError):
                os.kill(self._maker, signal.SIGKILL)
                os.waitpid(self._maker, 0)
        for handle in (*self._handles.values(), *(handle for handle, _ in self._spaces)):
            os.close(handle)
        self._asked.close()
        self._asking.close()

    def _start(self) -> None:
        wrapper = os.getpid()
        self._maker = _forked(lambda: _make_sockets(self._asked, self.enter, wrapper))


def enclose(port: int) -> Enclosure:
    """A network for an app that listens on `port`. Raises MeshError where it cannot be had."""
    if sys.platform != "linux":
        raise MeshError(
            "failed", "--intercept is for Linux alone", hint="without it the app is told of its proxy instead"
        )
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours:
        with theirs:
            maker = _forked(lambda: make(theirs, port))
        word, handles, _, _ = socket.recv_fds(ours, _WORD, _MOST)
    os.waitpid(maker, 0)
    made = msgspec.json.decode(word, type=Made) if word else Made(problem="the process that was to make it has ended")
    if made.problem:
        raise MeshError("failed", made.problem, hint=made.hint)
    for handle in handles:
        os.set_inheritable(handle, False)
    return Enclosure(dict(zip(made.names, handles, strict=True)))


def _forked(become: Callable[[], NoReturn]) -> int:
    """A child that becomes something else; its number."""
    # A signal in the child would be taken for one to the wrapper: Python's handler writes into its pipe.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        pid = os.fork()
        if pid == 0:
            try:
                signal.set_wakeup_fd(-1)
                for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD):
                    signal.signal(number, signal.SIG_DFL)
                signal.pthread_sigmask(signal.SIG_SETMASK, before)
                become()
            finally:
                os._exit(1)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    return pid


def _make_sockets(asked: socket.socket, enter: Callable[[], None], wrapper: int) -> NoReturn:
    """In a child: go in, keep no right to do anything there, and make sockets for whoever asks."""
    enter()
    linux.renounce()
    # It is in reach of the app, with what it has of the wrapper's memory.
    linux.hide()
    linux.die_with_parent(signal.SIGKILL)
    if os.getppid() != wrapper:
        os._exit(1)
    # The terminal's signals are the wrapper's business.
    os.setsid()
    handle = asked.fileno()
    os.closerange(0, handle)
    os.closerange(handle + 1, os.sysconf("SC_OPEN_MAX"))
    while True:
        words, answers, _, _ = socket.recv_fds(asked, KEPT, 1)
        if not answers:
            os._exit(0)
        with socket.socket(fileno=answers[0]) as answer:
            made = [socket.socket(FAMILIES[words[at : at + 1]], socket.SOCK_STREAM) for at in range(len(words))]
            with suppress(OSError):
                socket.send_fds(answer, [b"."], [each.fileno() for each in made])
            for each in made:
                each.close()
