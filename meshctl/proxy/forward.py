"""The request as the endpoint will see it: HTTP/1.1 bytes built from the client's head and the route's edits."""

from __future__ import annotations

from collections.abc import Container
from typing import TYPE_CHECKING, Final

from meshctl.core.deadline import GRPC_TIMEOUT, REQUEST_TIMEOUT, encode, encode_grpc
from meshctl.proxy.shaping import made
from meshctl.proxy.stream import Forwarded
from meshctl.proxy.timers import NEVER
from meshctl.wire.fields import CRLF, MIRROR, without
from meshctl.wire.message import CHUNKED

if TYPE_CHECKING:
    from meshctl.proxy.exchange import Exchange

VIA: Final = b"Via: 1.1 meshctl"
"""RFC 9110 §7.6.3: what passes a gateway says so."""

_WHO_WAS_IT: Final = (b"X-Forwarded-For", b"X-Forwarded-Proto", b"X-Forwarded-Host", b"Forwarded")
_MIRROR: Final = b"X-Meshctl-Mirror"
_SAID: Final = tuple((name.lower(), name + b": ") for name in (*_WHO_WAS_IT, _MIRROR, b"Via"))
_TOLD_ON: Final = frozenset((*(name.lower() for name in _WHO_WAS_IT), MIRROR, b"via"))


def encode_request(exchange: Exchange) -> bytes:
    """The request's head with what the proxy adds: who the client was, the identifiers, the framing."""
    request = exchange.request
    route = exchange.route
    assert route is not None
    authority = route.authority or request.authority
    if not authority or request.is_marked or exchange.snapshot.forwarded:
        return _encode_anew(exchange)
    # A connection mostly says the same fields again, and its reader gives the same objects for them.
    stream = exchange.stream
    last = stream.forwarding
    edits = route.edits
    is_known = last.edits is edits and last.special is request.special and last.authority == authority
    if is_known and last.fields is request.fields:
        block = last.block
    else:
        said = last.said if is_known else _said(exchange, authority, route.request_drop)
        block = CRLF.join((said, *request.fields)) if edits is None else said + edits.block(request.fields)
        if request.is_bare:
            # What the full reader reads never comes again as the same objects, and may be long.
            stream.forwarding = Forwarded(authority, request.special, said, request.fields, edits, block)
    if edits is not None and edits.lines:
        block = CRLF.join((block, *made(edits.lines, exchange)))
    is_usual = not (exchange.attempt or exchange.deadline_reason or exchange.is_hurried)
    goes_on = exchange.is_verbatim and route.keeps_target
    # A join costs two thirds of a format.
    return b"".join((
        request.method.encode(), b" ",
        request.target if goes_on else forwarded_target(exchange).encode("latin-1"), b" HTTP/1.1\r\n",
        block,
        route.before_id if is_usual else _before_id(exchange), exchange.request_id,
        b"\r\ntraceparent: ", exchange.traceparent, b"\r\n\r\n",
    ))  # fmt: skip


def _encode_anew(exchange: Exchange) -> bytes:
    request, route = exchange.request, exchange.route
    assert route is not None
    drop = route.request_drop | request.named
    fields = without(request.fields, drop) if route.edits is None else route.edits.edited(exchange)
    return CRLF.join((
        b"%b %b HTTP/1.1" % (request.method.encode(), forwarded_target(exchange).encode("latin-1")),
        _said(exchange, route.authority or request.authority or endpoint_authority(exchange), drop),
        *fields,
        b"%bX-Request-Id: %b\r\ntraceparent: %b" % (
            _time_left(exchange), exchange.request_id, exchange.traceparent
        ),
        _framing(exchange),
        b"",
    ))  # fmt: skip


def _said(exchange: Exchange, authority: bytes, drop: Container[bytes] = ()) -> bytes:
    """The lines made of what the proxy reads itself: the host, the user agent, who the client was."""
    lines = [b"Host: " + authority]
    agent = exchange.request.special.get(b"user-agent")
    if agent is not None and b"user-agent" not in drop:
        lines.append(b"User-Agent: " + agent)
    lines.append(forwarding_lines(exchange))
    return CRLF.join(lines)


def _framing(exchange: Exchange) -> bytes:
    """How long the body is, what is expected before it, and which protocol is asked for after it."""
    request = exchange.request
    if not request.is_marked:
        return b""
    if request.length > 0:
        said = b"Content-Length: %d\r\n" % request.length
    elif request.length == CHUNKED:
        said = b"Transfer-Encoding: chunked\r\n"
    else:
        said = b"Content-Length: 0\r\n" if b"content-length" in request.special else b""
    if request.upgrade:
        said += b"Connection: Upgrade\r\nUpgrade: %b\r\n" % request.upgrade
    if request.expects_continue and not request.is_http10 and request.length and _is_first_to_ask(exchange):
        said += b"Expect: 100-continue\r\n"
    return said


def _is_first_to_ask(exchange: Exchange) -> bool:
    """Whether a client may still wait to be told to go on. Of what has come for one endpoint the next is not asked."""
    return not exchange.attempt or not (exchange.received or exchange.body_ended)


def _before_id(exchange: Exchange) -> bytes:
    """The lines from the block to the request's id, where they are not those that every request of the route begins
    with."""
    return b"".join((CRLF, _time_left(exchange), b"X-Request-Id: "))


def _time_left(exchange: Exchange) -> bytes:
    """What is left of the time for the whole exchange, as lines with their ends, in our field and in gRPC's where the
    caller used that. Nothing where there is no such time, or where the route takes the field out or sets it itself."""
    route = exchange.route
    assert route is not None
    if exchange.total_deadline == NEVER:
        return b""
    left = exchange.left()
    lines = b"" if REQUEST_TIMEOUT in route.request_drop else b"X-Request-Timeout: %b\r\n" % encode(left)
    if GRPC_TIMEOUT in exchange.request.special and GRPC_TIMEOUT not in route.request_drop:
        lines += b"grpc-timeout: %b\r\n" % encode_grpc(left)
    return lines


def forwarded_target(exchange: Exchange) -> str:
    """The path as it was matched, rewritten where the route says so, and so the query."""
    route = exchange.route
    assert route is not None
    path = exchange.path if route.target is None else route.target(exchange.path)
    query = exchange.request.query_string if route.query is None else route.query.made(exchange)
    return path if query is None else f"{path}?{query}"


def forwarding_lines(exchange: Exchange) -> bytes:
    """X-Forwarded-For, -Proto and -Host, and Via; Forwarded (RFC 7239) where asked for. What a peer sent of them counts
    only if it is trusted; else it is replaced, so that nobody invents an address."""
    stream, request = exchange.stream, exchange.request
    if stream.is_outgoing:
        return _own_lines(request.special)
    if stream.identity:
        return _member_lines(request.special, stream.identity)
    special = request.special if stream.trusted else {}
    client, scheme = stream.client.encode("latin-1"), stream.scheme.encode()
    before = special.get(b"x-forwarded-for")
    passed = request.special.get(b"via")
    rest = b"Via: %b, 1.1 meshctl" % passed if passed else VIA
    if exchange.snapshot.forwarded:
        node = b'"[%b]"' % client if b":" in client else client
        element = b'for=%b;proto=%b;host="%b"' % (node, scheme, request.authority.replace(b'"', b""))
        chain = special.get(b"forwarded")
        rest += b"\r\nForwarded: %b" % (chain + b", " + element if chain else element)
    return b"X-Forwarded-For: %b\r\nX-Forwarded-Proto: %b\r\nX-Forwarded-Host: %b\r\n%b" % (
        before + b", " + client if before else client,
        special.get(b"x-forwarded-proto", scheme),
        special.get(b"x-forwarded-host", request.authority),
        rest,
    )


def _own_lines(special: dict[bytes, bytes]) -> bytes:
    """What the wrapped app says of whom it speaks for, and Via. There is nobody before it to be told of."""
    if _TOLD_ON.isdisjoint(special):
        return VIA
    passed = special.get(b"via")
    said = [b"%b: %b" % (name, special[name.lower()]) for name in (*_WHO_WAS_IT, _MIRROR) if name.lower() in special]
    return CRLF.join([*said, b"Via: %b, 1.1 meshctl" % passed if passed else VIA])


def _member_lines(special: dict[bytes, bytes], identity: str) -> bytes:
    """What another member of the mesh says of whom it speaks for, as it came: this proxy stands for the app and is no
    station on the way. The app is told who that member is."""
    said = [start + special[name] for name, start in _SAID if name in special]
    said.append(b"X-Meshctl-Identity: " + identity.encode())
    return CRLF.join(said)


def endpoint_authority(exchange: Exchange) -> bytes:
    """The Host for a client that sent none (HTTP/1.0): the endpoint's own address."""
    endpoint = exchange.endpoint
    assert endpoint is not None
    return b"localhost" if endpoint.config.unix else endpoint.config.address.encode("latin-1")
