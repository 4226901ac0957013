"""Who comes in at a listener, and how: members of the mesh over mutual TLS, anybody over HTTPS, and what those are told
who come in the clear where that does not do."""

from __future__ import annotations

import asyncio
import ssl
from typing import TYPE_CHECKING

from meshctl.proxy.acceptor import Make
from meshctl.proxy.caller import Arrival, Visit
from meshctl.proxy.downstream import Downstream
from meshctl.proxy.mesh_tls import EdgeTls
from meshctl.proxy.plain import Insecure, PlainCaller, Stranger
from meshctl.proxy.tls import ListenerTls

if TYPE_CHECKING:
    from meshctl.proxy.client_authorities import Asking
    from meshctl.proxy.listener import LiveListener
    from meshctl.proxy.worker import Worker


class MeshDoor:
    """For members of the mesh; a strict one for nobody else."""

    def __init__(self, worker: Worker, listener: LiveListener, *, is_strict: bool) -> None:
        self.address = listener.address
        self._worker = worker
        self._listener = listener
        self._is_strict = is_strict

    def __repr__(self) -> str:
        return f"<MeshDoor {self.address} {'strict' if self._is_strict else 'permissive'}>"

    def by_tls(self) -> tuple[ssl.SSLContext, Make]:
        """See `acceptor.Door`."""
        worker, listener = self._worker, self._listener
        shown = worker.mesh_tls
        assert shown is not None
        return shown.server, lambda: Arrival(worker, listener, shown)

    def in_the_clear(self) -> asyncio.BaseProtocol:
        """See `acceptor.Door`."""
        make = Stranger if self._is_strict else PlainCaller
        return make(self._worker, self._listener)

    def patience(self) -> float:
        """See `acceptor.Door`."""
        return self._worker.snapshot.timeouts.head


class HttpsDoor:
    """For anybody, over TLS."""

    def __init__(self, worker: Worker, listener: LiveListener, tls: ListenerTls | EdgeTls) -> None:
        self.address = listener.address
        self._worker = worker
        self._listener = listener
        self._tls = tls
        self._asking: Asking | None = None

    def __repr__(self) -> str:
        return f"<HttpsDoor {self.address}>"

    def by_tls(self) -> tuple[ssl.SSLContext, Make]:
        """See `acceptor.Door`."""
        worker, listener = self._worker, self._listener
        if worker.snapshot.asks_certificates:
            asking = self._asking = self._asking or _asking(worker)
            context = asking.context(self._tls)
            if context is not None:
                return context, lambda: Visit(worker, listener, asking)
        return self._tls.context, lambda: Downstream(worker, listener)

    def in_the_clear(self) -> asyncio.BaseProtocol:
        """See `acceptor.Door`."""
        return Insecure(self._worker, self._listener)

    def patience(self) -> float:
        """See `acceptor.Door`."""
        return self._worker.snapshot.timeouts.handshake


def _asking(worker: Worker) -> Asking:
    from meshctl.proxy.client_authorities import Asking

    return Asking(worker)
