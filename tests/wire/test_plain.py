"""The short way of reading must never decide differently from the full reader, only sooner."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshctl.core.paths import normalise
from meshctl.wire.fields import pairs
from meshctl.wire.message import Malformed, Request
from meshctl.wire.plain import PlainRequests, PlainResponses

from .recorder import Requests, Responses, as_read, read

NAMES = st.sampled_from(
    [
        b"Host",
        b"host",
        b"User-Agent",
        b"Accept",
        b"X-A",
        b"x-a",
        b"Cookie",
        b"Connection",
        b"Content-Length",
        b"Via",
        b"Transfer-Encoding",
        b"Upgrade",
        b"Expect",
        b"TE",
        b"Trailer",
        b"X-Request-Id",
        b"traceparent",
        b"X-Meshctl-Reason",
        b"Set-Cookie",
        b"X-Forwarded-For",
        b"Keep-Alive",
        b"Bad Name",
        b"Space ",
        b"",
        b"\x00",
        b"Proxy-Connection",
        b"HTTP2-Settings",
    ]
)
VALUES = st.sampled_from(
    [
        b"",
        b" ",
        b"a.example",
        b"a.example:80",
        b"0",
        b"5",
        b"+5",
        b"chunked",
        b"close",
        b"keep-alive",
        b"Keep-Alive",
        b"upgrade",
        b"websocket",
        b"100-continue",
        b"gzip, deflate",
        b"a\tb",
        b"a\rb",
        b"a\nb",
        b"\x80",
        b"x" * 300,
        b"a b",
        b" folded\r\n more",
        b"close, x-a",
        b"timeout=5",
    ]
)
SPACE = st.sampled_from([b"", b" ", b"  ", b"\t", b" \t "])
LINES = st.lists(
    st.tuples(NAMES, SPACE, VALUES, SPACE).map(lambda parts: parts[0] + b":" + b"".join(parts[1:])), max_size=6
)
STARTS = st.sampled_from(
    [
        b"GET / HTTP/1.1",
        b"GET /a?b=c HTTP/1.1",
        b"POST /a HTTP/1.1",
        b"GET /a HTTP/1.0",
        b"GET  /a HTTP/1.1",
        b"get / HTTP/1.1",
        b"GET http://b.example/a HTTP/1.1",
        b"OPTIONS * HTTP/1.1",
        b"CONNECT a:1 HTTP/1.1",
        b"GET /a#b HTTP/1.1",
        b"GET / HTTP/1.2",
        b"GET /",
        b"GET /\x80 HTTP/1.1",
        b"HEAD /x HTTP/1.1",
        b"PROPFIND /x HTTP/1.1",
        b"GET /a b HTTP/1.1",
        b"",
        b"\r\nGET / HTTP/1.1",
    ]
)
STATUSES = st.sampled_from(
    [
        b"HTTP/1.1 200 OK",
        b"HTTP/1.1 200",
        b"HTTP/1.1 404 Not Found",
        b"HTTP/1.0 200 OK",
        b"HTTP/1.1 204 No",
        b"HTTP/1.1 304 N",
        b"HTTP/1.1 100 Continue",
        b"HTTP/1.1 101 S",
        b"HTTP/1.1 2000 X",
        b"HTTP/1.1 20 X",
        b"HTTP/1.1  200 OK",
        b"HTTP/2 200",
        b"http/1.1 200 OK",
        b"HTTP/1.1 99a X",
        b"HTTP/1.1 599 \x80",
        b"",
    ]
)
BODIES = st.sampled_from([b"", b"hello", b"0\r\n\r\n", b"hell", b"hello!", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"])


@given(heads=st.lists(st.tuples(STARTS, LINES, BODIES), min_size=1, max_size=3))
def test_request_read_the_short_way_is_the_one_the_full_reader_reads(
    heads: list[tuple[bytes, list[bytes], bytes]],
) -> None:
    """What the short way accepts, the full reader reads as the same request and nothing else, whatever came before."""
    plain = PlainRequests()
    for start, lines, body in heads:
        data = b"\r\n".join([start, *lines, b"", body])
        found = plain.read(data, 100)
        if found is None:
            continue
        assert [as_read(found)] == read(Requests, [data]).messages()


FIRST = (
    b"Host: a.example",
    b"User-Agent: one",
    b"Accept: */*",
    b"X-A: 1",
    b"Connection: keep-alive",
    b"traceparent: 0",
)


@given(changes=st.lists(st.dictionaries(st.integers(0, 5), st.tuples(SPACE, VALUES, SPACE)), min_size=1, max_size=4))
def test_head_that_differs_in_a_few_values_is_read_as_if_it_were_the_first(
    changes: list[dict[int, tuple[bytes, bytes, bytes]]],
) -> None:
    """A head that repeats most of the last one says what it says itself, and a request under way keeps its own."""
    plain = PlainRequests()
    kept: list[tuple[Request, dict[str, object]]] = []
    for change in [{}, *changes]:
        lines = list(FIRST)
        for at, parts in change.items():
            lines[at] = lines[at][: lines[at].index(b":") + 1] + b"".join(parts)
        data = b"\r\n".join([b"GET /a HTTP/1.1", *lines, b"", b""])
        found = plain.read(data, 100)
        if found is None:
            continue
        assert [as_read(found)] == read(Requests, [data]).messages()
        kept.append((found, as_read(found)))
    assert kept
    assert [as_read(request) for request, _ in kept] == [then for _, then in kept]


@given(
    changes=st.lists(
        st.tuples(
            st.dictionaries(st.integers(0, 3), st.tuples(SPACE, VALUES, SPACE), max_size=2),
            st.lists(st.sampled_from([b"X-Request-Id", b"traceparent", b"x-request-id", b"X-A"]), max_size=3),
            st.sampled_from([b"one", b"two", b"a b", b"", b"a\r\nX-B: 1", b"a\r\n\r\n", b"\x80", b"\t", b"x\x00"]),
        ),
        min_size=1,
        max_size=4,
    )
)
def test_identifiers_at_the_end_are_read_as_if_they_stood_anywhere(
    changes: list[tuple[dict[int, tuple[bytes, bytes, bytes]], list[bytes], bytes]],
) -> None:
    """A head as our own proxies write it, of which only the last two lines differ from the one before, says what it
    says itself, whatever else comes between; and a request under way keeps its own."""
    plain = PlainRequests()
    kept: list[tuple[Request, dict[str, object]]] = []
    usual = [b"X-Request-Id", b"traceparent"]
    for change, names, value in [({}, usual, b"first"), *changes, ({}, usual, b"last"), ({}, usual, b"again")]:
        lines = list(FIRST[:4])
        for at, parts in change.items():
            lines[at] = lines[at][: lines[at].index(b":") + 1] + b"".join(parts)
        data = b"\r\n".join([b"GET /a HTTP/1.1", *lines, *(name + b": " + value for name in names), b"", b""])
        found = plain.read(data, 100)
        if found is None:
            continue
        assert [as_read(found)] == read(Requests, [data]).messages()
        kept.append((found, as_read(found)))
    assert kept
    assert [as_read(request) for request, _ in kept] == [then for _, then in kept]


def test_only_identifiers_leave_what_was_read_as_it_was() -> None:
    """Requests that differ in their identifiers alone share what was made of the rest, and each has its own."""
    plain = PlainRequests()
    found = [
        plain.read(b"GET / HTTP/1.1\r\nHost: a\r\nX-A: 1\r\nX-Request-Id: %b\r\ntraceparent: %b\r\n\r\n" % each, 100)
        for each in ((b"1", b"t1"), (b"2", b"t2"), (b"3", b"t3"))
    ]
    first, second, third = [each for each in found if each is not None]
    assert first.special is second.special is third.special
    assert first.fields is second.fields is third.fields
    said = [(each.request_id, each.traceparent, each.header("x-request-id")) for each in (first, second, third)]
    assert said == [(b"1", b"t1", "1"), (b"2", b"t2", "2"), (b"3", b"t3", "3")]


@given(heads=st.lists(st.tuples(STATUSES, LINES, BODIES), min_size=1, max_size=3))
def test_response_read_the_short_way_is_the_one_the_full_reader_reads(
    heads: list[tuple[bytes, list[bytes], bytes]],
) -> None:
    """The same for a response and what came of its body."""
    plain = PlainResponses(200)
    for start, lines, body in heads:
        data = b"\r\n".join([start, *lines, b"Content-Length: 5" if len(lines) % 2 else b"X: y", b"", body])
        found = plain.read(data)
        if found is None:
            continue
        assert [as_read(*found)] == read(Responses, [data]).messages()


HEAD = b"GET /a HTTP/1.1\r\nHost: a.example\r\nAccept: */*\r\n\r\n"
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello"


def test_plain_messages_take_the_short_way() -> None:
    """A usual request and a usual answer take it, the first time and again."""
    requests, responses = PlainRequests(), PlainResponses(200)
    for path in (b"/a", b"/b?c=d", b"/a"):
        found = requests.read(HEAD.replace(b"/a", path), 100)
        assert found is not None
        assert path == found.target
        assert list(pairs(found.fields)) == [(b"Accept", b"*/*")]
    for body in (b"hello", b"world"):
        answer = responses.read(ANSWER.replace(b"hello", body))
        assert answer is not None
        assert (200, body) == (answer[0].status, answer[1])


@pytest.mark.parametrize("came", [0, 1, 4, 70_000])
def test_beginning_of_a_longer_answer_takes_the_short_way(came: int) -> None:
    """A head with none or some of its body takes it, again and again, and so does a whole answer behind that."""
    responses = PlainResponses(200)
    head = ANSWER[: ANSWER.index(b"hello")].replace(b"Length: 5", b"Length: 70001")
    body = bytes(range(256)) * 274
    for _ in range(2):
        answer = responses.read(head + body[:came])
        assert answer is not None
        assert (answer[0].length, bytes(answer[1])) == (70_001, body[:came])
        assert responses.read(ANSWER) is not None
        whole = responses.read(head + body[:70_001])
        assert whole is not None
        assert bytes(whole[1]) == body[:70_001]


@pytest.mark.parametrize(
    "data",
    [
        HEAD[:-1],
        HEAD + b"G",
        HEAD + HEAD,
        HEAD.replace(b"HTTP/1.1", b"HTTP/1.0"),
        HEAD.replace(b"Accept", b"Content-Length"),
        HEAD.replace(b"*/*", b"a\x00b"),
        HEAD.replace(b"/a", b"/\x80"),
        HEAD.replace(b"/a", b"/a\x00"),
        HEAD.replace(b"/a", b"http://b.example/"),
        HEAD.replace(b"Accept", b"Host"),
        HEAD.replace(b"Accept: */*", b"Connection: close"),
        HEAD.replace(b"Accept", b"Accept "),
        HEAD.replace(b"Accept", b" Accept"),
    ],
)
def test_anything_else_is_left_to_the_full_reader(data: bytes) -> None:
    """It declines what is cut, followed, refused or not plain, also after a request that was plain."""
    requests = PlainRequests()
    assert requests.read(data, 100) is None
    assert requests.read(HEAD, 100) is not None
    assert requests.read(data, 100) is None
    assert requests.read(HEAD, 100) is not None


@pytest.mark.parametrize(
    "data",
    [
        ANSWER[:-6],
        ANSWER + b"x",
        ANSWER + ANSWER,
        ANSWER.replace(b"200", b"204"),
        ANSWER.replace(b"200", b"101"),
        ANSWER.replace(b"HTTP/1.1", b"HTTP/1.0"),
        ANSWER.replace(b"text/plain", b"a\x00b"),
        ANSWER[ANSWER.index(b"\r\n\r\n") :],
        ANSWER.replace(b"Content-Type: text/plain", b"Transfer-Encoding: chunked"),
        b"hello",
        ANSWER.replace(b"Content-Type: text/plain", b"Content-Length: 5"),
        ANSWER.replace(b"Length: 5", b"Length: 9223372036854775808"),
        ANSWER.replace(b"Length: 5", b"Length: " + b"9" * 5000),
    ],
)
def test_any_other_answer_is_left_to_the_full_reader(data: bytes) -> None:
    """The same for answers."""
    responses = PlainResponses(200)
    assert responses.read(data) is None
    assert responses.read(ANSWER) is not None
    assert responses.read(data) is None


def test_limit_on_fields_holds_for_a_head_that_was_read_before() -> None:
    """More fields than allowed are declined, also where the same head was accepted under another limit."""
    requests = PlainRequests()
    assert requests.read(HEAD, 2) is not None
    assert requests.read(HEAD, 1) is None


@given(st.text("/?.%2eE#a~\x7f é", max_size=12))
def test_target_that_needs_no_normalising(rest: str) -> None:
    """A path that is said to be in its normal form is."""
    found = PlainRequests().read(HEAD.replace(b"/a", f"/{rest}".encode()), 100)
    if found is not None and found.is_normal:
        assert normalise(found.path) == found.path


def test_usual_target_is_known_to_be_normal() -> None:
    """Of a usual path it is known."""
    found = PlainRequests().read(HEAD.replace(b"/a", b"/v1/orders_7/a-b?x=1&y=~"), 100)
    assert found is not None
    assert found.is_normal


def test_answer_comes_with_its_head_ready_to_be_sent() -> None:
    """The head for the client has the status, the fields that pass and the length, each time those of its answer."""
    responses = PlainResponses(200)
    for status, value in ((b"200 OK", b"1"), (b"200 OK", b"2"), (b"404 Nothing", b"2")):
        head = b"HTTP/1.1 %b\r\nX-A: %b\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok" % (status, value)
        found = responses.read(head)
        assert found is not None
        line = {b"2": b"HTTP/1.1 200 OK", b"4": b"HTTP/1.1 404 Not Found"}[status[:1]]
        assert found[0].block == b"\r\n".join([line, b"X-A: " + value, b"Content-Length: 2"])


def test_full_reader_reads_what_the_short_way_declines() -> None:
    """What is refused is refused by the full reader, with its reason."""
    bad = HEAD.replace(b"Accept", b"Accept ")
    assert PlainRequests().read(bad, 100) is None
    with pytest.raises(Malformed) as refused:
        Requests().feed(bad)
    assert refused.value.reason == "bad_request"
