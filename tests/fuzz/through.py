"""Bytes that go through the whole data plane: whatever a client or an endpoint says, everybody else gets what is theirs,
in a form that a parser of another family reads as the same."""

# ruff: noqa: E501 - bytes stand on one line as they are sent
from __future__ import annotations

from functools import cache
from zlib import crc32

import h11

from .plane import Echo, End, Note, Plane, answers_in, mark, requests_in

SPLIT = b"\xff|"
"""Where the bytes are cut into reads."""

AFTER = b"GET /after HTTP/1.1\r\nHost: a.test\r\n\r\n"
AFTER_MARK = mark(b"GET", b"/after", b"").encode()

Request = tuple[bytes, bytes, bytes]
"""Method, target, body."""

REQUESTS = [
    b"\0GET /a?b=c HTTP/1.1\r\nHost: a.test\r\nAccept: */*\r\n\r\n",
    b"\0GET /1 HTTP/1.1\r\nHost: a.test\r\n\r\nHEAD /2 HTTP/1.1\r\nHost: a.test\r\n\r\nGET /3 HTTP/1.1\r\nHost: b\r\n\r\n",
    b"\1POST /a HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\n\r\nhello",
    b"\2POST /a HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n5;x=y\r\nhello\r\n0\r\nX-T: 1\r\n\r\n",
    b"\5PUT /a HTTP/1.1\r\nHost: e.test\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    b'8\r\n{"a":1,"\r\n\xff|b\r\nsecret":[2]}\r\n0\r\n\r\nGET /n HTTP/1.1\r\nHost: e.test\r\nAccept-Encoding: gzip\r\n\r\n',
    b"\5GET /k HTTP/1.1\r\nHost: c.test\r\n\r\nGET /k HTTP/1.1\r\nHost: c.test\r\n\r\nHEAD /k HTTP/1.1\r\nHost: c.test\r\n\r\n",
    b"\0GET / HTTP/1.1\r\nHost: a.test\r\nConnection: keep-alive, X-A\r\nX-A: 1\r\nX-Forwarded-For: 1\r\n\r\n",
    b"\0PUT / HTTP/1.1\r\nHost: a.test\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n\xff|hi",
    b"\0GET http://a.test/x HTTP/1.1\r\nHost: b.test\r\n\r\nOPTIONS * HTTP/1.1\r\nHost: a.test\r\n\r\n",
    b"\0GET / HTTP/1.0\r\nHost: a.test\r\nConnection: keep-alive\r\n\r\nGET / HTTP/1.0\r\n\r\n",
    b"\0GET /ws HTTP/1.1\r\nHost: a.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nGET / HTTP/1.1\r\nHost: a.test\r\n\r\n",
    b"\0POST /u HTTP/1.1\r\nHost: a.test\r\nConnection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 3\r\n\r\nabcGET / HTTP/1.1\r\n"
    b"Host: a.test\r\n\r\n",
    b"\1GET /%7Ea/../b//c HTTP/1.1\r\nhost: A.test.:80\r\nContent-Length: 0\r\n\r\n",
    b"\0PUT /1 HTTP/1.1\r\nHost: l.test\r\nTransfer-Encoding: chunked\r\n\r\n9\r\n123456789\r\n\xff|9\r\n123456789\r\n0\r\n\r\n",
    b"\1GET /1 HTTP/1.1\r\nHost: p.test\r\n\r\nGET /2 HTTP/1.1\r\nHost: p.test\r\n\r\nGET /3 HTTP/1.1\r\nHost: l.test\r\n\r\n",
    b"\0CONNECT a.test:80 HTTP/1.1\r\nHost: a.test\r\n\r\n\xff|GET /in HTTP/1.1\r\nHost: a.test\r\n\r\n",
]
WORDS = [
    b"Transfer-Encoding: chunked\r\n", b"Content-Length: 3\r\n", b"Content-Length: 0\r\n", b"Connection: close\r\n",
    b"Host: e.test\r\n", b"Host: c.test\r\n", b"Host: p.test\r\n", b"Host: l.test\r\n", b"HTTP/1.0", b"HTTP/1.1", b"chunked", b"identity", b"0\r\n\r\n", b"\r\n\r\n",
    b"\r\n", b"\n", b"\r", b"\0", b" ", b"\t", b":", b";", b",", b"Expect: 100-continue\r\n", b"Upgrade: websocket\r\n",
    b"Connection: upgrade\r\n", b"Connection: content-length\r\n", b"GET /x HTTP/1.1\r\nHost: a.test\r\n\r\n", SPLIT,
    b"HEAD ", b"CONNECT ", b"OPTIONS * ", b"http://c.test", b"Content-Type: application/json\r\n", b"%2e%2e/", b"5\r\nhello\r\n",
    b"X-T: y\r\n", b"Trailer: X-T\r\n", b"\x80", b"ffffffffffffffff", b"9223372036854775808",
]  # fmt: skip


@cache
def _plane(outbound: bool) -> Plane:
    return Plane(outbound=outbound)


def attack_requests(data: bytes) -> None:
    """A client says `data`: endpoints see requests that h11 reads as the client meant them, and others are served."""
    _attack_requests(_plane(False), data)


def attack_proxy_requests(data: bytes) -> None:
    """The same of a wrapped app at its own proxy, which may ask for tunnels."""
    _attack_requests(_plane(True), data)


def _attack_requests(plane: Plane, data: bytes) -> None:
    style, said = (data[0], data[1:]) if data else (0, b"")
    seen: list[Request] = []
    plane.begin(lambda end: Echo(end, seen, style) and None)
    client = plane.client()
    for piece in said.split(SPLIT):
        if piece:
            client.say(piece)
            plane.loop.settle()
    noted = list(plane.notes.seen)
    if not any(each.method == "CONNECT" for each in noted) and b"CONNECT" not in said:
        _agrees(said.replace(SPLIT, b""), noted)
        _answers_each(plane, client, noted)
    _serves_others(plane, client)
    _is_plain(plane, seen)


def _agrees(said: bytes, noted: list[Note]) -> None:
    """As far as h11 reads what the client said, the proxy has read the same requests."""
    for (method, _, body), note in zip(h11_requests(said), noted, strict=False):
        if not note.method:
            return
        assert note.method == method.decode(), (method, note)
        if not note.reason:
            assert note.received == len(body), (body, note)


def _answers_each(plane: Plane, client: End, noted: list[Note]) -> None:
    """What the client got are the answers to its requests, in their order, and no byte more."""
    answers, rest = answers_in(bytes(client.written), [each.method or "GET" for each in noted])
    assert not rest or client.is_closing() or plane.worker.counters.in_flight, rest
    for answer, note in zip(answers, noted, strict=False):
        told = answer.get("x-seen")
        if told is None:
            continue
        assert not note.reason, (answer, note)
        method, target, length, _ = told.decode().split("-")
        assert target == f"{crc32(note.target.encode('latin-1')):08x}", (answer, note)
        if note.host == "a.test":
            assert (method, int(length)) == (note.method, note.received)


def _serves_others(plane: Plane, client: End) -> None:
    """Somebody else gets their own answer, and once both have left nothing is left over."""
    other = plane.client()
    other.say(AFTER)
    plane.loop.settle()
    (answer,), rest = answers_in(bytes(other.written), ["GET"])
    assert not rest
    assert answer.status == 204 or answer.get("x-seen") == AFTER_MARK or plane.is_outbound, answer
    client.leave()
    other.leave()
    plane.loop.settle()
    plane.judge()


def _is_plain(plane: Plane, seen: list[Request]) -> None:
    """What went to endpoints are requests that a strict reader takes, the same ones that h11 has read."""
    found = []
    for end in plane.loop.opened:
        whole, is_all = requests_in(bytes(end.written))
        assert is_all or end.is_closing()
        found += [(each.method, each.target, each.body) for each in whole]
    assert {*found} <= {*seen}
    assert len(found) == len(seen) or any(b"ontent-" in bytes(end.written) for end in plane.loop.opened)


def h11_requests(said: bytes) -> list[Request]:
    """The requests that h11 reads, up to what it refuses."""
    server = h11.Connection(h11.SERVER)
    server.receive_data(said)
    found: list[Request] = []
    request, body = None, b""
    try:
        while True:
            event = server.next_event()
            if isinstance(event, h11.Request):
                request, body = event, b""
            elif isinstance(event, h11.Data):
                body += bytes(event.data)
            elif isinstance(event, h11.EndOfMessage) and request is not None:
                found.append((request.method, request.target, body))
                server.send(h11.Response(status_code=200, headers=[(b"Content-Length", b"0")]))
                server.send(h11.EndOfMessage())
                if server.our_state is not h11.DONE or server.their_state is not h11.DONE:
                    return found
                server.start_next_cycle()
            else:
                return found
    except h11.ProtocolError:
        return found


ANSWERS = [
    b"\0HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    b"\0HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n\xff|okHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil",
    b"\1HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;x\r\nhello\r\n\xff|0\r\nX-T: 1\r\n\r\n",
    b"\2HTTP/1.1 404 Not Found\r\nConnection: X-A\r\nX-A: b\r\nContent-Length: 5\r\n\r\nhello",
    b"\3HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    b"\4HTTP/1.1 204 No Content\r\nX: y\r\n\r\n",
    b"\5HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\nETag: x\r\n\r\n",
    b"\6HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok",
    b"\7HTTP/1.1 200 OK\r\n\r\nto the end",
    b"\x08HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\nbytes",
    b'\x09HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 12\r\n\r\n{"secret":1}',
    b'\x0aHTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\nc\r\n{"secret":1}\r\n0\r\n\r\n',
    b"\x0bHTTP/1.1 200 OK\r\nCache-Control: max-age=9\r\nVary: X\r\nContent-Length: 2\r\n\r\nok",
    b"\x0cHTTP/1.1 503 No\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n",
    b"\x0dHTTP/1.1 200 OK\r\nKeep-Alive: timeout=1\r\nContent-Length: 20000\r\n\r\n" + bytes(20_000),
]
ANSWER_WORDS = [
    *WORDS[:20], SPLIT, b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 101 X\r\n", b" 204 ", b" 304 ",
    b"Connection: keep-alive\r\n", b"Content-Encoding: gzip\r\n", b"Content-Type: application/json\r\n",
    b"Cache-Control: max-age=9\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil", b"20000", b"X-T: y\r\n",
]  # fmt: skip
ASKED = [
    (b"GET /1 HTTP/1.1\r\nHost: a.test\r\n\r\n", "GET"),
    (b"HEAD /1 HTTP/1.1\r\nHost: a.test\r\n\r\n", "HEAD"),
    (b"POST /1 HTTP/1.1\r\nHost: a.test\r\nContent-Length: 2\r\n\r\nhi", "POST"),
    (b"GET /1 HTTP/1.1\r\nHost: e.test\r\nAccept-Encoding: gzip\r\n\r\n", "GET"),
    (b"GET /1 HTTP/1.1\r\nHost: c.test\r\n\r\n", "GET"),
    (b"HEAD /1 HTTP/1.1\r\nHost: e.test\r\n\r\n", "HEAD"),
    (b"GET /1 HTTP/1.0\r\nHost: a.test\r\nConnection: keep-alive\r\n\r\n", "GET"),
    (b"GET /1 HTTP/1.1\r\nHost: a.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n", "GET"),
    (b"GET /1 HTTP/1.1\r\nHost: p.test\r\n\r\n", "GET"),
    (b"GET /1 HTTP/1.1\r\nHost: l.test\r\n\r\n", "GET"),
    (b"PUT /1 HTTP/1.1\r\nHost: a.test\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nhi", "PUT"),
]
CLOSES = 0x80
"""In the first byte: the endpoint closes behind what it says."""


class Script:
    """An endpoint that says what it is told as soon as it is asked, and from then on is an honest one."""

    def __init__(self, end: End, pieces: list[bytes], closes: bool, seen: list[Request]) -> None:
        self._end = end
        self._seen = seen
        self._pieces = pieces
        self._closes = closes
        end.heard = self._hear

    def _hear(self) -> None:
        Echo(self._end, self._seen, 0)
        for each in self._pieces:
            if each:
                self._end.say(each)
        if self._closes:
            self._end.leave()


def attack_answers(data: bytes) -> None:
    """An endpoint answers with `data`: its client gets one answer that any parser reads alike, a refusal with a reason,
    or a cut; whoever comes next gets their own."""
    plane = _plane(False)
    style, said = (data[0], data[1:]) if data else (0, b"")
    asked, method = ASKED[(style & ~CLOSES) % len(ASKED)]
    seen: list[Request] = []
    scripted: list[End] = []

    def play(end: End) -> None:
        if scripted:
            Echo(end, seen, 0)
        else:
            scripted.append(end)
            Script(end, said.split(SPLIT), style & CLOSES > 0, seen)

    plane.begin(play)
    client = plane.client()
    client.say(asked)
    plane.loop.settle()
    answers, rest = answers_in(bytes(client.written), [method])
    is_over = not plane.worker.counters.in_flight
    # An answer, or a cut: never nothing.
    assert answers or client.is_closing() or not is_over
    for answer in answers:
        if answer.status == 101:
            break
        assert is_over or answer.framing == "close"
        assert answer.status != 502 or answer.get("x-meshctl-reason") or b" 502" in said
    if is_over and answers and answers[0].status != 101:
        assert not rest, (answers, rest)
        if not client.is_closing():
            # Its next request is answered as itself, whatever was behind the answer.
            before = len(client.written)
            client.say(AFTER)
            plane.loop.settle()
            (answer,), rest = answers_in(bytes(client.written[before:]), ["GET"])
            assert not rest
            assert plane.notes.seen[-1].target == "/after"
            assert answer.get("x-seen") == AFTER_MARK, answer
    other = plane.client()
    other.say(AFTER)
    plane.loop.settle()
    found, rest = answers_in(bytes(other.written), ["GET"])
    assert not rest
    for answer in found:
        assert answer.get("x-seen") == AFTER_MARK, answer
    client.leave()
    other.leave()
    for end in plane.loop.opened:
        end.leave()
    plane.loop.settle()
    plane.judge()
