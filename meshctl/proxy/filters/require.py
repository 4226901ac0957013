"""What callers of a route must have: 403 with the name of the first rule that is not met."""

from __future__ import annotations

from typing import TYPE_CHECKING

from meshctl.proxy.client_address import client_address
from meshctl.proxy.filters.reply import Filter, Reply, refusal
from meshctl.wire.challenge import challenge

if TYPE_CHECKING:
    from meshctl.core.principal import Principal
    from meshctl.model.route import Route
    from meshctl.model.service import Service
    from meshctl.proxy.exchange import Exchange


def compile_filter(route: Route, _service: Service | None, _guard: Filter | None) -> Filter | None:
    """The filter of a route with `require`."""
    if not route.require:
        return None
    from meshctl.core.permission import Rule, first_lack

    rules = tuple(map(Rule, route.require))
    asks_addresses = any(each.addresses for each in route.require)

    def check(exchange: Exchange) -> Reply | None:
        principal = exchange.principal or _unasked(exchange)
        address = client_address(exchange) if asks_addresses else ""
        lack = first_lack(rules, exchange.request.method, exchange.path, principal, address)
        if lack is None:
            return None
        who = f'"{principal.subject}"' if principal.subject else "the caller"
        said = []
        if lack.scopes:
            scope = " ".join(lack.scopes)
            said.append(challenge("Bearer", realm=exchange.snapshot.mesh.name, error="insufficient_scope", scope=scope))
        return refusal(exchange, f"denied:{lack.rule}", f"{who} {lack.detail}", *said)

    return check


def _unasked(exchange: Exchange) -> Principal:
    """What is known of a caller whom nobody asked: the identity that it connected with."""
    from meshctl.core.principal import Principal
    from meshctl.proxy.ways import identity_of

    return Principal(exchange.stream.peer, "", identity=identity_of(exchange.stream))
