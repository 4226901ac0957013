"""The open connections with other members of the mesh, in both directions, and what becomes of them when this proxy's
identity or its trust changes.

    a peer's certificate is revoked    its connections are cut at once
    our own certificate is replaced    those made with the old one end as they become idle: no request may notice

Must not know what is spoken over them.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol, runtime_checkable
from weakref import WeakKeyDictionary

from meshctl import clock
from meshctl.pki.peer import Verdict
from meshctl.proxy.mesh_tls import MeshTls

if TYPE_CHECKING:
    from meshctl.proxy.worker import Worker

GRACE: Final = 5.0
"""Seconds a connection of an old generation may be idle before it is closed. Who calls closes its own idle ones at
once; whoever is called waits, because a request may be on its way."""


@runtime_checkable
class Member(Protocol):
    """A protocol that keeps its transport."""

    transport: asyncio.Transport


@runtime_checkable
class Retiring(Protocol):
    """One that can be asked to end without anybody noticing; others go on until they end by themselves."""

    def retire(self, now: float) -> None:
        """End as soon as nothing is under way. Called again every `GRACE` seconds until it has."""


class Standing(NamedTuple):
    """Whom a connection is with, and as whom we are known to it."""

    serial: str
    generation: int


class Membership:
    """The connections of one worker. They are forgotten as they end, without a word of theirs."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._open: WeakKeyDictionary[Member, Standing] = WeakKeyDictionary()
        self._is_retiring = False

    def __repr__(self) -> str:
        return f"<Membership {len(self._open)} connections>"

    def note(self, member: Member, verdict: Verdict, shown: MeshTls) -> None:
        """A connection stands with the peer of that verdict, to whom we showed what `shown` has."""
        self._open[member] = Standing(verdict.serial, shown.generation)
        current = self._worker.mesh_tls
        if current is not None and shown.generation < current.generation:
            # Its handshake was under way when the new one came.
            self._retire(member)

    def adopt(self, tls: MeshTls) -> None:
        """`tls` holds from now on."""
        for member, (serial, generation) in list(self._open.items()):
            if member.transport.is_closing():
                del self._open[member]
            elif serial in tls.revoked:
                member.transport.abort()
            elif generation < tls.generation:
                self._retire(member)

    def _retire(self, member: Member) -> None:
        if not isinstance(member, Retiring):
            return
        member.retire(clock.monotonic())
        if not self._is_retiring:
            self._is_retiring = True
            self._worker.loop.call_later(GRACE, self._retire_again)

    def _retire_again(self) -> None:
        self._is_retiring = False
        if self._worker.mesh_tls is not None:
            self.adopt(self._worker.mesh_tls)
