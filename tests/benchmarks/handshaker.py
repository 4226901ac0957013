"""A client of the mesh that shakes hands: each request on a connection of its own, or all on one. A program of its own.

    python -m tests.benchmarks.handshaker new|kept PORT CERTIFICATE KEY BUNDLE SECONDS

What it uses itself does not matter: it prints how many requests were answered, and the server's CPU is read beside it.
"""

from __future__ import annotations

import socket
import ssl
import sys
import time

from .case import HOST

_REQUEST = (
    b"GET /items/4711 HTTP/1.1\r\nHost: orders.mesh\r\nUser-Agent: handshaker\r\nAccept: */*\r\nConnection: %s\r\n\r\n"
)
_DEADLINE = 10.0


def context(certificate: str, key: str, bundle: str) -> ssl.SSLContext:
    """Mutual TLS 1.3. Who the server is, its chain tells; its name is not asked for."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.minimum_version = ssl.TLSVersion.TLSv1_3
    made.check_hostname = False
    made.load_verify_locations(bundle)
    made.load_cert_chain(certificate, key)
    made.set_alpn_protocols(["http/1.1"])
    return made


def connect(made: ssl.SSLContext, port: int) -> ssl.SSLSocket:
    """A connection whose handshake is done, as far as a client can tell: only an answer says that it was admitted."""
    connection = socket.create_connection((HOST, port), timeout=_DEADLINE)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return made.wrap_socket(connection, server_hostname="orders.mesh")


def new(made: ssl.SSLContext, port: int, until: float) -> int:
    """One connection for each request; how many there were."""
    count = 0
    while time.monotonic() < until:
        with connect(made, port) as connection:
            connection.sendall(_REQUEST % b"close")
            answer = b""
            while piece := connection.recv(65536):
                answer += piece
        _check(answer)
        count += 1
    return count


def kept(made: ssl.SSLContext, port: int, until: float) -> int:
    """All requests on one connection; how many there were."""
    count = 0
    with connect(made, port) as connection:
        while time.monotonic() < until:
            connection.sendall(_REQUEST % b"keep-alive")
            # Head and body come in one record or in two; the body's length is in the head.
            answer = b""
            while b"\r\n\r\n" not in answer or len(answer) < _length(answer):
                piece = connection.recv(65536)
                if not piece:
                    sys.exit(f"the server closed after {answer!r}")
                answer += piece
            _check(answer)
            count += 1
    return count


def _length(answer: bytes) -> int:
    """The bytes of a whole answer, told by its head."""
    head, _, _ = answer.partition(b"\r\n\r\n")
    _, _, rest = head.lower().partition(b"\r\ncontent-length:")
    return len(head) + 4 + int(rest.partition(b"\r\n")[0])


def _check(answer: bytes) -> None:
    if not answer.startswith(b"HTTP/1.1 200"):
        sys.exit(f"answered {answer[:300]!r}")


def main() -> None:
    """Shake hands for as long as told."""
    mode, port, certificate, key, bundle, seconds = sys.argv[1:]
    drive = {"new": new, "kept": kept}[mode]
    made = context(certificate, key, bundle)
    print(drive(made, int(port), time.monotonic() + float(seconds)))


if __name__ == "__main__":
    main()
