"""How fast the answers of a route go out: each at most so many bytes of its body in a second."""

from __future__ import annotations

from typing import TYPE_CHECKING

from meshctl.proxy.filters.reply import Filter, Reply

if TYPE_CHECKING:
    from meshctl.model.route import Route
    from meshctl.model.service import Service
    from meshctl.proxy.exchange import Exchange


def compile_filter(route: Route, _service: Service | None, _guard: Filter | None) -> Filter | None:
    """The filter of a route with `bandwidth`. Only what follows a 101 is no answer; to ask for one slows down all the
    same."""
    rate = route.bandwidth
    if not rate:
        return None
    # It builds on the exchange, which is made of filters.
    from meshctl.proxy.faults import throttle

    def pace(exchange: Exchange) -> Reply | None:
        throttle(exchange, rate)
        return None

    return pace
