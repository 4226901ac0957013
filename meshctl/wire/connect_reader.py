"""Requests as a client sends them to a proxy of its own: the whole URL as the target (RFC 9112 §3.2.2), which is read
as if it had been asked for at its host, CONNECT (RFC 9110 §9.3.6), and no https in the clear.

What a wrapped app sends is read by this, nothing else is: the full reader and, as in `plain`, the short way.
"""

from __future__ import annotations

from typing import Final

from meshctl.wire.message import Request
from meshctl.wire.plain import PlainRequests
from meshctl.wire.request_reader import RequestReader
from meshctl.wire.target import split_host, split_port

_TWO_WAYS = "services of the mesh are called by http://, which it encrypts; hosts outside it need a tunnel (CONNECT)"

_KEPT: Final = b"\r\nProxy-Connection: "


class ConnectReader(RequestReader):
    """See the module. A CONNECT has the method "CONNECT", its target's host and authority, and the path "/"."""

    def _other_method(self, raw: bytes) -> str:
        return "CONNECT" if raw == b"CONNECT" else super()._other_method(raw)

    def _read_target(self, request: Request, url: bytes) -> None:
        if request.method == "CONNECT":
            self._read_authority(request, url)
            return
        if url[:6].lower() == b"https:":
            self._fail("https_in_clear", _TWO_WAYS)
        super()._read_target(request, url)
        if url[:5].lower() == b"http:":
            query = request.query_string
            request.target_text = request.path if query is None else f"{request.path}?{query}"
            request.target = request.target_text.encode("latin-1")

    def _read_authority(self, request: Request, url: bytes) -> None:
        text = url.decode("latin-1")
        host = split_host(text)
        # RFC 9110 §9.3.6: there is no default port, and no other form of a target.
        if not host or not split_port(text):
            self._fail("bad_request", 'CONNECT asks for a host and a port, such as "example.com:443"')
        special = request.special
        if b"transfer-encoding" in special or special.get(b"content-length", b"0").strip(b"0"):
            self._fail("bad_request", "CONNECT has no content")
        if b"host" not in special and not request.is_http10:
            self._fail("bad_host", "the Host field is missing")
        request.target, request.target_text, request.path = url, text, "/"
        request.host, request.authority = host, url


class PlainProxyRequests(PlainRequests):
    """Reads the requests of one connection that are a head alone, with a path or a whole URL as the target."""

    __slots__ = ()

    def read(self, data: bytes, max_fields: int) -> Request | None:
        """See `PlainRequests.read`."""
        at = data.find(_KEPT)
        if at > 0 and data[at + len(_KEPT) : at + len(_KEPT) + 12].lower() == b"keep-alive\r\n":
            # Some send it with each request, to say what goes without saying. It never passes.
            data = data[:at] + data[at + len(_KEPT) + 10 :]
        begin = data.find(b" ") + 1
        if data[begin : begin + 7] != b"http://":
            return super().read(data, max_fields)
        slash = data.find(b"/", begin + 7)
        authority = data[begin + 7 : slash]
        host = split_host(authority.decode("latin-1")) if slash > 0 else None
        # Only its path is left for the others to judge: the Host must be there, but does not decide.
        request = super().read(data[:begin] + data[slash:], max_fields) if host else None
        if request is not None and host is not None:
            request.host, request.authority = host, authority
        return request
