"""What a browser asks before it sends another origin's request (the preflight of the Fetch standard), answered here.

The service never sees one. What the page of the origin is told on every answer is `dressing`'s business.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from meshctl.proxy.dressing import Origins
from meshctl.proxy.filters.reply import Filter, Reply, refusal
from meshctl.wire.fields import make

if TYPE_CHECKING:
    from meshctl.model.route import Route
    from meshctl.model.service import Service
    from meshctl.proxy.exchange import Exchange

USUAL: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
_VARY: Final = "Access-Control-Request-Method, Access-Control-Request-Headers"


def compile_filter(route: Route, _service: Service | None, _guard: Filter | None) -> Filter | None:
    """What answers the preflights of a route with `cors` (`proxy.preflights` knows them)."""
    if route.cors is None:
        return None
    cors, origins = route.cors, Origins(route.cors)
    methods = ", ".join(cors.methods or route.match.methods or USUAL)
    fixed = ["Access-Control-Allow-Methods", methods]
    if cors.headers:
        fixed += ["Access-Control-Allow-Headers", ", ".join(cors.headers)]
    if cors.max_age is not None:
        fixed += ["Access-Control-Max-Age", str(int(cors.max_age))]
    fields = make(*fixed, "Vary", _VARY)
    echoes = not cors.headers

    def answer(exchange: Exchange) -> Reply | None:
        request = exchange.request
        origin = request.header("origin") or ""
        if not origins.allows(origin):
            # Without the headers the browser refuses whatever the status is; this one tells people why.
            return refusal(exchange, "cors_refused", "pages of this origin may not ask")
        asked = request.header("access-control-request-headers") if echoes else None
        return Reply(204, fields if not asked else [*fields, *make("Access-Control-Allow-Headers", asked)])

    return answer
