"""Who still calls versions of APIs that are to go, as one worker has seen it: so that people know whom they would cut
off.

Bounded: of more callers of a version than `MOST_CALLERS` the one seen longest ago is forgotten.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from meshctl.model.limits import By
from meshctl.model.views import ApiCallerView
from meshctl.proxy.counted import counted, shown

if TYPE_CHECKING:
    from meshctl.proxy.exchange import Exchange

MOST_CALLERS: Final = 1_000
"""Callers of one version that are remembered; of more, those that were seen last."""
IDENTITY: Final = "identity"
ADDRESS: Final = "address"

_KNOWN: Final = By("key")
_address = counted(By("client_ip"))

Caller = tuple[str, str]
"""By what it is known (the name of an [auth] table, "identity" or "address"), and who it is."""


class ApiCallers:
    """The callers of each version."""

    def __init__(self) -> None:
        self._seen: dict[tuple[str, str], dict[Caller, tuple[int, float]]] = {}

    def __repr__(self) -> str:
        return f"<ApiCallers of {len(self._seen)} versions>"

    def came(self, api: str, version: str, exchange: Exchange, now: float) -> None:
        """A request for a version has come."""
        callers = self._seen.get((api, version))
        if callers is None:
            callers = self._seen[api, version] = {}
        caller = caller_of(exchange)
        # The last one seen is the last in order.
        count, _ = callers.pop(caller, (0, 0.0))
        if len(callers) >= MOST_CALLERS:
            del callers[next(iter(callers))]
        callers[caller] = count + 1, now

    def views(self) -> list[ApiCallerView]:
        """How often each came, and when last."""
        return [
            ApiCallerView(api, version, who, via, count, last)
            for (api, version), callers in self._seen.items()
            for (via, who), (count, last) in callers.items()
        ]


def caller_of(exchange: Exchange) -> Caller:
    """Who sent a request, by the best that is known of it."""
    principal = exchange.principal
    if principal is not None:
        return principal.way, shown(principal.subject, _KNOWN)
    known = exchange.stream.identity or exchange.stream.peer
    return (IDENTITY, known) if known else (ADDRESS, shown(_address(exchange), _KNOWN))
