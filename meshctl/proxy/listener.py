"""A listening socket that accepts clients, in the clear or over TLS. The supervisor bound it; this serves it."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING, Final

from meshctl.proxy.acceptor import Acceptor
from meshctl.proxy.connect import Outbound, Outgoing
from meshctl.proxy.downstream import Downstream
from meshctl.proxy.mesh_tls import EdgeTls
from meshctl.proxy.messages import ListenerSpec
from meshctl.proxy.relay import Near
from meshctl.proxy.tasks import spawn
from meshctl.proxy.tls import CertificateProblem, ListenerTls

if TYPE_CHECKING:
    from meshctl.proxy.worker import Worker

BACKLOG: Final = 4096

CLIENTS: Final[dict[str, type[Downstream | Near]]] = {"outbound": Outbound, "upstream": Outgoing, "tcp": Near}
"""What a listener's clients are, by the word its entry begins with; `Downstream` where it is none of these."""


class LiveListener:
    """One listener of a worker. Raises ValueError where its certificate does not load."""

    def __init__(self, worker: Worker, spec: ListenerSpec, end: socket.socket, handshake: float) -> None:
        self.key = spec.key
        self.address = spec.address
        self.entry = spec.entry
        self.scheme = "https" if spec.certificates or spec.mesh else "http"
        self._worker = worker
        self._socket = end
        self._handshake = handshake
        self._server: asyncio.Server | None = None
        self._acceptor: Acceptor | None = None
        self._closed = False
        self.tls = self.prepare(spec)
        self._edge = EdgeTls(worker) if spec.mesh == "edge" else None
        if spec.mesh:
            self._make_member(spec)

    def __repr__(self) -> str:
        state = "closed" if self._closed else "open" if self._server else "prepared"
        return f"<LiveListener {self.scheme}://{self.address} {state}>"

    def prepare(self, spec: ListenerSpec) -> ListenerTls | None:
        """The certificates of a new revision, loaded but not used yet. Raises ValueError where they do not load."""
        try:
            return ListenerTls(spec.certificates) if spec.certificates else None
        except CertificateProblem as problem:
            raise ValueError(str(problem)) from problem

    def _make_member(self, spec: ListenerSpec) -> None:
        worker = self._worker
        if worker.mesh_tls is None:
            raise ValueError("the listener needs an identity in the mesh, which this proxy has not got yet")
        if spec.mesh == "edge":
            if worker.mesh_tls.edge is None:
                raise ValueError("the listener needs a certificate of the mesh's CA, which this proxy has not got yet")
            return
        self._acceptor = Acceptor(worker, self, self._socket, is_strict=spec.mesh == "strict")

    def start(self) -> None:
        """Accept from now on: clients that come before the server is made wait for it."""
        self._socket.listen(BACKLOG)
        if self._acceptor is not None:
            self._acceptor.start()
            return
        spawn(self._start(), name=f"listen {self.address}")

    async def _start(self) -> None:
        tls = self._edge or self.tls
        make = CLIENTS.get(self.entry.partition(":")[0], Downstream)
        self._server = await self._worker.loop.create_server(
            lambda: make(self._worker, self),
            sock=self._socket,
            backlog=BACKLOG,
            ssl=tls.context if tls else None,
            ssl_handshake_timeout=self._handshake if tls else None,
        )
        if self._closed:
            self._server.close()

    def close(self) -> None:
        """Accept no more. Connections that are open go on."""
        if self._closed:
            return
        self._closed = True
        if self._acceptor is not None:
            self._acceptor.close()
        elif self._server is not None:
            self._server.close()
        else:
            self._socket.close()
