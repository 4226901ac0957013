"""Who still comes in plain HTTP to where the mesh speaks mutual TLS: refused at a strict listener, and at a permissive
one served and remembered, so that people know whom strict would refuse."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from meshctl import clock
from meshctl.model.views import PlainCallerView
from meshctl.proxy.downstream import Downstream

if TYPE_CHECKING:
    from meshctl.proxy.listener import LiveListener
    from meshctl.proxy.worker import Worker

MOST_CALLERS: Final = 1_000
"""Addresses that are remembered; of more, those that were seen last."""


class PlainCallers:
    """The addresses that one worker served in the clear."""

    def __init__(self) -> None:
        self._seen: dict[str, tuple[int, float]] = {}
        self._open: dict[str, int] = {}

    def __repr__(self) -> str:
        return f"<PlainCallers {len(self._seen)}>"

    def came(self, address: str) -> None:
        """A connection was made from `address`."""
        # The last one seen is the last in order.
        count, _ = self._seen.pop(address, (0, 0.0))
        if len(self._seen) >= MOST_CALLERS:
            del self._seen[next(iter(self._seen))]
        self._seen[address] = count + 1, clock.wall()
        self._open[address] = self._open.get(address, 0) + 1

    def left(self, address: str) -> None:
        """A connection from `address` has ended."""
        self._open[address] -= 1
        if not self._open[address]:
            del self._open[address]
        if address in self._seen:
            count, _ = self._seen.pop(address)
            self._seen[address] = count, clock.wall()

    def views(self, service: str) -> list[PlainCallerView]:
        """How often each connected to `service`, and when it was last there: now, where it still is."""
        now = clock.wall()
        return [
            PlainCallerView(service, address, count, now if address in self._open else last)
            for address, (count, last) in self._seen.items()
        ]


class PlainCaller(Downstream):
    """A client in the clear, at a permissive listener."""

    def __init__(self, worker: Worker, listener: LiveListener) -> None:
        super().__init__(worker, listener)
        self.scheme = "http"

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.worker.plain_callers.came(self.client)

    def connection_lost(self, exc: Exception | None) -> None:
        self.worker.plain_callers.left(self.client)
        super().connection_lost(exc)


class Stranger(Downstream):
    """A client in the clear, where only members of the mesh come in: it is told so in the language that it most likely
    speaks."""

    reason = "mtls_required"
    detail = "this port takes mutual TLS from members of the mesh alone"

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.scheme = "http"
        super().connection_made(transport)
        if self._closing:
            return
        # Something was sent: it is let come in and thrown away while the client reads its answer.
        self._head_bytes = 1
        self._refuse(self.reason, self.detail)
        self.worker.complaints.tell("plain_refused", self.reason, client=self.client, listener=self.listener)


class Insecure(Stranger):
    """A client in the clear, where HTTPS is spoken."""

    reason = "https_required"
    detail = "this port takes HTTPS: call it by https://"
