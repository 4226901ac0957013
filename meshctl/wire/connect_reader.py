"""Requests as a client sends them to a proxy of its own: CONNECT among them (RFC 9110 §9.3.6), and no https in the
clear. What a wrapped app sends is read by this, nothing else is."""

from __future__ import annotations

from meshctl.wire.message import Request
from meshctl.wire.request_reader import RequestReader
from meshctl.wire.target import split_host, split_port

_TWO_WAYS = "services of the mesh are called by http://, which it encrypts; hosts outside it need a tunnel (CONNECT)"


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
