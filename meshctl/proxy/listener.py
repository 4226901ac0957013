"""A listening socket that accepts clients, in the clear or over TLS. The supervisor bound it; this serves it."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING, Final

from meshctl.proxy.acceptor import Accepting, Acceptor, Door
from meshctl.proxy.connect import Outbound, Outgoing
from meshctl.proxy.doors import HttpsDoor, MeshDoor
from meshctl.proxy.downstream import Downstream
from meshctl.proxy.mesh_tls import EdgeTls
from meshctl.proxy.messages import ListenerSpec
from meshctl.proxy.own_door import OwnDoor, users_let_in
from meshctl.proxy.relay import Near
from meshctl.proxy.tasks import spawn
from meshctl.proxy.tls import CertificateProblem, ListenerTls

if TYPE_CHECKING:
    from meshctl.proxy.worker import Worker

BACKLOG: Final = 4096
NO_FILES: Final = "the limit of open files is reached"

CLIENTS: Final[dict[str, type[Downstream | Near]]] = {"outbound": Outbound, "upstream": Outgoing, "tcp": Near}
"""What a listener's clients are, by the word its entry begins with; `Downstream` where it is none of these."""


def is_for_app(entry: str) -> bool:
    """Whether what comes in there is from the wrapped app itself."""
    return entry.partition(":")[0] in CLIENTS


class LiveListener:
    """One listener of a worker. Raises ValueError where its certificate does not load."""

    def __init__(self, worker: Worker, spec: ListenerSpec, end: socket.socket) -> None:
        self.key = spec.key
        self.address = spec.address
        self.entry = spec.entry
        self.scheme = "https" if spec.certificates or spec.mesh else "http"
        self._worker = worker
        self._socket = end
        self._server: asyncio.Server | None = None
        self._closed = self._is_resting = False
        self.tls = self.prepare(spec)
        door = self._door(spec)
        self._acceptor = self._accepting(door, end)

    def __repr__(self) -> str:
        return f"<LiveListener {self.scheme}://{self.address}{' closed' if self._closed else ''}>"

    def prepare(self, spec: ListenerSpec) -> ListenerTls | None:
        """The certificates of a new revision, loaded but not used yet. Raises ValueError where they do not load."""
        try:
            return ListenerTls(spec.certificates) if spec.certificates else None
        except CertificateProblem as problem:
            raise ValueError(str(problem)) from problem

    def _accepting(self, door: Door | None, end: socket.socket) -> Accepting | None:
        """Who accepts, where the event loop does not do it by itself."""
        if door is not None:
            return Acceptor(self._worker, door, end)
        make = CLIENTS.get(self.entry.partition(":")[0])
        users = users_let_in() if make is not None else None
        if make is None or users is None:
            return None
        return OwnDoor(self._worker, self.address, end, lambda: make(self._worker, self), users)

    def _door(self, spec: ListenerSpec) -> Door | None:
        """Who comes in how, where it is not only in the clear."""
        worker = self._worker
        if self.tls is not None:
            return HttpsDoor(worker, self, self.tls)
        if not spec.mesh:
            return None
        if worker.mesh_tls is None:
            raise ValueError("the listener needs an identity in the mesh, which this proxy has not got yet")
        if spec.mesh != "edge":
            return MeshDoor(worker, self, is_strict=spec.mesh == "strict")
        if worker.mesh_tls.edge is None:
            raise ValueError("the listener needs a certificate of the mesh's CA, which this proxy has not got yet")
        return HttpsDoor(worker, self, EdgeTls(worker))

    def start(self) -> None:
        """Accept from now on: clients that come before the server is made wait for it."""
        self._socket.listen(BACKLOG)
        if self._acceptor is not None:
            self._acceptor.start()
            return
        spawn(self._start(), name=f"listen {self.address}")

    async def _start(self) -> None:
        make = CLIENTS.get(self.entry.partition(":")[0], Downstream)
        try:
            # Closing a server closes its socket: those who come while it rests wait at ours.
            end = self._socket.dup()
        except OSError:
            self._is_resting = not self._closed
            return
        self._server = await self._worker.loop.create_server(
            lambda: make(self._worker, self), sock=end, backlog=BACKLOG
        )
        if self._closed:
            self._server.close()

    def rest(self) -> None:
        """Accept nobody for now: there are no files left, and whom the event loop cannot take it would turn away. Who
        speaks TLS is accepted by who sees to that alone."""
        if self._server is not None and not self._is_resting:
            self._is_resting = True
            self._server.close()
            self._server = None
            self._worker.complaints.tell("accept_failed", "EMFILE", listener=self.address, error=NO_FILES)

    def wake(self) -> None:
        """Accept again, after a rest."""
        if self._is_resting and not self._closed:
            self._is_resting = False
            spawn(self._start(), name=f"listen {self.address}")

    def close(self) -> None:
        """Accept no more. Connections that are open go on."""
        if self._closed:
            return
        self._closed = True
        if self._acceptor is not None:
            self._acceptor.close()
            return
        if self._server is not None:
            self._server.close()
        self._socket.close()
