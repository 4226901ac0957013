"""A route to a service that speaks no HTTP: connections pass, requests are told how it is called."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from meshctl.proxy.filters.reply import Filter, Reply, refusal

if TYPE_CHECKING:
    from meshctl.model.route import Route
    from meshctl.model.service import Service
    from meshctl.proxy.exchange import Exchange

_CONNECTIONS: Final = frozenset(("TCP", "CONNECT"))
"""The methods of what carries bytes. The first comes from no client: there is no such request."""


def compile_filter(_route: Route, service: Service | None, _guard: Filter | None) -> Filter | None:
    """The filter of a route to a service with `protocol = "tcp"`."""
    return check if service is not None and service.protocol == "tcp" else None


def check(exchange: Exchange) -> Reply | None:
    """400 for a request; its bytes would only confuse who is not spoken to in HTTP."""
    if exchange.request.method in _CONNECTIONS or exchange.service is None:
        return None
    name = exchange.service.name
    detail = f'service "{name}" takes raw TCP: call it on a port of its own (--upstream {name}:tcp)'
    return refusal(exchange, "not_http", detail)
