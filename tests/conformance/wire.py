"""One end of a TCP or TLS connection in a test, and a strict reader of what comes over it.

It stands for whatever else speaks HTTP/1.1 beside the gateway, so it uses none of the gateway's code, forgives nothing
(one framing, CRLF, one Host, no field twice that may come once) and waits for nothing longer than its deadline.
"""

from __future__ import annotations

import contextlib
import re
import socket
import ssl
import struct
from dataclasses import dataclass
from typing import Final

PATIENCE: Final = 30.0
"""Seconds until a test gives up on a peer: far beyond what a busy machine needs, so that only a defect takes it."""

_REQUEST_LINE: Final = re.compile(rb"[A-Z-]+ [!-~]+ HTTP/1\.1")
_STATUS_LINE: Final = re.compile(rb"HTTP/1\.1 ([1-9][0-9]{2}) [\t -~\x80-\xff]*")
_FIELD: Final = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+): ?([\t -~\x80-\xff]*)")
_CHUNK: Final = re.compile(rb"([0-9A-Fa-f]{1,16})\r\n")
_ONCE: Final = (b"content-length", b"transfer-encoding", b"host", b"connection", b"upgrade", b"content-type", b"date")

Fields = list[tuple[bytes, bytes]]


@dataclass(frozen=True, slots=True)
class Message:
    """A request or response as it came over the wire."""

    line: bytes
    fields: Fields
    body: bytes = b""
    trailers: tuple[tuple[bytes, bytes], ...] = ()
    framing: str = "none"
    """length, chunked, close or none."""

    @property
    def status(self) -> int:
        """A response's status."""
        return int(self.line.split(b" ")[1])

    @property
    def target(self) -> bytes:
        """A request's target."""
        return self.line.split(b" ")[1]

    @property
    def method(self) -> bytes:
        """A request's method."""
        return self.line.split(b" ")[0]

    def all(self, name: str) -> list[bytes]:
        """Every value of a field, in order."""
        low = name.lower().encode()
        return [value for key, value in self.fields if key.lower() == low]

    def get(self, name: str) -> bytes | None:
        """The one value of a field."""
        found = self.all(name)
        assert len(found) <= 1, f"{name} came {len(found)} times"
        return found[0] if found else None

    @property
    def names(self) -> set[bytes]:
        """The names of its fields, in lower case."""
        return {key.lower() for key, _ in self.fields}


class EndedEarly(AssertionError):
    """The connection ended in the middle of what was read."""


class Wire:
    """One end of a connection."""

    def __init__(self, end: socket.socket) -> None:
        end.settimeout(PATIENCE)
        if end.family != socket.AF_UNIX:
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket = end
        self.buffer = b""

    def __enter__(self) -> Wire:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # sending and ending

    def send(self, *parts: bytes) -> None:
        """Send the parts, each in a write of its own."""
        for part in parts:
            self.socket.sendall(part)

    def send_on(self, *parts: bytes) -> None:
        """Send the parts, or what the peer takes of them: one that has refused them may be gone before the last one.
        What it has said can be read all the same."""
        with contextlib.suppress(ConnectionError):
            self.send(*parts)

    def half_close(self) -> None:
        """Send no more."""
        self.socket.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        """End the connection in order."""
        self.socket.close()

    def reset(self) -> None:
        """End the connection with a reset."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    # reading

    def _more(self) -> bool:
        data = self.socket.recv(1 << 18)
        self.buffer += data
        return bool(data)

    def read_until(self, mark: bytes) -> bytes:
        """Everything up to and with `mark`."""
        while mark not in self.buffer:
            if not self._more():
                raise EndedEarly(f"the connection ended before {mark!r}; there was {self.buffer[-300:]!r}")
        found, _, self.buffer = self.buffer.partition(mark)
        return found + mark

    def read_exactly(self, count: int) -> bytes:
        """The next `count` bytes."""
        while len(self.buffer) < count:
            if not self._more():
                raise EndedEarly(f"the connection ended {count - len(self.buffer)} bytes too early")
        found, self.buffer = self.buffer[:count], self.buffer[count:]
        return found

    def read_to_end(self) -> bytes:
        """Everything until the peer closes in order; a reset raises ConnectionResetError."""
        while self._more():
            pass
        found, self.buffer = self.buffer, b""
        return found

    def read_rest(self) -> bytes:
        """Everything until the peer ends the connection, in order or by a reset."""
        with contextlib.suppress(ConnectionResetError, BrokenPipeError, ssl.SSLEOFError):
            while self._more():
                pass
        found, self.buffer = self.buffer, b""
        return found

    def has_bytes(self) -> bool:
        """Whether the next thing to read is not the end."""
        try:
            return self.socket.recv(1, socket.MSG_PEEK) != b""
        except ConnectionResetError:
            return False

    def is_silent(self) -> bool:
        """Whether nothing has come that was not read, as far as one can see now."""
        if self.buffer:
            return False
        self.socket.setblocking(False)
        try:
            return not self._more()
        except (BlockingIOError, ssl.SSLWantReadError):
            return True
        finally:
            self.socket.settimeout(PATIENCE)

    def read_head(self) -> Message:
        """A message's head."""
        raw = self.read_until(b"\r\n\r\n")
        assert b"\n" not in raw.replace(b"\r\n", b""), "a bare LF"
        assert b"\r" not in raw.replace(b"\r\n", b""), "a bare CR"
        line, *lines = raw[:-4].split(b"\r\n")
        return Message(line, _read_fields(lines))

    def read_request(self) -> Message:
        """A whole request, which must be one that any server understands in the same way."""
        head = self.read_head()
        assert _REQUEST_LINE.fullmatch(head.line), head.line
        assert len(head.all("host")) == 1
        return self._with_body(head, otherwise="none")

    def read_response(self, *, method: str = "GET") -> Message:
        """A whole response to a request of `method`."""
        head = self.read_head()
        assert _STATUS_LINE.fullmatch(head.line), head.line
        if method == "HEAD" or head.status < 200 or head.status in {204, 304}:
            assert head.status >= 200 or not head.names & {b"content-length", b"transfer-encoding"}
            return head
        return self._with_body(head, otherwise="close")

    def read_chunks(self) -> tuple[bytes, Fields]:
        """A chunked body with its trailers."""
        body = b""
        while True:
            found = _CHUNK.fullmatch(self.read_until(b"\r\n"))
            assert found, "not a chunk size"
            size = int(found[1], 16)
            if not size:
                break
            body += self.read_exactly(size)
            assert self.read_exactly(2) == b"\r\n"
        lines = []
        while (line := self.read_until(b"\r\n")) != b"\r\n":
            lines.append(line[:-2])
        return body, _read_fields(lines)

    def _with_body(self, head: Message, otherwise: str) -> Message:
        length, coding = head.get("content-length"), head.get("transfer-encoding")
        assert length is None or coding is None, "two framings"
        if coding is not None:
            assert coding == b"chunked"
            body, trailers = self.read_chunks()
            return Message(head.line, head.fields, body, tuple(trailers), "chunked")
        if length is not None:
            assert length.isdigit()
            return Message(head.line, head.fields, self.read_exactly(int(length)), (), "length")
        if otherwise == "none":
            return head
        return Message(head.line, head.fields, self.read_to_end(), (), "close")


def _read_fields(lines: list[bytes]) -> Fields:
    fields = []
    for line in lines:
        found = _FIELD.fullmatch(line)
        assert found, f"not a field: {line!r}"
        fields.append((found[1], found[2].strip(b" \t")))
    names = [name.lower() for name, _ in fields]
    for name in _ONCE:
        assert names.count(name) <= 1, f"{name!r} came twice"
    return fields


def connect(address: tuple[str, int], *, source: str = "127.0.0.1", receive: int = 0) -> Wire:
    """A connection to `address`, from the loopback address `source`; with a small receive buffer where one is given."""
    end = socket.socket()
    if receive:
        end.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive)
    end.settimeout(PATIENCE)
    try:
        end.bind((source, 0))
        end.connect(address)
    except OSError:
        end.close()
        raise
    return Wire(end)
