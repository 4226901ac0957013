"""A route whose answer is made of parts: the last of its filters asks for them and answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from meshctl.proxy.filters.reply import LATER, Filter, Reply

if TYPE_CHECKING:
    from meshctl.model.route import Route
    from meshctl.model.service import Service
    from meshctl.proxy.exchange import Exchange


def compile_filter(route: Route, _service: Service | None, _guard: Filter | None) -> Filter | None:
    """The filter of a route with `parts`."""
    if not route.parts:
        return None
    from meshctl.proxy.assembling import Assembly

    def assemble(exchange: Exchange) -> Reply | None:
        assert exchange.route is not None
        assert exchange.route.plan is not None
        Assembly(exchange, exchange.route.plan).begin()
        return LATER

    return assemble
