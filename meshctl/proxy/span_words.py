"""What a span says of a request and of each try to have it answered, in the words of OpenTelemetry's semantic
conventions for HTTP, and where these have none, in our own (`meshctl.…`). Times become those of the wall clock.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from meshctl import clock
from meshctl.model.names import GATEWAY
from meshctl.model.tracing import Span
from meshctl.proxy.forward import forwarded_target

if TYPE_CHECKING:
    from meshctl.proxy.exchange import Exchange
    from meshctl.proxy.trail import Trail, Try

Attributes = dict[str, str | int]

_METHODS: Final = frozenset(("GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", "QUERY"))


def spans(exchange: Exchange, trail: Trail) -> list[Span]:
    """The span of a request that has ended, and those of its tries."""
    offset = clock.wall() - clock.monotonic()
    trace, own, state = trail.trace.decode(), trail.span.decode(), trail.state.decode("latin-1")
    status, reason = exchange.status, exchange.reason
    attributes = _server(exchange)
    failed = status == 0 or status >= 500
    if failed:
        attributes["error.type"] = reason or str(status)
    method = _method(exchange)
    route = attributes.get("http.route")
    found = [
        Span(
            trace, own, trail.parent.decode(), state, f"{method} {route}" if route else method, True,
            _nanoseconds(exchange.started + offset), _nanoseconds(exchange.finished + offset), failed, attributes,
        )
    ]  # fmt: skip
    for number, each in enumerate(trail.tries(exchange)):
        failed = each.status == 0 or each.status >= 400
        found.append(
            Span(
                trace, each.id.decode(), own, state, method, False, _nanoseconds(each.started + offset),
                _nanoseconds(each.ended + offset), failed, _client(exchange, each, number),
            )
        )  # fmt: skip
    return found


def _server(exchange: Exchange) -> Attributes:
    request, stream, route = exchange.request, exchange.stream, exchange.route
    found: Attributes = _about(exchange) | {
        "url.path": exchange.path or request.path,
        "url.scheme": stream.scheme,
        "meshctl.entry": stream.entry,
        "meshctl.request_id": exchange.request_id.decode("latin-1"),
        "meshctl.retries": exchange.attempt,
    }
    if request.query_string is not None and not _is_redacted(exchange):
        found["url.query"] = request.query_string
    _put_host(found, request.authority.decode("latin-1"))
    if exchange.status:
        found["http.response.status_code"] = exchange.status
    agent = request.special.get(b"user-agent", b"").decode("latin-1")
    texts = {
        "client.address": stream.client,
        "user_agent.original": agent,
        "meshctl.peer": stream.peer,
        "meshctl.reason": exchange.reason,
        "meshctl.route": route.name if route is not None else "",
        "meshctl.service": exchange.service.name if exchange.service is not None else "",
        "meshctl.version": exchange.version.name if exchange.version is not None else "",
        "meshctl.endpoint": exchange.endpoint.address if exchange.endpoint is not None else "",
    }
    found |= {name: text for name, text in texts.items() if text}
    # Within the mesh all paths of a service are one route.
    if route is not None and route.config.entry == GATEWAY:
        found["http.route"] = route.config.match.path.value
    return found


def _client(exchange: Exchange, each: Try, number: int) -> Attributes:
    request, endpoint = exchange.request, each.endpoint
    found = _about(exchange)
    if number:
        found["http.request.resend_count"] = number
    if each.status:
        found["http.response.status_code"] = each.status
    if each.status >= 400 or not each.status:
        found["error.type"] = str(each.status) if each.status else each.reason or "cancelled"
    if each.reason:
        found["meshctl.reason"] = each.reason
    if exchange.service is not None:
        found["meshctl.service"] = exchange.service.name
        found["peer.service"] = exchange.service.name
    if each.version is not None:
        found["meshctl.version"] = each.version.name
    found["meshctl.endpoint"] = endpoint.address
    host, port = _parted(endpoint.address)
    found["network.peer.address"] = host
    if port:
        found["network.peer.port"] = port
    config = endpoint.config
    found["server.address"] = config.unix or config.host
    if config.port:
        found["server.port"] = config.port
    scheme = "https" if endpoint.tls is not None or config.mesh else "http"
    route = exchange.route
    authority = ((route.authority if route is not None else b"") or request.authority).decode("latin-1")
    target = forwarded_target(exchange)
    if _is_redacted(exchange):
        target = target.partition("?")[0]
    found["url.full"] = f"{scheme}://{authority or host}{target}"
    return found


def _about(exchange: Exchange) -> Attributes:
    """What both sides say."""
    method = exchange.request.method
    found: Attributes = {"http.request.method": _method(exchange)}
    if method not in _METHODS:
        found["http.request.method_original"] = method
        found["http.request.method"] = "_OTHER"
    found["network.protocol.version"] = "1.0" if exchange.request.is_http10 else "1.1"
    return found


def _method(exchange: Exchange) -> str:
    """As it stands in a span's name, where words of a client's own would be without number."""
    method = exchange.request.method
    return method if method in _METHODS else "HTTP"


def _is_redacted(exchange: Exchange) -> bool:
    """Whether queries are not written, as in the access log."""
    return exchange.snapshot.mesh.gateway.access_log.redact


def _put_host(found: Attributes, authority: str) -> None:
    host, port = _parted(authority)
    if host:
        found["server.address"] = host
    if port:
        found["server.port"] = port


def _parted(address: str) -> tuple[str, int]:
    host, colon, port = address.rpartition(":")
    if not colon or not port.isdecimal() or not port.isascii() or len(port) > 5:
        return address.strip("[]"), 0
    return host.strip("[]"), int(port)


def _nanoseconds(seconds: float) -> int:
    return int(seconds * 1e9)
