"""Tables of messages: plain ones and odd ones, whole ones and broken ones."""

from __future__ import annotations

from typing import Final

REQUESTS: Final = {
    "plain": b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n",
    "query": b"GET /a/b?c=d&e HTTP/1.1\r\nHost: a.test:80\r\nAccept: */*\r\nUser-Agent: x\r\n\r\n",
    "spellings": b"GET /a HTTP/1.1\r\nhOsT: A.Test\r\nx-one: 1\r\nX-One: 2\r\nX-EMPTY:\r\nX-Space:  a b \t\r\n\r\n",
    "no space": b"GET /a HTTP/1.1\r\nHost:a.test\r\nX-A:b\r\n\r\n",
    "forwarding": b"GET /a HTTP/1.1\r\nHost: a.test\r\nX-Forwarded-For: 1\r\nX-Forwarded-For: 2\r\nVia: 1.1 a\r\n\r\n",
    "identifiers": b"GET /a HTTP/1.1\r\nHost: a.test\r\nX-Request-Id: 7\r\ntraceparent: 00-1-1-00\r\n\r\n",
    "length": b"POST /a HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\n\r\nhello",
    "no length": b"POST /a HTTP/1.1\r\nHost: a.test\r\nContent-Length: 0\r\n\r\n",
    "chunked": b"POST /a HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: Chunked\r\n\r\n"
    b"2\r\nhe\r\n3;x=y\r\nllo\r\n0\r\n\r\n",
    "trailers": b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"1\r\na\r\n0\r\nX-T: 1\r\nx-u: 2\r\n\r\n",
    "expecting": b"PUT / HTTP/1.1\r\nHost: a\r\nExpect: 100-Continue\r\nContent-Length: 2\r\n\r\nhi",
    "closing": b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    "naming": b"GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, X-Hop\r\nX-Hop: 1\r\nKeep-Alive: 1\r\n\r\n",
    "http 1.0": b"GET / HTTP/1.0\r\n\r\n",
    "http 1.0 kept": b"GET / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n",
    "absolute": b"GET http://b.test:81/x?y HTTP/1.1\r\nHost: a.test\r\n\r\n",
    "absolute without path": b"GET https://b.test?y HTTP/1.1\r\nHost: a.test\r\n\r\n",
    "star": b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
    "other method": b"PROPFIND / HTTP/1.1\r\nHost: a\r\n\r\n",
    "two": b"GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: b\r\n\r\n",
    "three with bodies": b"POST /1 HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\na"
    b"POST /2 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nb\r\n0\r\n\r\n"
    b"GET /3 HTTP/1.1\r\nHost: a\r\n\r\n",
    "empty lines": b"\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
    "upgrade": b"GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nrest",
    "upgrade, http 1.0": b"GET /ws HTTP/1.0\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
    "proxy connection": b"GET / HTTP/1.1\r\nHost: a\r\nProxy-Connection: close\r\n\r\n",
    "version in a value": b"GET / HTTP/1.0\r\nHost: a\r\nX: / HTTP/1.1\r\nX: GET / HTTP/1.1\r\nY: HTTP/1.1\r\n\r\n",
}

REFUSED_REQUESTS: Final = {
    "te and cl": (
        b"PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n",
        "bad_request",
    ),
    "cl and te": (
        b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        "bad_request",
    ),
    "two cl": (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n", "bad_request"),
    "long cl": (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9223372036854775808\r\n\r\n", "bad_request"),
    "te with tab": (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\t\r\n\r\n", "coding_unsupported"),
    "te gzip": (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", "coding_unsupported"),
    "te in 1.0": (b"POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", "bad_request"),
    "no host": (b"GET / HTTP/1.1\r\nX: y\r\n\r\n", "bad_host"),
    "two hosts": (b"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", "bad_host"),
    "bad host": (b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", "bad_host"),
    "absolute, no host": (b"GET http://a/ HTTP/1.1\r\nX: y\r\n\r\n", "bad_host"),
    "user": (b"GET http://u@a/ HTTP/1.1\r\nHost: a\r\n\r\n", "bad_request"),
    "fragment": (b"GET /#a HTTP/1.1\r\nHost: a\r\n\r\n", "bad_path"),
    "star": (b"GET * HTTP/1.1\r\nHost: a\r\n\r\n", "bad_request"),
    "connect": (b"CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n", "method_unsupported"),
    "rtsp": (b"SETUP / RTSP/1.0\r\nHost: a\r\n\r\n", "method_unknown"),
    "method": (b"GRAB / HTTP/1.1\r\nHost: a\r\n\r\n", "method_unknown"),
    "1.2": (b"GET / HTTP/1.2\r\nHost: a\r\n\r\n", "version_unsupported"),
    "2.0": (b"GET / HTTP/2.0\r\nHost: a\r\n\r\n", "version_unsupported"),
    "0.9": (b"GET /\r\n\r\n", "version_unsupported"),
    "expectation": (b"GET / HTTP/1.1\r\nHost: a\r\nExpect: more\r\n\r\n", "expectation_unknown"),
    "fold": (b"GET / HTTP/1.1\r\nHost: a\r\nX: y\r\n z\r\n\r\n", "bad_request"),
    "space before colon": (b"GET / HTTP/1.1\r\nHost: a\r\nX : y\r\n\r\n", "bad_request"),
    "bare lf": (b"GET / HTTP/1.1\r\nHost: a\r\nX: y\nZ: a\r\n\r\n", "bad_request"),
    "bare cr": (b"GET / HTTP/1.1\r\nHost: a\r\nX: y\rZ: a\r\n\r\n", "bad_request"),
    "nul": (b"GET / HTTP/1.1\r\nHost: a\r\nX: \x00\r\n\r\n", "bad_request"),
    "many fields": (b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: y\r\n" * 100 + b"\r\n", "head_too_large"),
    "chunk size": (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n", "bad_request"),
}

RESPONSES: Final = {
    "length": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-A: b\r\n\r\nhello",
    "beginning": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-A: b\r\n\r\nhel",
    "head alone": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-A: b\r\n\r\n",
    "no reason": b"HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n",
    "chunked": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\nX-T: 1\r\n\r\n",
    "until close": b"HTTP/1.1 200 OK\r\nX: y\r\n\r\nhello",
    "204": b"HTTP/1.1 204 No Content\r\n\r\n",
    "304 with length": b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\nETag: x\r\n\r\n",
    "closing": b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok",
    "naming": b"HTTP/1.1 200 OK\r\nConnection: X-Hop\r\nX-Hop: 1\r\nContent-Length: 2\r\n\r\nok",
    "http 1.0": b"HTTP/1.0 200 OK\r\n\r\nhello",
    "http 1.0 kept": b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok",
    "interim": b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
    b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    "error": b"HTTP/1.1 503 Busy\r\nRetry-After: 1\r\nContent-Length: 4\r\n\r\nbusy",
    "two": b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\naHTTP/1.1 404 No\r\nContent-Length: 1\r\n\r\nb",
    "upgrade": b"HTTP/1.1 101 X\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nrest",
    "proxy connection": b"HTTP/1.1 200 OK\r\nProxy-Connection: close\r\nContent-Length: 2\r\n\r\nok",
    "version in a value": b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\nX: HTTP/1.1 200 OK\r\nY: HTTP/1.1 200\r\n\r\nok",
}

REFUSED_RESPONSES: Final = {
    "words": b"hello there\r\n\r\n",
    "2.0": b"HTTP/2.0 200 OK\r\n\r\n",
    "099": b"HTTP/1.1 099 X\r\nContent-Length: 0\r\n\r\n",
    "99": b"HTTP/1.1 99 X\r\nContent-Length: 0\r\n\r\n",
    "1000": b"HTTP/1.1 1000 X\r\nContent-Length: 0\r\n\r\n",
    "te and cl": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n",
    "long cl": b"HTTP/1.1 200 OK\r\nContent-Length: %b\r\n\r\n" % (b"9" * 5000),
    "two cl": b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\na",
    "te gzip": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
    "te with tab": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\t\r\n\r\n0\r\n\r\n",
    "te in 1.0": b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "fold": b"HTTP/1.1 200 OK\r\nX: y\r\n z\r\nContent-Length: 0\r\n\r\n",
    "bare lf": b"HTTP/1.1 200 OK\nContent-Length: 0\n\n",
    "many fields": b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 201 + b"\r\n",
    "space before colon": b"HTTP/1.1 200 OK\r\nX : y\r\nContent-Length: 0\r\n\r\n",
}
