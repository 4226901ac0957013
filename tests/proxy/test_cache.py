"""Answers that are kept, in a proxy with real connections: what is given from what is kept, and what never is."""

from __future__ import annotations

import time
from threading import Thread

import pytest

from meshctl.model.caching import Caching
from meshctl.model.passing import Compression, Cors, JsonEdits
from meshctl.model.policy import Retry
from meshctl.model.route import HeaderEdits, Match, QueryEdits, Route
from tests.conformance.wire import Message

from .passage import Passage, answer, request

FRESH = "Cache-Control: max-age=600"
OLD = ("Cache-Control: max-age=10", "Age: 20")
"""What says that it is stale already."""
TAG = 'ETag: "x"'
HIT = b"meshctl; hit; ttl="


def told(message: Message) -> bytes:
    """What an answer says of the cache."""
    return message.get("cache-status") or b""


def is_hit(message: Message) -> bool:
    """Whether it was given from what is kept."""
    return told(message).startswith(HIT)


def test_kept(cached: Passage) -> None:
    """A second request is answered from what the first one brought, with its age, and says so everywhere."""
    began = time.monotonic()
    _, first = cached.pass_through(request("/a?b"), answer(FRESH, "Content-Type: text/x", "X-A: 1", body=b"hello"))
    assert told(first) == b"meshctl; fwd=uri-miss; stored"
    second = cached.refuse(request("/a?b"))
    assert (second.status, second.body, second.get("x-a")) == (200, b"hello", b"1")
    assert 0 <= int(second.get("age") or b"-1") <= time.monotonic() - began + 1
    assert is_hit(second)
    assert second.get("date")
    assert second.get("x-request-id") != first.get("x-request-id")
    line = cached.proxy.line(lambda each: each.get("cache") == "hit" and each["path"] == "/a?b")
    assert (line["status"], line["service"], line["endpoint"], line["bytes_out"]) == (200, "app", "", 5)
    assert cached.proxy.line(lambda each: each.get("cache") == "miss")["endpoint"]
    counted = cached.proxy.sample()
    assert counted.cached["r"]["hit"] >= 1
    assert counted.cache is not None
    assert counted.cache.answers == 1
    assert 5 < counted.cache.size < 10_000


@pytest.mark.parametrize("other", ["/a", "/a?c", "/a/?b", "/A?b", "/a?b=", "/b?b"])
def test_other_targets(cached: Passage, other: str) -> None:
    """What is kept is for the same path and query alone."""
    cached.pass_through(request("/a?b"), answer(FRESH))
    cached.pass_through(request(other), answer())


def test_other_hosts(cached: Passage) -> None:
    """And for the same host."""
    cached.pass_through(request("/a"), answer(FRESH))
    cached.pass_through(request("/a").replace(b"Host: a", b"Host: b"), answer())
    assert is_hit(cached.refuse(request("/%61").replace(b"Host: a", b"Host: A")))


def test_has_it_already(cached: Passage) -> None:
    """Who has what is kept is told so; HEAD is answered from what GET brought."""
    modified = "Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT"
    cached.pass_through(request(), answer(FRESH, TAG, modified, "Content-Type: text/x"))
    found = cached.refuse(request("/", 'If-None-Match: "y", W/"x"'))
    assert (found.status, found.get("etag"), found.get("content-type"), found.get("content-length")) == (
        304, b'"x"', None, None,
    )  # fmt: skip
    assert is_hit(found)
    assert cached.refuse(request("/", "If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT")).status == 304
    assert cached.refuse(request("/", "If-Modified-Since: Sun, 06 Nov 1994 08:49:36 GMT")).status == 200
    assert cached.refuse(request("/", 'If-None-Match: "y"')).status == 200
    head = cached.refuse(request(method="HEAD"))
    assert (head.status, head.get("content-length"), head.get("content-type")) == (200, b"2", b"text/x")


@pytest.mark.parametrize(
    "theirs",
    [
        answer("Cache-Control: no-store, max-age=60"),
        answer("Cache-Control: private, max-age=60"),
        answer(FRESH, "Set-Cookie: a=b"),
        answer(FRESH, "Vary: *"),
        answer(),
        answer(FRESH, status=206),
        b"HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nConnection: close\r\n\r\nends with its connection",
    ],
)
def test_not_kept(cached: Passage, theirs: bytes) -> None:
    """What may not be kept passes as it is, each time."""
    for _ in range(2):
        cached.app.forget()
        with cached.proxy.connect("gateway") as client:
            client.send(request())
            wire, _ = cached.app.serve(theirs)
            if b"close" in theirs:
                wire.close()
            got = client.read_response()
        assert theirs.endswith(got.body)
        assert told(got) == b"meshctl; fwd=uri-miss"


@pytest.mark.parametrize(
    ("lines", "method", "body"),
    [
        (("Range: bytes=0-1",), "GET", b""),
        (('If-Match: "x"',), "GET", b""),
        (("Authorization: Basic eDp5",), "GET", b""),
        (("Cookie: a=b",), "GET", b""),
        (("Cache-Control: no-store",), "GET", b""),
        (("X-HTTP-Method-Override: DELETE",), "GET", b""),
        (("x_http_method: PUT",), "GET", b""),
        ((), "GET", b"body"),
        ((), "OPTIONS", b""),
        ((), "POST", b"body"),
    ],
)
def test_passing_by(cached: Passage, lines: tuple[str, ...], method: str, body: bytes) -> None:
    """Requests that are no business of the cache neither get what is kept nor bring what will be."""
    cached.pass_through(request("/kept"), answer(FRESH))
    for target in ("/kept", "/new", "/new"):
        _, got = cached.pass_through(request(target, *lines, method=method, body=body), answer(FRESH))
        assert told(got) == (b"meshctl; fwd=bypass" if method == "GET" else b"meshctl; fwd=method")


@pytest.mark.parametrize("line", ["X-Original-URL: /admin", "x_rewrite_url: /admin", "X-Forwarded-Prefix: //evil.test"])
def test_nobody_plants_an_answer(cached: Passage, line: str) -> None:
    """What a service may have answered to something else than it was asked for is given to nobody else, and who says
    such a thing is not given what others have got."""
    path = f"/planted/{line[:9]}"
    for lines in ([line], [], [line.replace("/", "/x")]):
        _, got = cached.pass_through(request(path, *lines), answer(FRESH))
        assert told(got).startswith(b"meshctl; fwd=uri-miss")


def test_pieces(cached: Passage) -> None:
    """A body that comes in pieces goes out as they come, and is kept whole; one that is cut is not."""
    cached.app.forget()
    head = b"HTTP/1.1 200 OK\r\n" + FRESH.encode() + b"\r\nTransfer-Encoding: chunked\r\n\r\n"
    for end in (False, True):
        with cached.proxy.connect("gateway") as client:
            client.send(request("/pieces"))
            wire = cached.app.accept()
            wire.read_request()
            wire.send(head, b"5\r\nhello\r\n")
            assert client.read_head().status == 200
            # It is there before the rest has come.
            assert client.read_until(b"hello\r\n")
            if end:
                wire.send(b"1\r\n!\r\n0\r\nX-Trailer: 1\r\n\r\n")
                assert client.read_until(b"\r\n\r\n")
            else:
                wire.close()
                client.read_rest()
    got = cached.refuse(request("/pieces"))
    assert (got.body, got.framing, got.trailers) == (b"hello!", "length", ())


def test_too_long(passage: Passage) -> None:
    """Longer bodies than are to be kept pass, whether they say their length or not."""
    passage.serve(cache=Caching(largest=1000))
    chunked = b"HTTP/1.1 200 OK\r\nCache-Control: max-age=600\r\nTransfer-Encoding: chunked\r\n\r\n" + b"".join(
        b"%x\r\n%b\r\n" % (len(each), each) for each in (b"x" * 600, b"x" * 401, b"")
    )
    for theirs in (answer(FRESH, body=b"x" * 1001), chunked, answer(FRESH, body=b"x" * 900_000)):
        for _ in range(2):
            _, got = passage.pass_through(request(), theirs)
            assert len(got.body) >= 1001
    sample = passage.proxy.sample()
    assert sample.cache is not None
    assert (sample.cache.answers, sample.cache.size) == (0, 0)


def test_variants(passage: Passage) -> None:
    """Requests get the answer for the headers by which answers say they differ, and by which the route says so."""
    passage.serve(cache=Caching(vary=("x-tenant",)))
    vary = "Vary: Accept-Language"
    passage.pass_through(request("/", "Accept-Language: de", "X-Tenant: 1"), answer(FRESH, vary, body=b"de"))
    passage.pass_through(request("/", "Accept-Language: en", "X-Tenant: 1"), answer(FRESH, vary, body=b"en"))
    assert passage.refuse(request("/", "accept-language:  de", "X-Tenant: 1")).body == b"de"
    assert passage.refuse(request("/", "Accept-Language: en", "X-Tenant: 1")).body == b"en"
    passage.pass_through(request("/", "Accept-Language: en", "X-Tenant: 2"), answer(FRESH, vary))
    passage.pass_through(request("/", "X-Tenant: 1"), answer(FRESH, vary))


def test_what_the_service_does_not_see(passage: Passage) -> None:
    """A header that a client has dropped on the way names no answer for those whose service sees theirs."""
    passage.serve(cache=Caching(vary=("x-tenant",)))
    passage.pass_through(request("/hop", "X-Tenant: 1", "Connection: x-tenant"), answer(FRESH, body=b"nobody's"))
    passage.pass_through(request("/hop", "X-Tenant: 1"), answer(FRESH, body=b"1"))
    assert passage.refuse(request("/hop")).body == b"nobody's"
    assert passage.refuse(request("/hop", "X-Tenant: 1")).body == b"1"


def test_revalidation(cached: Passage) -> None:
    """What is stale is asked for by its tag and date; a 304 makes it fresh, with what that says anew."""
    modified = "Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT"
    cached.pass_through(request(), answer(*OLD, TAG, modified, "X-A: 1", "Content-Type: text/x", body=b"kept"))
    confirms = f'HTTP/1.1 304 Not Modified\r\nETag: "x"\r\n{FRESH}\r\nX-A: 2\r\n\r\n'.encode()
    seen, got = cached.pass_through(request("/", 'If-None-Match: "mine"'), confirms)
    assert (seen.all("if-none-match"), seen.get("if-modified-since")) == ([b'"x"'], modified[15:].encode())
    assert (got.status, got.body, got.get("x-a"), got.get("content-type")) == (200, b"kept", b"2", b"text/x")
    assert told(got).startswith(b"meshctl; fwd=stale; fwd-status=304; ttl=")
    assert cached.proxy.line(lambda each: each.get("cache") == "revalidated")["status"] == 200
    got = cached.refuse(request())
    assert (got.body, got.get("x-a")) == (b"kept", b"2")
    # The client's own condition is answered here, whoever had to be asked.
    _, got = cached.pass_through(request("/", 'If-None-Match: "x"', "Cache-Control: no-cache"), confirms)
    assert got.status == 304
    # Another answer takes its place.
    _, got = cached.pass_through(request("/", "Pragma: no-cache"), answer(FRESH, 'ETag: "y"', body=b"new"))
    assert (got.body, told(got)) == (b"new", b"meshctl; fwd=stale; fwd-status=200; stored")
    assert cached.refuse(request()).body == b"new"


def test_always_asked(cached: Passage) -> None:
    """With no-cache the service is asked each time, and need not send the body again."""
    theirs = answer("Cache-Control: no-cache", TAG, body=b"kept")
    cached.pass_through(request(), theirs)
    for _ in range(2):
        seen, got = cached.pass_through(request(), b'HTTP/1.1 304 Not Modified\r\nETag: "x"\r\n\r\n')
        assert (seen.get("if-none-match"), got.status, got.body) == (b'"x"', 200, b"kept")
    # It may become one that is not to be kept.
    _, got = cached.pass_through(request(), b"HTTP/1.1 304 Not Modified\r\nCache-Control: no-store\r\n\r\n")
    assert got.body == b"kept"
    seen, _ = cached.pass_through(request(), theirs)
    assert seen.get("if-none-match") is None


@pytest.mark.parametrize("how", ["status", "reset", "nobody"])
def test_stale_if_error(passage: Passage, how: str) -> None:
    """What is stale stands in for a service that fails."""
    passage.serve()
    passage.serve(cache=Caching(stale_if_error=300.0))
    theirs = answer("Cache-Control: max-age=10", "Age: 20", TAG, body=b"x" * 100_000)
    passage.pass_through(request(), theirs)
    with passage.proxy.connect("gateway") as client:
        client.send(request())
        wire = passage.app.hear()
        wire.read_request()
        if how == "status":
            wire.send(answer(status=503))
        else:
            wire.reset()
        got = client.read_response()
        assert (got.status, len(got.body), got.get("x-meshctl-reason")) == (200, 100_000, None)
        assert told(got).startswith(b"meshctl; fwd=stale")
    assert passage.proxy.line(lambda each: each.get("cache") == "stale")["status"] == 200
    # A status that is no failure of the service's passes, and so does one for who wants its word.
    _, got = passage.pass_through(request("/", "Cache-Control: no-cache"), answer(status=503))
    assert got.status == 503


def test_must_revalidate(passage: Passage) -> None:
    """An answer that forbids it does not stand in."""
    passage.serve(cache=Caching(stale_if_error=300.0, stale_while_revalidate=300.0))
    passage.pass_through(request(), answer("Cache-Control: max-age=10, must-revalidate", "Age: 20", TAG))
    _, got = passage.pass_through(request(), answer(status=503))
    assert got.status == 503


def test_stale_while_revalidate(cached: Passage) -> None:
    """What is stale is given at once, and a new one fetched behind it, once."""
    stale = answer("Cache-Control: max-age=10, stale-while-revalidate=300", "Age: 20", TAG, body=b"old")
    cached.pass_through(request(), stale)
    with cached.proxy.connect("gateway") as client:
        for _ in range(3):
            client.send(request("/", 'If-None-Match: "other"'))
            assert client.read_response().body == b"old"
        wire = cached.app.hear()
        seen = wire.read_request()
        wire.send(answer(FRESH, body=b"new"))
        assert seen.get("if-none-match") == b'"x"'
        assert wire.is_silent()
        cached.proxy.line(lambda each: each.get("cache") == "refresh")
        client.send(request())
        assert client.read_response().body == b"new"
    assert cached.app.is_silent()
    counts = cached.proxy.sample().cached["r"]
    assert counts["refresh"] >= 1
    assert counts["stale"] >= 3


def test_changes(cached: Passage) -> None:
    """What changes a target successfully ends what is kept of it, and of nothing else."""
    for target in ("/a", "/b"):
        cached.pass_through(request(target), answer(FRESH))
    cached.pass_through(request("/a", method="POST", body=b"x"), answer(status=500))
    assert is_hit(cached.refuse(request("/a")))
    cached.pass_through(request("/a", method="DELETE"), answer(status=200))
    cached.pass_through(request("/a"), answer())
    assert is_hit(cached.refuse(request("/b")))


def test_changed_meanwhile(cached: Passage) -> None:
    """What was asked for before a change and comes after it is not kept."""
    cached.app.forget()
    with cached.proxy.connect("gateway") as reader, cached.proxy.connect("gateway") as writer:
        reader.send(request("/a"))
        slow = cached.app.accept()
        slow.read_request()
        writer.send(request("/a", method="PUT", body=b"x"))
        cached.app.serve(answer())
        assert writer.read_response().status == 200
        slow.send(answer(FRESH, body=b"before"))
        assert reader.read_response().body == b"before"
    cached.pass_through(request("/a"), answer(FRESH, body=b"after"))


def test_only_what_is_kept(cached: Passage) -> None:
    """Who wants nothing else is refused where nothing is kept."""
    got = cached.refuse(request("/", "Cache-Control: only-if-cached"))
    assert (got.status, got.get("x-meshctl-reason")) == (504, b"not_cached")
    cached.pass_through(request(), answer(*OLD, TAG))
    assert cached.refuse(request("/", "Cache-Control: only-if-cached, max-stale")).status == 200
    assert cached.refuse(request("/", "Cache-Control: only-if-cached")).status == 504


def test_without_reload(passage: Passage) -> None:
    """Where clients may not ask for a new answer, they get what is kept."""
    passage.serve(cache=Caching(reload=False))
    passage.pass_through(request(), answer(FRESH))
    for line in ("Cache-Control: no-cache", "Pragma: no-cache", "Cache-Control: max-age=0, no-store"):
        assert is_hit(passage.refuse(request("/", line)))


def test_each_caller(passage: Passage) -> None:
    """Where each caller has answers of its own, nobody gets another one's; nor where the route tells them apart."""
    passage.serve(cache=Caching(callers="each"))
    for who in ("Authorization: Basic eDp5", "Authorization: Basic eTp6", "Cookie: a=1", "X-Nobody: 1"):
        passage.pass_through(request("/", who), answer(FRESH, body=who.encode()))
    for who in ("Authorization: Basic eDp5", "Authorization: Basic eTp6", "Cookie: a=1", "X-Nobody: 1"):
        assert passage.refuse(request("/", who)).body == who.encode()
    assert passage.refuse(request()).body == b"X-Nobody: 1"
    for settings in (
        {"request_headers": HeaderEdits(set=(("x-for", "{header.x-from}"),))},
        {"request_query": QueryEdits(add=(("who", "{header.x-from}"),))},
    ):
        passage.serve(cache=Caching(), **settings)
        for who in ("1", "2"):
            passage.pass_through(request("/", f"X-From: {who}"), answer(FRESH, body=who.encode()))
        for who in ("1", "2"):
            assert passage.refuse(request("/", f"X-From: {who}")).body == who.encode()


def test_all_callers(passage: Passage) -> None:
    """Where all get the same, they do, but for answers to one caller that do not say that they are for others."""
    passage.serve(cache=Caching(callers="all"))
    passage.pass_through(request("/", "Cookie: a=1"), answer(FRESH))
    assert is_hit(passage.refuse(request("/", "Cookie: a=2")))
    known = request("/known", "Authorization: Basic eDp5")
    passage.pass_through(known, answer(FRESH))
    passage.pass_through(known, answer("Cache-Control: public, max-age=600", body=b"for all"))
    assert passage.refuse(request("/known", "Authorization: Basic eTp6")).body == b"for all"


def test_cookies(passage: Passage) -> None:
    """Where answers that set cookies are kept, only the first client gets the cookie."""
    passage.serve(cache=Caching(set_cookie=True))
    _, got = passage.pass_through(request(), answer(FRESH, "Set-Cookie: a=b"))
    assert got.get("set-cookie") == b"a=b"
    got = passage.refuse(request())
    assert is_hit(got)
    assert got.get("set-cookie") is None


def test_edited_alike(passage: Passage) -> None:
    """What is kept goes out through all that the route does to answers, for each client anew."""
    passage.serve(
        cache=Caching(),
        compression=Compression(codings=("gzip",), minimum=10),
        cors=Cors(("https://a.example", "https://b.example")),
        response_body=JsonEdits(remove=("$.secret",)),
        response_headers=HeaderEdits(set=(("x-for", "{header.x-from}"),), remove=("server",)),
    )
    theirs = answer(FRESH, "Server: x", "Content-Type: application/json", body=b'{"a":"' + b"x" * 50 + b'","secret":1}')
    lines = ("Origin: https://a.example", "Accept-Encoding: gzip", "X-From: 1")
    _, fresh = passage.pass_through(request("/", *lines), theirs)
    again = passage.refuse(request("/", *lines))
    changing = {b"x-request-id", b"cache-status", b"age", b"date"}

    def shown(message: Message) -> list[tuple[bytes, bytes]]:
        return sorted((name.lower(), value) for name, value in message.fields if name.lower() not in changing)

    assert (shown(again), again.body) == (shown(fresh), fresh.body)
    assert again.get("content-encoding") == b"gzip"
    other = passage.refuse(request("/", "Origin: https://b.example", "X-From: 2"))
    assert (other.get("access-control-allow-origin"), other.get("x-for")) == (b"https://b.example", b"2")
    assert (other.get("content-encoding"), other.get("server")) == (None, None)
    assert other.body == b'{"a":"' + b"x" * 50 + b'"}'


def test_another_configuration(passage: Passage) -> None:
    """What is kept outlives a change that is about something else, and no change to what it depends on."""
    kept = Route("r", service="app", retry=Retry(0), cache=Caching())
    passage.serve()
    passage.serve(kept)
    passage.pass_through(request(), answer(FRESH))
    passage.serve(kept, Route("other", Match(hosts=("b",)), service="app"))
    assert is_hit(passage.refuse(request()))
    passage.serve(Route("r", service="app", retry=Retry(0), cache=Caching(largest=5000)))
    passage.pass_through(request(), answer(FRESH))
    passage.serve(Route("r", service="app", retry=Retry(0)))
    passage.pass_through(request(), answer(FRESH))


def test_a_long_body(passage: Passage) -> None:
    """A long body goes as fast as its client takes it, and ends with it."""
    passage.serve(cache=Caching(largest=16 << 20))
    body = bytes(range(256)) * (12 << 12)
    with passage.proxy.connect("gateway") as client:
        client.send(request("/long"))
        wire = passage.app.hear()
        wire.read_request()
        # More than connections hold: it goes in while it comes out.
        sending = Thread(target=wire.send, args=(answer(FRESH, body=body),))
        sending.start()
        assert client.read_response().body == body
        sending.join()
    for end in (False, True):
        with passage.proxy.connect("gateway", receive=0 if end else 4096) as client:
            client.send(request("/long"))
            assert client.read_head().get("content-length") == b"%d" % len(body)
            if end:
                assert client.read_exactly(len(body)) == body
                client.send(request("/long", method="HEAD"))
                assert is_hit(client.read_response(method="HEAD"))
            else:
                client.read_exactly(1000)
                # As much as the connection holds has gone out, and no more.
                assert passage.proxy.sample().in_flight == 1
    gone = passage.proxy.line(lambda each: each["reason"] == "client_gone" and each["path"] == "/long")
    assert gone["bytes_out"] < len(body)


def test_at_a_bandwidth(passage: Passage) -> None:
    """What is kept goes out no faster than the route allows."""
    passage.serve(cache=Caching(), bandwidth=200_000)
    passage.pass_through(request("/paced"), answer(FRESH, body=b"x" * 20_000))
    assert len(passage.refuse(request("/paced")).body) == 20_000
    line = passage.proxy.line(lambda each: each.get("cache") == "hit" and each["path"] == "/paced")
    assert line["duration_ms"] >= 50
