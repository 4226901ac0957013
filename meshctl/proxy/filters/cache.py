"""Whether a request is answered from what is kept, waits for what another one has asked for, or goes to its service.

Stands behind all that decides who may ask: nobody is given what they may not have. The rest of it is `proxy.caching`'s.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from meshctl.proxy.filters.reply import Filter

if TYPE_CHECKING:
    from meshctl.model.route import Route
    from meshctl.model.service import Service


def compile_filter(route: Route, service: Service | None, _guard: Filter | None) -> Filter | None:
    """The filter of a route with `cache`."""
    if route.cache is None or service is None:
        return None
    from meshctl.proxy.cache_filter import CacheFilter

    return CacheFilter(route, route.cache)
