"""A listener that speaks TLS accepts by itself, because the first byte of a connection decides what it is:

    accept ─▶ Waiting ─▶ first byte ─▶ 0x16: TLS handshake ─▶ whom the door lets in by TLS
                                    └▶ else: in the clear  ─▶ whom it lets in without, if only to be told so

The byte is only looked at and stays where it is, so whoever is next reads the connection from its beginning. A failed
handshake is counted by its reason, logged and told, which no server of the event loop would do.
"""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, Protocol

from meshctl import clock
from meshctl.proxy.descriptors import EXHAUSTED
from meshctl.proxy.handshakes import reason_of
from meshctl.proxy.tasks import spawn
from meshctl.proxy.timers import COARSE, Deadlines

if TYPE_CHECKING:
    from meshctl.proxy.worker import Worker

Make = Callable[[], asyncio.BaseProtocol]

AT_ONCE: Final = 32
"""Connections accepted before anything else gets its turn."""
PAUSE: Final = 0.2
"""Seconds without accepting, once there are no more file descriptors or memory for it."""

_HANDSHAKE: Final = b"\x16"
# RFC 8446 §5.1: the content type that every TLS connection begins with. No method of HTTP does.


class Door(Protocol):
    """What a listener makes of those who come."""

    address: str

    def by_tls(self) -> tuple[ssl.SSLContext, Make]:
        """The context of a handshake that begins now, and who speaks after it."""

    def in_the_clear(self) -> asyncio.BaseProtocol:
        """Who speaks to a client without TLS."""

    def patience(self) -> float:
        """Seconds until a client must have said something."""


class Accepting:
    """Accepts on one listening socket, and leaves it to `welcome` what becomes of who comes."""

    def __init__(self, worker: Worker, address: str, end: socket.socket) -> None:
        self.worker = worker
        self.address = address
        self._socket = end
        self._pause: asyncio.TimerHandle | None = None
        end.setblocking(False)

    def start(self) -> None:
        """Accept from now on."""
        self._pause = None
        self.worker.loop.add_reader(self._socket, self._on_readable)

    def close(self) -> None:
        """Accept no more."""
        if self._pause is not None:
            self._pause.cancel()
        else:
            self.worker.loop.remove_reader(self._socket)
        self._socket.close()

    def _on_readable(self) -> None:
        for _ in range(AT_ONCE):
            try:
                end, address = self._socket.accept()
            except (BlockingIOError, ConnectionAbortedError, InterruptedError):
                return
            except OSError as error:
                if error.errno in EXHAUSTED:
                    self._rest(error)
                return
            end.setblocking(False)
            self.welcome(end, address[0])

    def welcome(self, end: socket.socket, client: str) -> None:
        """Somebody has come."""
        raise NotImplementedError  # pragma: no cover - an interface

    async def serve(self, make: Make, end: socket.socket) -> None:
        """Have what `make` makes speak to a client, in the clear."""
        try:
            await self.worker.loop.connect_accepted_socket(make, end)
        except OSError:
            end.close()

    def _rest(self, error: OSError) -> None:
        """The connection stays in the queue and its socket readable: to try again at once would be to do nothing
        else."""
        self.worker.loop.remove_reader(self._socket)
        self._pause = self.worker.loop.call_later(PAUSE, self.start)
        reason = errno.errorcode.get(error.errno or 0, "")
        self.worker.complaints.tell("accept_failed", reason, listener=self.address, error=error.strerror or "")


class Acceptor(Accepting):
    """Accepts those who may come by TLS."""

    def __init__(self, worker: Worker, door: Door, end: socket.socket) -> None:
        super().__init__(worker, door.address, end)
        self.door = door
        self._silent: dict[Waiting, None] = {}
        self._deadlines: Deadlines[Waiting] = Deadlines(worker.loop, COARSE)
        self.shaking = 0
        """Handshakes under way."""

    def __repr__(self) -> str:
        return f"<Acceptor {self.address}, {len(self._silent)} silent, {self.shaking} in a handshake>"

    def welcome(self, end: socket.socket, client: str) -> None:
        """See `Accepting.welcome`."""
        waiting = Waiting(self, end, client)
        refusal = "" if self.shaking < self.worker.connection_limit else "overloaded"
        places = self.worker.places
        if not refusal and places is not None and not places.take(waiting, is_coming=True):
            refusal = "too_many_connections"
        if refusal:
            self.worker.counters.refuse(refusal)
            end.close()
            return
        waiting.look()

    def close(self) -> None:
        """Accept no more. Who has not said anything goes; handshakes that are under way go on."""
        super().close()
        for each in list(self._silent):
            each.close()
        self._deadlines.stop()

    def listen_for(self, silent: Waiting) -> None:
        """A connection has said nothing yet. There may be as many as clients; whoever has been silent for longest makes
        room, so that silence keeps nobody out who speaks."""
        if len(self._silent) >= self.worker.connection_limit:
            next(iter(self._silent)).close()
        self._silent[silent] = None
        self._deadlines.watch(silent)

    def heard(self, silent: Waiting) -> None:
        """It has said something, or is gone."""
        self._silent.pop(silent, None)
        self._deadlines.discard(silent)


class Waiting:
    """A connection that has not said anything yet, or is in its handshake."""

    def __init__(self, acceptor: Acceptor, end: socket.socket, client: str) -> None:
        self.client = client
        self.listener = acceptor.door.address
        self.deadline = clock.monotonic() + acceptor.door.patience()
        self._worker = acceptor.worker
        self._acceptor = acceptor
        self._socket = end
        self._is_watched = False

    def __repr__(self) -> str:
        return f"<Waiting {self.client} on {self.listener}>"

    def on_deadline(self, now: float) -> None:
        """It has said nothing for as long as a head may take."""
        self.close()

    def look(self) -> None:
        """See what the first byte is, if it is there."""
        try:
            first = self._socket.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            if not self._is_watched:
                self._is_watched = True
                self._acceptor.listen_for(self)
                self._worker.loop.add_reader(self._socket, self.look)
            return
        except OSError:
            first = b""
        if not first:
            self.close()
            return
        self._stop_watching()
        spawn(self._come_in(by_tls=first == _HANDSHAKE), name=f"accept on {self.listener}")

    def close(self) -> None:
        """Let it go, before it has said anything."""
        self._stop_watching()
        self._socket.close()
        self._leave()

    def _leave(self) -> None:
        if self._worker.places is not None:
            self._worker.places.leave(self)

    def _stop_watching(self) -> None:
        if self._is_watched:
            self._is_watched = False
            self._acceptor.heard(self)
            self._worker.loop.remove_reader(self._socket)

    async def _come_in(self, *, by_tls: bool) -> None:
        acceptor = self._acceptor
        try:
            if by_tls:
                await self._shake_hands()
            else:
                await acceptor.serve(acceptor.door.in_the_clear, self._socket)
        finally:
            self._leave()

    async def _shake_hands(self) -> None:
        worker, acceptor = self._worker, self._acceptor
        context, make = acceptor.door.by_tls()
        limit = worker.snapshot.timeouts.handshake
        acceptor.shaking += 1
        try:
            await worker.loop.connect_accepted_socket(make, self._socket, ssl=context, ssl_handshake_timeout=limit)
        except OSError as error:
            self._socket.close()
            self._failed(*reason_of(error))
        finally:
            acceptor.shaking -= 1

    def _failed(self, reason: str, detail: str) -> None:
        worker = self._worker
        worker.counters.handshake_failures += 1
        worker.ledger.record_refusal(self, reason, 0, worker.next_request_id(), 0)
        worker.complaints.tell("handshake_failed", reason, client=self.client, listener=self.listener, detail=detail)
