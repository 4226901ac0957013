"""The filter of routes to a service that another route guards otherwise: a request whose path a server could read as
one of that other route is refused, so that nobody gets around its guard by spelling.

It comes before all others, and looks no further at a path that can be read in one way alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from meshctl.core.spelling import is_odd, read_otherwise
from meshctl.proxy.filters.reply import Reply, refusal

if TYPE_CHECKING:
    from meshctl.core.match import Matchable
    from meshctl.model.route import Route
    from meshctl.proxy.exchange import Exchange


def unambiguous(exchange: Exchange) -> Reply | None:
    """400 for a path that leads around a guard."""
    if not is_odd(exchange.path) or exchange.route is None:
        return None
    table = exchange.snapshot.tables[exchange.stream.entry]

    def find(request: Matchable) -> Route | None:
        found = table.find(request)
        return found.config if found is not None else None

    other = read_otherwise(find, exchange.request, exchange.route.config)
    if other is None:
        return None
    name, path = other
    what = "is guarded" if name else "nobody is led to"
    return refusal(exchange, "bad_path", f"the path could also be read as {path}, which {what}: spell it plainly")
