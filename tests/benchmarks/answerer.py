"""The floor under every proxy that takes mutual TLS in this language: uvloop and the system OpenSSL, a fixed answer to
whatever comes, and no Python code of ours that could be faster.

    answerer.py PORT CERTIFICATE KEY BUNDLE
"""

from __future__ import annotations

import asyncio
import ssl
import sys
from typing import cast

import uvloop

_BODY = b'{"id":4711}'
_KEPT = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(_BODY), _BODY)
_LAST = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%b" % (len(_BODY), _BODY)


class _Answerer(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is none by inheritance

    def data_received(self, data: bytes) -> None:
        if b"Connection: close" not in data:
            self._transport.write(_KEPT)
            return
        self._transport.write(_LAST)
        self._transport.close()


def _context(certificate: str, key: str, bundle: str) -> ssl.SSLContext:
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.minimum_version = ssl.TLSVersion.TLSv1_3
    made.verify_mode = ssl.CERT_REQUIRED
    made.verify_flags |= ssl.VERIFY_X509_STRICT
    made.num_tickets = 0
    made.load_verify_locations(bundle)
    made.load_cert_chain(certificate, key)
    made.set_alpn_protocols(["http/1.1"])
    return made


async def _serve(port: int, context: ssl.SSLContext) -> None:
    server = await asyncio.get_running_loop().create_server(_Answerer, "127.0.0.1", port, ssl=context, backlog=4096)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(_serve(int(sys.argv[1]), _context(*sys.argv[2:])))
