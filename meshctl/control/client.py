"""Asking running proxies through their admin sockets: one request each, all at once, with a deadline.

Uses nothing but the standard library, because every reading command starts with it. Knows the documents as bytes only.
"""

from __future__ import annotations

import http.client
import socket
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

import msgspec

from meshctl import clock
from meshctl.errors import MeshError
from meshctl.model.views import ProxyRecord

DEADLINE: Final = 2.0
"""Seconds a proxy gets to answer; a healthy one needs a few milliseconds."""

_MOST_AT_ONCE: Final = 32
_LARGEST_ANSWER: Final = 64 * 1024 * 1024
_PIECE: Final = 1 << 16


class _Problem(msgspec.Struct):
    """The parts of an RFC 9457 document that people read."""

    title: str = ""
    detail: str = ""
    hint: str = ""
    code: str = "failed"


# Made here and not by the first refusal: msgspec crashes where several threads are the first to meet a type at once.
_PROBLEM: Final = msgspec.json.Decoder(_Problem)


@dataclass(frozen=True, slots=True)
class Answer:
    """What one proxy said: its document, or the error why there is none."""

    record: ProxyRecord
    body: bytes = b""
    error: MeshError | None = None


def ask(record: ProxyRecord, method: str, target: str, *, timeout: float = DEADLINE) -> bytes:
    """The body of the proxy's answer to `method target`, whole within `timeout` seconds.

    Raises MeshError proxy_unreachable where it does not answer, or the error it answers with."""
    connection = _SocketConnection(record.socket, clock.monotonic() + timeout)
    try:
        connection.request(method, target, headers={"Host": "meshctl"})
        response = connection.getresponse()
        body = _read_all(connection, response)
    except (OSError, http.client.HTTPException) as error:
        raise _unreachable(record, error, timeout) from error
    finally:
        connection.close()
    if response.status >= 400:
        raise _refusal(record, response.status, body)
    return body


def ask_all(records: Sequence[ProxyRecord], target: str, *, timeout: float = DEADLINE) -> list[Answer]:
    """What all `records` answer to GET, asked at the same time, in their order. Raises nothing that a proxy causes."""

    def one(record: ProxyRecord) -> Answer:
        try:
            return Answer(record, body=ask(record, "GET", target, timeout=timeout))
        except MeshError as error:
            return Answer(record, error=error)

    if len(records) == 1:
        return [one(records[0])]
    with ThreadPoolExecutor(max_workers=max(1, min(len(records), _MOST_AT_ONCE))) as pool:
        return list(pool.map(one, records))


class _SocketConnection(http.client.HTTPConnection):
    """HTTP over a Unix socket, with one deadline for the whole exchange rather than a time for each read."""

    def __init__(self, path: str, deadline: float) -> None:
        super().__init__("localhost")
        self._path = path
        self._deadline = deadline

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.hurry()
        self.sock.connect(self._path)

    def hurry(self) -> None:
        """Let the next socket operation take what is left of the time. Raises TimeoutError when nothing is."""
        left = self._deadline - clock.monotonic()
        if left <= 0:
            raise TimeoutError("the deadline passed")
        if self.sock is not None:
            self.sock.settimeout(left)


def _read_all(connection: _SocketConnection, response: http.client.HTTPResponse) -> bytes:
    pieces, size = [], 0
    while piece := response.read1(_PIECE):
        pieces.append(piece)
        size += len(piece)
        if size > _LARGEST_ANSWER:
            raise http.client.HTTPException("the answer is too long")
        connection.hurry()
    return b"".join(pieces)


def _unreachable(record: ProxyRecord, error: Exception, timeout: float) -> MeshError:
    if isinstance(error, TimeoutError):
        why = f"did not answer within {timeout:g} s"
    elif isinstance(error, FileNotFoundError | ConnectionRefusedError):
        why = "does not listen on its admin socket; it may be starting or ending, or the socket was removed"
    else:
        why = f"could not be asked: {str(error) or type(error).__name__}".lower()
    hint = f"its process is {record.pid}; where it stays so, start it anew"
    return MeshError("proxy_unreachable", f'proxy "{record.id}" {why}', hint=hint)


def _refusal(record: ProxyRecord, status: int, body: bytes) -> MeshError:
    try:
        problem = _PROBLEM.decode(body)
    except msgspec.DecodeError:
        problem = _Problem(title=f"answered with status {status}")
    return MeshError(problem.code, f'proxy "{record.id}": {problem.detail or problem.title}', hint=problem.hint)
