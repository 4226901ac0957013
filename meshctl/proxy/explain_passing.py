"""What a request would meet of what changes messages on their way, in words, for `routes explain`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from meshctl.config.render_api import moment
from meshctl.core.accept_encoding import preferred
from meshctl.core.preflight import Asked, method_asked, without_headers
from meshctl.core.query_edits import edited, encoded
from meshctl.core.route_table import RouteTable
from meshctl.model.route import QueryEdits
from meshctl.model.units import format_size
from meshctl.proxy.codings import there
from meshctl.proxy.dressing import Origins, strict
from meshctl.proxy.explain_cache import describe_cache
from meshctl.proxy.explain_checked import describe_checked

if TYPE_CHECKING:
    from collections.abc import Sequence

    from meshctl.core.match import Matchable
    from meshctl.model.api import ApiRoute
    from meshctl.model.passing import Compression, Cors
    from meshctl.model.route import Route
    from meshctl.wire.message import Request


def table_for(routes: Sequence[Route], request: Request) -> tuple[RouteTable[Route], Matchable]:
    """The routes that compete for a request, and what they are asked: of a preflight what it is about, where it is
    answered here."""
    method = method_asked(request)
    if method:
        asked = Asked(request, method)
        table = RouteTable([(without_headers(each.match) if each.cors else each.match, each) for each in routes])
        found = table.find(asked)
        if found is not None and found.cors is not None:
            return table, asked
    return RouteTable([(each.match, each) for each in routes]), request


def describe_passing(route: Route, request: Request) -> tuple[str, ...]:
    """A line for each thing."""
    said = [f"api: {_api(route.api)}"] if route.api is not None else []
    if route.cors is not None:
        said.append(f"cors: {_cors(route.cors, request)}")
    if route.security_headers is not None:
        names = ", ".join(name for name, _ in strict(route.security_headers))
        said.append(f"security headers: {names or 'none'}")
    if route.compression is not None:
        said.append(f"compression: {_compression(route.compression, request)}")
    said += describe_checked(route, request)
    for name, edits in (("request body", route.request_body), ("answer's body", route.response_body)):
        if edits is not None:
            words = ("keep", "remove", "rename", "move", "set")
            what = ", ".join(word for word in words if getattr(edits, word)) or "nothing"
            said.append(f"{name}: {what} in JSON of up to {format_size(edits.limit)}")
    return (*said, *describe_cache(route, request))


def forwarded_query(route: Route, request: Request) -> str | None:
    """The query that would go on, variables as the route has them."""
    edits = route.request_query
    if edits == QueryEdits():
        return request.query_string
    dropped = {*edits.remove, *(name for name, _ in edits.set)}
    added = [f"{encoded(name)}={value}" for name, value in (*edits.set, *edits.add)]
    return edited(request.query_string, dict(edits.rename), dropped, added)


def _api(said: ApiRoute) -> str:
    if said.status:
        reason = "unknown_api_version" if said.part == "unknown" else "api_version_missing"
        return f"none of the versions of {said.api}: {said.status} {reason}"
    words = [f"version {said.version} of {said.api}"]
    if said.part == "default":
        words.append("for requests that say none")
    if said.deprecated is not None:
        words.append(f"deprecated from {moment(said.deprecated)} on")
    if said.sunset is not None:
        end = f"refused from {moment(said.sunset)} on: 410 api_version_gone"
        words.append(end if said.is_enforced else f"sunset {moment(said.sunset)}")
    return ", ".join(words)


def _compression(settings: Compression, request: Request) -> str:
    coding = preferred(request.header("accept-encoding") or "", there(settings.codings))
    if not coding:
        return "none that the client takes"
    return f"{coding} from {format_size(settings.minimum)} on"


def _cors(cors: Cors, request: Request) -> str:
    origin = request.header("origin")
    if origin is None:
        return f"pages of {', '.join(cors.origins)} may read the answer"
    if not Origins(cors).allows(origin):
        is_preflight = bool(method_asked(request))
        return f"pages of {origin} may not: " + ("403 cors_refused" if is_preflight else "they are told nothing")
    answered = ", and the proxy answers that itself: 204" if method_asked(request) else ""
    return f"pages of {origin} may{answered}"
