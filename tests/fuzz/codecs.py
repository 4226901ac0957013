"""The readers of the wire by themselves: however bytes are cut, they are read the same, and never in two ways."""

from __future__ import annotations

from meshctl.wire.connect_reader import ConnectReader, PlainProxyRequests
from meshctl.wire.frames import DATA, LONGEST_REASON, FrameReader, data_head
from meshctl.wire.message import CHUNKED, Malformed, Request
from meshctl.wire.plain import PlainRequests, PlainResponses
from tests.wire.recorder import Requests, Responses, as_read, read

CUT = b"\xff|"


class ProxyRequests(ConnectReader, Requests):
    """What a wrapped app's requests are read by, into `seen`."""


def _cuts(data: bytes) -> list[list[bytes]]:
    """The same bytes in other pieces: whole, where the data says, and one by one where they are few."""
    whole = data.replace(CUT, b"")
    ways = [[whole], [piece for piece in data.split(CUT) if piece]]
    if len(whole) < 400:
        ways.append([whole[at : at + 1] for at in range(len(whole))])
    return ways


def attack_requests(data: bytes) -> None:
    """Requests are the same however they are cut, and the short way says nothing else than the full one."""
    first, *others = [read(Requests, pieces) for pieces in _cuts(data)]
    for other in others:
        assert _told(other) == _told(first)
    for each in first.seen:
        length = each["length"]
        assert isinstance(length, int)
        assert length >= CHUNKED
        # What asks for another protocol ends with its head here; `incoming` goes on with its body.
        if each["complete"] and length > 0 and b"upgrade" not in each["special"]:  # type: ignore[operator]
            assert len(each["body"]) == length  # type: ignore[arg-type]
    plain = PlainRequests()
    for piece in filter(None, data.split(CUT)):
        found = plain.read(piece, 100)
        if found is not None:
            assert [as_read(found)] == read(Requests, [piece]).messages()


def attack_proxy_requests(data: bytes) -> None:
    """So are those that a wrapped app sends to its proxy."""
    first, *others = [read(ProxyRequests, pieces) for pieces in _cuts(data)]
    for other in others:
        assert _told(other) == _told(first)
    plain = PlainProxyRequests()
    for piece in filter(None, data.split(CUT)):
        found = plain.read(piece, 100)
        if found is not None:
            (full,) = read(ProxyRequests, [piece]).messages()
            short = as_read(found)
            for name in ("method", "path", "query_string", "host", "authority", "length", "fields", "special"):
                if name == "special":
                    # What never passes may be left out: the Host that the target replaced, and Proxy-Connection.
                    assert set(short[name]) <= set(full[name]), (short, full)  # type: ignore[call-overload]
                else:
                    assert short[name] == full[name], (name, short, full)


def attack_responses(data: bytes) -> None:
    """And so are answers."""
    first, *others = [read(Responses, pieces) for pieces in _cuts(data)]
    for other in others:
        assert _told(other) == _told(first)
    plain = PlainResponses(200)
    for piece in filter(None, data.split(CUT)):
        found = plain.read(piece)
        if found is not None:
            assert [as_read(*found)] == read(Responses, [piece]).messages()


def _told(outcome: object) -> object:
    """All that was read but how much of the last message there was when it was refused, which depends on the cuts."""
    seen, rest, reason = outcome.seen, outcome.rest, outcome.reason  # type: ignore[attr-defined]
    if reason:
        seen = [each for each in seen if each["complete"]]
    return seen, rest, bool(reason)


def attack_chunked(data: bytes) -> None:
    """A chunked body is read as its strictest reader would, or refused."""
    whole = data.replace(CUT, b"")
    head = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    first, *others = [read(Requests, [head, *pieces]) for pieces in _cuts(data)]
    for other in others:
        assert _told(other) == _told(first)
    complete = [each for each in first.seen if each["complete"]]
    if complete:
        body, end = _dechunked(whole)
        assert complete[0]["body"] == body
        assert end <= len(whole)


def _dechunked(data: bytes) -> tuple[bytes, int]:
    """The body and where it ends, by nothing but RFC 9112 §7.1."""
    body, at = b"", 0
    while True:
        end = data.index(b"\r\n", at)
        size = int(data[at:end].partition(b";")[0].decode("ascii").strip(" \t"), 16)
        at = end + 2
        if not size:
            break
        body += data[at : at + size]
        at += size
        assert data[at : at + 2] == b"\r\n"
        at += 2
    while (end := data.index(b"\r\n", at)) != at:
        assert b":" in data[at:end]
        at = end + 2
    return body, at + 2


def attack_frames(data: bytes) -> None:
    """Frames are the same however they are cut, and data comes out as it was put in."""
    whole = data.replace(CUT, b"")
    first, *others = [_frames(pieces) for pieces in _cuts(data)]
    for other in others:
        # What came before a refusal may have been handed on already.
        assert other[1] == first[1]
        assert other[0] == first[0] or first[1]
    for kind, piece in first[0]:
        assert kind == DATA or len(piece) <= LONGEST_REASON
    assert _frames([data_head(len(whole)) + whole]) == ([(DATA, whole)] if whole else [], False)


def _frames(pieces: list[bytes]) -> tuple[list[tuple[int, bytes]], bool]:
    reader = FrameReader()
    found: list[tuple[int, bytes]] = []
    try:
        for piece in pieces:
            for kind, part in reader.feed(piece):
                if kind == DATA and found and found[-1][0] == DATA:
                    found[-1] = DATA, found[-1][1] + bytes(part)
                else:
                    found.append((kind, bytes(part)))
    except Malformed:
        return found, True
    return found, False


def request(target: bytes = b"/", *lines: bytes) -> Request | None:
    """A request with these lines, where they are such."""
    outcome = Requests()
    try:
        outcome.feed(b"\r\n".join([b"GET %b HTTP/1.1" % target, b"Host: a.test", *lines, b"", b""]))
    except Malformed:
        return None
    return outcome.seen[0].head if outcome.seen else None  # type: ignore[return-value]
