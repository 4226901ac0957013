"""A corpus of requests made to be read in two ways: whoever takes the framing, the line ends or the fields otherwise than
the gateway finds another request in them. `/@@@` stands for the case's own path, `HOST` for the
route's host; both are as long as what takes their place, so that lengths hold.

Those that the gateway alone is asked about stand in `test_smuggling`; they are part of this corpus.
"""

# ruff: noqa: E501 - bytes stand on one line as they are sent
from __future__ import annotations

from typing import Final

from . import test_smuggling as known

_GET: Final = b"GET /@@@ HTTP/1.1\r\nHost: HOST\r\n"
_POST: Final = b"POST /@@@ HTTP/1.1\r\nHost: HOST\r\n"
_INNER: Final = b"GET /@@@-inner HTTP/1.1\r\nHost: HOST\r\n\r\n"
_CHUNKED: Final = b"Transfer-Encoding: chunked\r\n"


def _length(body: bytes) -> bytes:
    return b"Content-Length: %d\r\n\r\n" % len(body) + body


def _chunk(body: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(body), body)


_LAST: Final = b"0\r\n\r\n"

PLAIN: Final = {
    # Who reads no body of such a request reads the next one out of it, and the other way round.
    "cl.0 get": _GET + _length(_INNER),
    "cl.0 get chunked": _GET + _CHUNKED + b"\r\n" + _chunk(_INNER) + _LAST,
    "cl.0 head": b"HEAD /@@@ HTTP/1.1\r\nHost: HOST\r\n" + _length(_INNER),
    "cl.0 options": b"OPTIONS /@@@ HTTP/1.1\r\nHost: HOST\r\n" + _length(_INNER),
    "cl.0 delete": b"DELETE /@@@ HTTP/1.1\r\nHost: HOST\r\n" + _length(_INNER),
    "cl.0 trace": b"TRACE /@@@ HTTP/1.1\r\nHost: HOST\r\n" + _length(_INNER),
    "cl.0 post": _POST + _length(_INNER),
    "cl.0 underscore": _POST + b"Content_Length: 0\r\n" + _length(_INNER),
    "cl.0 other underscore": _POST + b"Content-Length: 0\r\nContent_Length: %d\r\n\r\n" % len(_INNER) + _INNER,
    "0.cl none": _POST + b"\r\n" + _INNER,
    "0.cl zero": _POST + b"Content-Length: 0\r\n\r\n" + _INNER,
    "0.cl zeros": _POST + b"Content-Length: 000\r\n\r\n" + _INNER,
    "0.cl quoted": _POST + b'X-A: "\r\nContent-Length: 0\r\nX-B: "\r\n\r\n' + _INNER,
    "0.cl in another's value": _POST + b"X-A: Content-Length: 41\r\n\r\n" + _INNER,
    "cl zeros before": _POST + b"Content-Length: 0000000000000000000000%d\r\n\r\n" % len(_INNER) + _INNER,
    "cl tab": _POST + b"Content-Length:\t%d\r\n\r\n" % len(_INNER) + _INNER,
    "cl spaces": _POST + b"Content-Length:    %d   \r\n\r\n" % len(_INNER) + _INNER,
    "cl in capitals": _POST + b"CONTENT-LENGTH: %d\r\n\r\n" % len(_INNER) + _INNER,
    "chunked body in length": _POST + _length(_chunk(b"hello") + _LAST + _INNER),
    "length in chunked body": _POST + _CHUNKED + b"\r\n" + _chunk(b"Content-Length: 5\r\n\r\nhello" + _INNER) + _LAST,
    "te of another name": _POST + b"X-Transfer-Encoding: chunked\r\n" + _length(_LAST + _INNER),
    "te with underscore": _POST + b"Transfer_Encoding: chunked\r\n" + _length(_LAST + _INNER),
    "te spaces": _POST + b"Transfer-Encoding:   chunked   \r\n\r\n" + _chunk(_INNER) + _LAST,
    "te mixed case": _POST + b"tRANSFER-eNCODING: cHuNkEd\r\n\r\n" + _chunk(_INNER) + _LAST,
    "te in te": _POST + b"TE: chunked\r\n" + _length(_LAST + _INNER),
    # Chunks.
    "chunk by bytes": _POST + _CHUNKED + b"\r\n" + b"".join(_chunk(_INNER[at : at + 1]) for at in range(len(_INNER))) + _LAST,
    "chunk size zeros": _POST + _CHUNKED + b"\r\n0000000000000005\r\nhello\r\n0000000000\r\n\r\n",
    "chunk that looks like an end": _POST + _CHUNKED + b"\r\n" + _chunk(_LAST + _INNER) + _LAST,
    "chunk extension": _POST + _CHUNKED + b"\r\n5;a=b;c\r\nhello\r\n0;d\r\n\r\n",
    "chunk extension like a size": _POST + _CHUNKED + b"\r\n5;ff\r\nhello\r\n0;5\r\n\r\n",
    "chunk extension quoted": _POST + _CHUNKED + b'\r\n5;a="0;5"\r\nhello\r\n0\r\n\r\n',
    "chunk extension long": _POST + _CHUNKED + b"\r\n5;a=" + b"x" * 5000 + b"\r\nhello\r\n0\r\n\r\n",
    "chunk extension without name": _POST + _CHUNKED + b"\r\n5;\r\nhello\r\n0\r\n\r\n",
    "chunk size 0x": _POST + _CHUNKED + b"\r\n0x5\r\nhello\r\n0\r\n\r\n",
    "chunk size underscore": _POST + _CHUNKED + b"\r\n0_5\r\nhello\r\n0\r\n\r\n",
    "chunk size plus": _POST + _CHUNKED + b"\r\n+5\r\nhello\r\n0\r\n\r\n",
    "chunk size 32 bits over": _POST + _CHUNKED + b"\r\n100000005\r\nhello\r\n0\r\n\r\n",
    "chunk size 64 bits over": _POST + _CHUNKED + b"\r\n10000000000000005\r\nhello\r\n0\r\n\r\n",
    "chunk size 63 bits": _POST + _CHUNKED + b"\r\nffffffffffffffff\r\nhello\r\n0\r\n\r\n",
    "chunk size comma": _POST + _CHUNKED + b"\r\n5,5\r\nhello\r\n0\r\n\r\n",
    "chunk size then space": _POST + _CHUNKED + b"\r\n5 ;a\r\nhello\r\n0\r\n\r\n",
    "chunk size then tab": _POST + _CHUNKED + b"\r\n5\t\r\nhello\r\n0\r\n\r\n",
    "chunk end by two": _POST + _CHUNKED + b"\r\n5\r\nhelloXY0\r\n\r\n",
    "chunk end missing": _POST + _CHUNKED + b"\r\n5\r\nhello\r\n\r\n0\r\n\r\n",
    "chunk size ext lf": _POST + _CHUNKED + b"\r\n5;\nhello\r\n0\r\n\r\n" + _INNER,
    "chunk size ext lf inner": _POST + _CHUNKED + b"\r\n2;\nxx\r\n40\r\n0\r\n\r\n" + _INNER + b"\r\n0\r\n\r\n",
    "last chunk then request": _POST + _CHUNKED + b"\r\n0\r\n" + _INNER,
    # Trailers.
    "trailer": _POST + _CHUNKED + b"\r\n5\r\nhello\r\n0\r\nX-T: 1\r\n\r\n",
    "trailer length": _POST + _CHUNKED + b"\r\n5\r\nhello\r\n0\r\nContent-Length: 50\r\n\r\n",
    "trailer host": _POST + _CHUNKED + b"\r\n5\r\nhello\r\n0\r\nHost: evil\r\nX-Forwarded-For: 1\r\n\r\n",
    "trailer announced": _POST + b"Trailer: Content-Length\r\n" + _CHUNKED + b"\r\n5\r\nhello\r\n0\r\nX-T: 1\r\n\r\n",
    "trailer like a request": _POST + _CHUNKED + b"\r\n0\r\nGET /@@@-inner HTTP/1.1: x\r\n\r\n",
    "trailer without end": _POST + _CHUNKED + b"\r\n0\r\nX: y\r\nGET /@@@-inner HTTP/1.1\r\n\r\n",
    "many trailers": _POST + _CHUNKED + b"\r\n0\r\n" + b"X-T: 1\r\n" * 50 + b"\r\n",
    # What Connection names.
    "connection names length": _POST + b"Connection: Content-Length\r\n" + _length(_INNER),
    "connection names coding": _POST + b"Connection: Transfer-Encoding\r\n" + _CHUNKED + b"\r\n" + _chunk(_INNER) + _LAST,
    "connection names host": _POST + b"Connection: Host\r\n" + _length(_INNER),
    "connection names type": _POST + b"Connection: keep-alive, content-type, x-a\r\nX-A: b\r\n" + _length(_INNER),
    "connection twice": _POST + b"Connection: keep-alive\r\nConnection: content-length\r\n" + _length(_INNER),
    "connection close": _POST + b"Connection: close\r\n" + _length(_INNER),
    "connection odd": _GET + b"Connection: ,, keep-alive,\r\n\r\n" + _INNER,
    "keep-alive": _GET + b"Keep-Alive: timeout=1, max=1\r\nProxy-Connection: close\r\n\r\n" + _INNER,
    # Other protocols.
    "upgrade": _GET + b"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n" + _INNER,
    "upgrade unknown": _GET + b"Connection: Upgrade\r\nUpgrade: foo/1\r\n\r\n" + _INNER,
    "upgrade h2c": _GET + b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\n" + _INNER,
    "upgrade h2c with a body": _POST + b"Connection: Upgrade\r\nUpgrade: h2c\r\n" + _length(_INNER),
    "upgrade with a body": _POST + b"Connection: Upgrade\r\nUpgrade: websocket\r\n" + _length(_INNER),
    "upgrade with chunks": _POST + b"Connection: Upgrade\r\nUpgrade: websocket\r\n" + _CHUNKED + b"\r\n" + _chunk(_INNER) + _LAST,
    "upgrade with zero": _POST + b"Connection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 0\r\n\r\n" + _INNER,
    "upgrade alone": _GET + b"Upgrade: websocket\r\n\r\n" + _INNER,
    "upgrade tls": b"OPTIONS /@@@ HTTP/1.1\r\nHost: HOST\r\nConnection: Upgrade\r\nUpgrade: TLS/1.0\r\n\r\n" + _INNER,
    "preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + _INNER,
    # Expect.
    "expect": _POST + b"Expect: 100-continue\r\n" + _length(_INNER),
    "expect chunked": _POST + b"Expect: 100-Continue\r\n" + _CHUNKED + b"\r\n" + _chunk(_INNER) + _LAST,
    "expect without a body": _GET + b"Expect: 100-continue\r\n\r\n" + _INNER,
    "expect zero": _POST + b"Expect: 100-continue\r\nContent-Length: 0\r\n\r\n" + _INNER,
    "expect twice": _POST + b"Expect: 100-continue\r\nExpect: 100-continue\r\n" + _length(_INNER),
    "expect other": _POST + b"Expect: y\r\n" + _length(_INNER),
    "expect obfuscated": _POST + b"Expect: y 100-continue\r\n" + _length(_INNER),
    "expect get": _GET + b"Expect: 100-continue\r\n" + _length(_INNER),
    # HEAD, and its like.
    "head": b"HEAD /@@@ HTTP/1.1\r\nHost: HOST\r\n\r\n" + _INNER,
    "head chunked": b"HEAD /@@@ HTTP/1.1\r\nHost: HOST\r\n" + _CHUNKED + b"\r\n" + _chunk(_INNER) + _LAST,
    "method override": _POST + b"X-HTTP-Method-Override: HEAD\r\n" + _length(_INNER),
    # Targets and hosts.
    "absolute": b"GET http://HOST/@@@ HTTP/1.1\r\nHost: evil.test\r\n\r\n" + _INNER,
    "absolute https": b"GET https://HOST/@@@ HTTP/1.1\r\nHost: HOST\r\n\r\n" + _INNER,
    "absolute with a body": b"POST http://HOST/@@@ HTTP/1.1\r\nHost: HOST\r\n" + _length(_INNER),
    "two slashes": b"GET //@@@ HTTP/1.1\r\nHost: HOST\r\n\r\n" + _INNER,
    "dots": b"GET /@@@/../../@@@ HTTP/1.1\r\nHost: HOST\r\n\r\n" + _INNER,
    "line end in the path": b"GET /@@@%0d%0aHost:%20evil HTTP/1.1\r\nHost: HOST\r\n\r\n" + _INNER,
    "line end in the query": b"GET /@@@?a=%0d%0a%0d%0aGET%20/evil HTTP/1.1\r\nHost: HOST\r\n\r\n" + _INNER,
    "space in the path": b"GET /@@@%20HTTP/1.1 HTTP/1.1\r\nHost: HOST\r\n\r\n" + _INNER,
    "star": b"OPTIONS * HTTP/1.1\r\nHost: HOST\r\n\r\n" + _INNER,
    "port": b"GET /@@@ HTTP/1.1\r\nHost: HOST:99\r\n\r\n" + _INNER,
    "host in capitals": b"GET /@@@ HTTP/1.1\r\nhOST: HOST.\r\n\r\n" + _INNER,
    "host behind others": b"GET /@@@ HTTP/1.1\r\nX-Host: evil\r\nX-Forwarded-Host: evil\r\nHost: HOST\r\n\r\n" + _INNER,
    # Versions.
    "1.0": b"GET /@@@ HTTP/1.0\r\nHost: HOST\r\n\r\n" + _INNER,
    "1.0 kept": b"GET /@@@ HTTP/1.0\r\nHost: HOST\r\nConnection: keep-alive\r\n\r\n" + _INNER,
    "1.0 kept with a body": b"POST /@@@ HTTP/1.0\r\nHost: HOST\r\nConnection: keep-alive\r\n" + _length(_INNER),
    "1.0 chunked": b"POST /@@@ HTTP/1.0\r\nHost: HOST\r\nConnection: keep-alive\r\n" + _CHUNKED + b"\r\n" + _chunk(_INNER) + _LAST,
    "1.0 post without length": b"POST /@@@ HTTP/1.0\r\nHost: HOST\r\nConnection: keep-alive\r\n\r\n" + _INNER,
    "1.0 with expect": b"POST /@@@ HTTP/1.0\r\nHost: HOST\r\nExpect: 100-continue\r\nConnection: keep-alive\r\n" + _length(_INNER),
    "0.9": b"GET /@@@\r\n" + _INNER,
    "0.9 with a space": b"GET /@@@ \r\n" + _INNER,
    "1.1 without host": b"GET /@@@ HTTP/1.1\r\n\r\n" + _INNER,
    # Line ends and what stands between requests.
    "empty lines before": b"\r\n\r\n" + _GET + b"\r\n" + _INNER,
    "empty lines between": _GET + b"\r\n\r\n\r\n" + _INNER,
    "space line between": _GET + b"\r\n \r\n" + _INNER,
    "lf before": b"\n" + _GET + b"\r\n" + _INNER,
    "lf ends the head": b"GET /@@@ HTTP/1.1\r\nHost: HOST\r\n\n" + _INNER,
    "cr ends the head": b"GET /@@@ HTTP/1.1\r\nHost: HOST\r\n\r" + _INNER,
    "crcrlf": b"GET /@@@ HTTP/1.1\r\nHost: HOST\r\r\n\r\n" + _INNER,
    "lf within a value": _GET + b"X-A: b\nContent-Length: 41\r\n\r\n" + _INNER,
    "cr within a value": _GET + b"X-A: b\rContent-Length: 41\r\n\r\n" + _INNER,
    "nul within a value": _GET + b"X-A: b\x00Content-Length: 41\r\n\r\n" + _INNER,
    "nel within a value": _GET + b"X-A: b\x85Content-Length: 41\r\n\r\n" + _INNER,
    "vertical tab": _GET + b"X-A: b\x0bContent-Length: 41\r\n\r\n" + _INNER,
    "folded": _GET + b"X-A: b\r\n Content-Length: 41\r\n\r\n" + _INNER,
    "folded first": b"GET /@@@ HTTP/1.1\r\n Host: evil\r\nHost: HOST\r\n\r\n" + _INNER,
    "name with a space": _POST + b"Content-Length : 41\r\n\r\n" + _INNER,
    "name with a tab": _POST + b"Content-Length\t: 41\r\n\r\n" + _INNER,
    "name with nbsp": _POST + b"Content-Length\xa0: 41\r\n\r\n" + _INNER,
    "name of colon": _POST + b":Content-Length: 41\r\n\r\n" + _INNER,
    "value of high octets": _GET + b"X-A: \xff\xfe\xa0\r\n\r\n" + _INNER,
    "tab in a value": _GET + b"X-A: a\tb\r\n\r\n" + _INNER,
    "empty value": _GET + b"X-A:\r\nX-B: \r\n\r\n" + _INNER,
    "long value": _GET + b"X-A: " + b"y" * 30_000 + b"\r\n\r\n" + _INNER,
    "many fields": _GET + b"X-A: y\r\n" * 80 + b"\r\n" + _INNER,
    # Bodies that routes may edit, and so give another length.
    "json": _POST + _length(b'{"a":1,"secret":"' + b"x" * 50 + b'"}') + _INNER,
    "json chunked": _POST + _CHUNKED + b"\r\n" + _chunk(b'{"secret":') + _chunk(b"[1,2,3]}") + _LAST + _INNER,
    "json expected": _POST + b"Expect: 100-continue\r\n" + _length(b'{"secret":1}') + _INNER,
    "json of no end": _POST + _length(b'{"a":[') + _INNER,
    "json with trailers": _POST + _CHUNKED + b"\r\n" + _chunk(b'{"secret":1}') + b"0\r\nX-T: 1\r\n\r\n" + _INNER,
    # Rows of requests.
    "pipeline": _GET + b"\r\n" + _POST + _length(b"hello") + _POST + _CHUNKED + b"\r\n" + _chunk(_INNER) + _LAST + _INNER,
    "pipeline of twenty": (_POST + _length(b"hello")) * 20 + _INNER,
    "large body": _POST + _length(b"x" * 100_000) + _INNER,
    "large chunks": _POST + _CHUNKED + b"\r\n" + _chunk(b"y" * 70_000) * 2 + _LAST + _INNER,
    "length at the raw border": _POST + _length(b"x" * 16_384) + _INNER,
}  # fmt: skip

SWALLOWING: Final = {"chunk size 63 bits", "chunk size 32 bits over"}
"""Those whose body takes all that comes behind it, and does not end."""


def corpus() -> dict[str, bytes]:
    """All cases by name."""
    found = dict(PLAIN)
    tail = known.TAIL.replace(b"/smuggled", b"/@@@-inner")
    for name, lines in known.FRAMING.items():
        found[f"framing: {name}"] = _POST + lines + b"\r\n\r\n" + tail
    for name, coding in known.CODINGS.items():
        found[f"coding: {name}"] = _POST + b"Transfer-Encoding: " + coding + b"\r\n\r\n" + tail
    for name, line in known.FIELDS.items():
        found[f"field: {name}"] = _GET + line + b"\r\n\r\n" + _INNER
    for name, line in known.HOSTS.items():
        found[f"host: {name}"] = b"GET /@@@ HTTP/1.1\r\n" + line + b"\r\n\r\n" + _INNER
    for name, (line, _, _) in known.LINES.items():
        found[f"line: {name}"] = line.replace(b" / ", b" /@@@ ") + b"\r\nHost: HOST\r\n\r\n" + _INNER
    for name, chunks in known.CHUNKS.items():
        found[f"chunk: {name}"] = _POST + _CHUNKED + b"\r\n" + chunks + _INNER
    for name, (line, sent, _) in known.ACCEPTED.items():
        found[f"odd: {name}"] = _POST + line + b"\r\n\r\n" + sent + _INNER
    return found
