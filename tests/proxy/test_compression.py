"""Answers that are compressed on their way, in a proxy with real connections."""

from __future__ import annotations

import random
import zlib
from collections.abc import Callable, Iterator

import brotli
import pytest
import zstandard

from meshctl.model.passing import Compression
from meshctl.model.route import Match, PathMatch, Respond, Route

from .passage import Passage, answer, request

TEXT = b"".join(b"line %d of a text that is not worth much\n" % number for number in range(200))
JSON = "Content-Type: application/json; charset=utf-8"
DECODE: dict[str, Callable[[bytes], bytes]] = {
    "gzip": lambda data: zlib.decompress(data, zlib.MAX_WBITS | 16),
    "br": brotli.decompress,
    "zstd": lambda data: zstandard.ZstdDecompressor().decompressobj().decompress(data),
}


@pytest.fixture(scope="module")
def passage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Passage]:
    """The proxy that these tests share, with compression."""
    made = Passage(tmp_path_factory.mktemp("passage"))
    made.serve(compression=Compression())
    yield made
    made.close()


def accepting(coding: str, *lines: str, method: str = "GET") -> bytes:
    """A request of a client that takes this."""
    return request("/", f"Accept-Encoding: {coding}", *lines, method=method)


@pytest.mark.parametrize("coding", DECODE)
def test_codings(passage: Passage, coding: str) -> None:
    """What a client gets in a coding is what the service sent, and is shorter; what named its bytes names them no
    more, and caches know that it depends."""
    _, got = passage.pass_through(
        accepting(coding), answer(JSON, 'ETag: "a"', "Accept-Ranges: bytes", "Vary: Origin", body=TEXT)
    )
    assert (got.get("content-encoding"), DECODE[coding](got.body)) == (coding.encode(), TEXT)
    assert got.framing == "length"
    assert len(got.body) < len(TEXT) / 4
    assert (got.get("etag"), got.get("accept-ranges")) == (b'W/"a"', None)
    assert got.all("vary") == [b"Origin", b"Accept-Encoding"]
    # The log tells what went over the wire.
    assert passage.proxy.line(lambda line: line["bytes_out"] == len(got.body))["status"] == 200


@pytest.mark.parametrize("coding", DECODE)
def test_streams(passage: Passage, coding: str) -> None:
    """What a service sends piece by piece can be read piece by piece; nothing waits for the next one."""
    passage.app.forget()
    with passage.proxy.connect("gateway") as client:
        client.send(accepting(coding))
        app = passage.app.accept()
        app.read_request()
        app.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n")
        head = client.read_head()
        assert (head.get("content-encoding"), head.get("transfer-encoding")) == (coding.encode(), b"chunked")
        decoder = {
            "gzip": lambda: zlib.decompressobj(zlib.MAX_WBITS | 16).decompress,
            "br": lambda: brotli.Decompressor().process,
            "zstd": lambda: zstandard.ZstdDecompressor().decompressobj().decompress,
        }[coding]()
        seen = b""
        while seen != b"first":
            size = int(client.read_until(b"\r\n"), 16)
            seen += decoder(client.read_exactly(size))
            client.read_exactly(2)
        app.send(b"6\r\nsecond\r\n0\r\n\r\n")
        rest, _ = client.read_chunks()
        assert seen + decoder(rest) == b"firstsecond"


@pytest.mark.parametrize("coding", DECODE)
def test_long_bodies(passage: Passage, coding: str) -> None:
    """A body that comes in many reads is compressed as it passes."""
    noise = random.Random(7)
    body = b"".join(noise.randbytes(500) + b"x" * 3500 for _ in range(600))
    _, got = passage.pass_through(accepting(coding), answer("Content-Type: text/html", body=body))
    assert got.framing == "chunked"
    assert len(got.body) < len(body) / 4
    assert DECODE[coding](got.body) == body


@pytest.mark.parametrize(
    ("lines", "body"),
    [
        ((JSON,), TEXT[:1023]),
        ((JSON, "Content-Encoding: br"), TEXT),
        ((JSON, "Cache-Control: max-age=5, No-Transform"), TEXT),
        (("Content-Type: image/png",), TEXT),
        (("Content-Type: text/event-stream",), TEXT),
        ((), TEXT),
        ((JSON,), random.Random(1).randbytes(2048)),
    ],
    ids=["short", "compressed", "no-transform", "image", "events", "no type", "noise"],
)
def test_left_alone(passage: Passage, lines: tuple[str, ...], body: bytes) -> None:
    """What is short, compressed, not to be changed, of another kind or would not get shorter passes as it came."""
    encoding = b"br" if "Content-Encoding: br" in lines else None
    _, got = passage.pass_through(accepting("gzip"), answer(*lines, 'ETag: "a"', body=body))
    assert (got.body, got.framing, got.get("content-encoding")) == (body, "length", encoding)
    assert (got.get("etag"), got.all("vary")) == (b'"a"', [b"Accept-Encoding"])


@pytest.mark.parametrize("line", ["Accept-Encoding: deflate", "Accept-Encoding: gzip;q=0", "X-None: 1"])
def test_clients_that_do_not_take_it(passage: Passage, line: str) -> None:
    """Who does not take a coding gets none."""
    _, got = passage.pass_through(request("/", line), answer(JSON, body=TEXT))
    assert (got.body, got.get("content-encoding")) == (TEXT, None)


def test_heads_and_parts(passage: Passage) -> None:
    """HEAD tells the length of what the service has, and a part of a body stays a part of that."""
    _, got = passage.pass_through(accepting("gzip", method="HEAD"), answer(JSON, body=TEXT)[: -len(TEXT)])
    assert (got.get("content-length"), got.get("content-encoding")) == (str(len(TEXT)).encode(), None)
    part = answer(JSON, f"Content-Range: bytes 0-1999/{len(TEXT)}", body=TEXT[:2000], status=206)
    _, got = passage.pass_through(accepting("gzip", "Range: bytes=0-1999"), part)
    assert (got.status, got.body) == (206, TEXT[:2000])


def test_settings(passage: Passage) -> None:
    """A route's own codings, types and minimum count; fixed answers are compressed like others."""
    settings = Compression(("gzip",), 10, ("image/*",))
    fixed = Route(
        "fixed", Match(path=PathMatch("prefix", "/f")), respond=Respond(body="x" * 2000), compression=Compression()
    )
    passage.serve(Route("r", service="app", compression=settings), fixed)
    try:
        _, got = passage.pass_through(accepting("br, gzip;q=0.1"), answer("Content-Type: image/bmp", body=b"0" * 50))
        assert (got.get("content-encoding"), DECODE["gzip"](got.body)) == (b"gzip", b"0" * 50)
        _, got = passage.pass_through(accepting("gzip"), answer(JSON, body=TEXT))
        assert got.get("content-encoding") is None
        got = passage.refuse(request("/f", "Accept-Encoding: br"))
        assert DECODE["br"](got.body) == b"x" * 2000
    finally:
        passage.serve(compression=Compression())


def test_an_old_client(passage: Passage) -> None:
    """HTTP/1.0 gets a coding that it takes, and the connection's end for a length."""
    passage.app.forget()
    with passage.proxy.connect("gateway") as client:
        client.send(b"GET / HTTP/1.0\r\nAccept-Encoding: gzip\r\n\r\n")
        body = TEXT * 40
        passage.app.serve(answer(JSON, body=body))
        client.read_head()
        assert DECODE["gzip"](client.read_to_end()) == body
