"""How many connections each client's address has at a listener that sets a limit to that (`connections_per_client`),
so that one stranger does not take the places of all others. Clients are told apart by the other end of the socket,
whatever they say of themselves: behind a proxy of one's own all are one. Of IPv6 the network of 64 bits counts, as one
client has all of it. Must not know what becomes of those who come in vain.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Final

from meshctl.proxy.counted import network

if TYPE_CHECKING:
    from meshctl.proxy.acceptor import Waiting
    from meshctl.proxy.client import Client
    from meshctl.proxy.complaints import Complaints
    from meshctl.proxy.relay import Near
    from meshctl.proxy.worker import Worker

Key = tuple[str, str, bool]
"""A listener, an address, and whether its connections are still on their way in."""

REASON: Final = "too_many_connections"


class Places:
    """The places of one worker."""

    def __init__(self, complaints: Complaints) -> None:
        self._complaints = complaints
        self._limits: Mapping[str, int] = {}
        self._holders: dict[Client | Near | Waiting, Key] = {}
        self._taken: dict[Key, int] = {}

    def __repr__(self) -> str:
        return f"<Places {len(self._holders)} taken at {len(self._limits)} listeners>"

    def adopt(self, limits: Mapping[str, int], clients: Iterable[Client | Near]) -> None:
        """Hold to these limits, by listener, from now on. Whoever is there stays, and counts."""
        self._limits = limits
        for holder, (listener, _, _) in list(self._holders.items()):
            if listener not in limits:
                self.leave(holder)
        for client in clients:
            if client.listener in limits and client not in self._holders:
                self._hold(client, (client.listener, network(client.client), False))

    def take(self, holder: Client | Near | Waiting, *, is_coming: bool = False) -> bool:
        """Whether there is a place for one more connection, which has it then. Whoever is on the way in makes room for
        nobody, and for the client that comes of it."""
        limit = self._limits.get(holder.listener)
        if limit is None:
            return True
        address = network(holder.client)
        taken = self._taken.get((holder.listener, address, False), 0)
        if is_coming:
            taken += self._taken.get((holder.listener, address, True), 0)
        if taken >= limit:
            self._complaints.tell("connection_refused", REASON, client=holder.client, listener=holder.listener)
            return False
        self._hold(holder, (holder.listener, address, is_coming))
        return True

    def leave(self, holder: Client | Near | Waiting) -> None:
        """Give the place back, if there was one."""
        key = self._holders.pop(holder, None)
        if key is None:
            return
        left = self._taken[key] - 1
        if left:
            self._taken[key] = left
        else:
            del self._taken[key]

    def _hold(self, holder: Client | Near | Waiting, key: Key) -> None:
        self._holders[holder] = key
        self._taken[key] = self._taken.get(key, 0) + 1


def limit_clients(worker: Worker, limits: Mapping[str, int]) -> None:
    """Let each client have so many connections at these listeners, by address."""
    if worker.places is None:
        worker.places = Places(worker.complaints)
    worker.places.adopt(limits, worker.clients)
