"""A route that sends the client elsewhere (RFC 9110 §15.4)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from meshctl.core.match import PATTERNS
from meshctl.core.paths import replace_prefix
from meshctl.model.route import Redirect
from meshctl.proxy.filters.edits import edit
from meshctl.proxy.filters.reply import Filter, Reply
from meshctl.wire.fields import make

if TYPE_CHECKING:
    from meshctl.model.route import Route
    from meshctl.model.service import Service
    from meshctl.proxy.exchange import Exchange

_DEFAULT_PORTS: Final = {"http": 80, "https": 443}


def compile_filter(route: Route, _service: Service | None, _guard: Filter | None) -> Filter | None:
    """The filter of a route with `redirect`."""
    redirect = route.redirect
    if redirect is None:
        return None
    matched = route.match.path
    prefix = "/" if matched.kind in PATTERNS else matched.value

    def answer(exchange: Exchange) -> Reply:
        fields = make("Location", location(redirect, prefix, exchange))
        return Reply(redirect.status, edit(fields, route.response_headers))

    return answer


def location(redirect: Redirect, prefix: str, exchange: Exchange) -> str:
    """The absolute URL: what the redirect does not give stays as in the request. A new scheme or host takes its own
    default port, since the request's port belongs to the address it came to."""
    request = exchange.request
    scheme = redirect.scheme or exchange.stream.scheme
    host = redirect.host or request.host
    port = redirect.port
    if port is None and redirect.scheme is None and redirect.host is None:
        _, mark, given = request.authority.decode("latin-1").rpartition(":")
        port = int(given) if mark and given.isdigit() else None
    path = exchange.path
    if redirect.path is not None:
        path = redirect.path
    elif redirect.prefix is not None:
        path = replace_prefix(path, prefix, redirect.prefix)
    query = request.query_string
    shown = f"[{host}]" if ":" in host else host
    where = shown if port in {None, _DEFAULT_PORTS.get(scheme)} else f"{shown}:{port}"
    return f"{scheme}://{where}{path}" + ("" if query is None else f"?{query}")
