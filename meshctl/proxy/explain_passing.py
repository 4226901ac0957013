"""What a request would meet of what changes messages on their way, in words, for `routes explain`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from meshctl.config.render_api import moment
from meshctl.core.accept_encoding import preferred
from meshctl.core.preflight import Asked, method_asked, without_headers
from meshctl.core.query_edits import edited, encoded
from meshctl.core.route_table import RouteTable
from meshctl.model.route import QueryEdits
from meshctl.model.units import format_size
from meshctl.proxy.codings import there
from meshctl.proxy.dressing import Origins, strict

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from meshctl.core.match import Matchable
    from meshctl.model.api import ApiRoute
    from meshctl.model.passing import Compression, Cors, JsonEdits
    from meshctl.model.route import Route
    from meshctl.wire.message import Request

_EDITS: Final = ("keep", "remove", "rename", "move", "set")
"""The kinds of edits of JSON, in the order in which they are made."""


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


def describe_api(route: Route) -> Iterator[str]:
    """Which version of an API the request means."""
    if route.api is not None:
        yield f"api: {_api(route.api)}"


def describe_cors(route: Route, request: Request) -> Iterator[str]:
    """Which pages may read the answer."""
    if route.cors is not None:
        yield f"cors: {_cors(route.cors, request)}"


def describe_security_headers(route: Route) -> Iterator[str]:
    """The names of those that the answer gets."""
    if route.security_headers is not None:
        names = ", ".join(name for name, _ in strict(route.security_headers))
        yield f"security headers: {names or 'none'}"


def describe_compression(route: Route, request: Request) -> Iterator[str]:
    """The coding that this client would get."""
    if route.compression is not None:
        yield f"compression: {_compression(route.compression, request)}"


def describe_json(name: str, edits: JsonEdits | None) -> Iterator[str]:
    """Which edits of JSON there are of what is called `name`, and up to which size."""
    if edits is not None:
        what = ", ".join(word for word in _EDITS if getattr(edits, word)) or "nothing"
        yield f"{name}: {what} in JSON of up to {format_size(edits.limit)}"


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
