"""The routes of a snapshot where some answer pages of other origins: a preflight finds the one it is about.

Stands in the place of the plain table only where a route has `cors`, so that others pay nothing for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from meshctl.core.match import Matchable
from meshctl.core.preflight import OPTIONS, Asked, method_asked, without_headers
from meshctl.core.route_table import RouteTable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from meshctl.proxy.snapshot import CompiledRoute


class PreflightTable(RouteTable["CompiledRoute"]):
    """See the module."""

    def __init__(self, routes: Sequence[CompiledRoute]) -> None:
        super().__init__([(route.config.match, route) for route in routes])
        self._of_requests = self.find
        self._of_preflights = RouteTable(
            [(without_headers(each.config.match) if each.config.cors else each.config.match, each) for each in routes]
        )
        self.find = self._find

    def _find(self, request: Matchable) -> CompiledRoute | None:
        if request.method != OPTIONS or not (asked := method_asked(request)):
            return self._of_requests(request)
        found = self._of_preflights.find(Asked(request, asked))
        if found is None or found.preflight is None:
            found = self._of_requests(request)
        return found if found is None else found.preflight or found
