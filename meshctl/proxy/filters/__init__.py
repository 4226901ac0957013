"""The filters, in the order in which a request meets them: one file each, listed here and nowhere else.

A factory takes a route and the service it leads to, if any, and returns a filter, or None where the route does not ask
for it: what is not configured costs nothing. A filter takes the exchange and returns None to let it go on, or the
`Reply` that ends it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from meshctl.proxy.filters import access, raw_only, redirect, respond
from meshctl.proxy.filters.reply import Filter, Reply

if TYPE_CHECKING:
    from meshctl.model.route import Route
    from meshctl.model.service import Service

__all__ = ["FILTERS", "Filter", "Reply"]

FILTERS: Final[dict[str, Callable[[Route, Service | None], Filter | None]]] = {
    "access": access.compile_filter,
    "raw_only": raw_only.compile_filter,
    "redirect": redirect.compile_filter,
    "respond": respond.compile_filter,
}
