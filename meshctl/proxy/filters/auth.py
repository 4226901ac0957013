"""Who calls a route: the guard that was made for it (`proxy.guard`) is its filter."""

from __future__ import annotations

from typing import TYPE_CHECKING

from meshctl.proxy.filters.reply import Filter

if TYPE_CHECKING:
    from meshctl.model.route import Route
    from meshctl.model.service import Service


def compile_filter(_route: Route, _service: Service | None, guard: Filter | None) -> Filter | None:
    """The filter of a route with `auth`, or to a service that is told claims elsewhere."""
    return guard
