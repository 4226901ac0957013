"""The request as the endpoint will see it: HTTP/1.1 bytes built from the client's head and the route's edits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from meshctl.wire.fields import encode_fields

if TYPE_CHECKING:
    from meshctl.proxy.exchange import Exchange

VIA = b"Via: 1.1 meshctl\r\n"
"""RFC 9110 §7.6.3: what passes a gateway says so."""


def encode_request(exchange: Exchange) -> bytes:
    """The request's head with what the proxy adds: who the client was, the identifiers, the framing."""
    request = exchange.request
    route = exchange.route
    assert route is not None
    drop = route.request_drop
    if request.named:
        drop = drop | request.named
    fields = request.fields
    if drop:
        fields = [field for field in fields if field[0] not in drop]
    if request.length > 0:
        framing = b"Content-Length: %d\r\n" % request.length
    elif request.chunked:
        framing = b"Transfer-Encoding: chunked\r\n"
    else:
        framing = b"Content-Length: 0\r\n" if b"content-length" in request.special else b""
    if request.upgrade:
        framing += b"Connection: Upgrade\r\nUpgrade: %b\r\n" % request.upgrade
    if request.expects_continue and not request.is_http10 and request.length and not exchange.attempt:
        framing += b"Expect: 100-continue\r\n"
    if exchange.is_verbatim and route.target is None:
        target = request.target
    else:
        target = forwarded_target(exchange).encode("latin-1")
    return b"%b %b HTTP/1.1\r\nHost: %b\r\n%b%bX-Request-Id: %b\r\ntraceparent: %b\r\n%b%b%b\r\n" % (
        request.method.encode(),
        target,
        route.authority or request.authority or endpoint_authority(exchange),
        encode_fields(fields),
        forwarding_lines(exchange),
        exchange.request_id,
        exchange.traceparent,
        VIA,
        route.request_lines,
        framing,
    )


def forwarded_target(exchange: Exchange) -> str:
    """The path as it was matched, rewritten where the route says so, with the query as it came."""
    route = exchange.route
    assert route is not None
    path = exchange.path if route.target is None else route.target(exchange.path)
    query = exchange.request.query_string
    return path if query is None else f"{path}?{query}"


def forwarding_lines(exchange: Exchange) -> bytes:
    """X-Forwarded-For, -Proto and -Host, and Forwarded (RFC 7239) where asked for. What a peer sent of them counts only if
    it is trusted; else it is replaced, so that nobody invents an address."""
    stream = exchange.stream
    request = exchange.request
    special = request.special
    client = stream.client.encode("latin-1")
    proto, host = stream.scheme.encode(), request.authority
    chain = client
    if stream.trusted:
        proto = special.get(b"x-forwarded-proto", proto)
        host = special.get(b"x-forwarded-host", host)
        before = special.get(b"x-forwarded-for")
        chain = before + b", " + client if before else client
    lines = b"X-Forwarded-For: %b\r\nX-Forwarded-Proto: %b\r\nX-Forwarded-Host: %b\r\n" % (chain, proto, host)
    via = special.get(b"via")
    if via:
        lines += b"Via: %b\r\n" % via
    if not exchange.snapshot.forwarded:
        return lines
    node = b'"[%b]"' % client if b":" in client else client
    element = b'for=%b;proto=%b;host="%b"' % (node, stream.scheme.encode(), request.authority.replace(b'"', b""))
    before = special.get(b"forwarded") if stream.trusted else None
    return lines + b"Forwarded: %b\r\n" % (before + b", " + element if before else element)


def endpoint_authority(exchange: Exchange) -> bytes:
    """The Host for a client that sent none (HTTP/1.0): the endpoint's own address."""
    endpoint = exchange.endpoint
    assert endpoint is not None
    return b"localhost" if endpoint.config.unix else endpoint.config.address.encode("latin-1")
