"""Bodies of JSON that are edited on their way. Each is held until it is whole, up to the limit of its edits.

A request waits here before it goes to any endpoint (`Gathering`), an answer before its head goes out (`Editing`).
Bodies of other media types pass as they come, and so does everything on routes without such edits.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from meshctl.core.json_edits import MEDIA, Edits
from meshctl.model.units import format_size
from meshctl.proxy.compressing import is_among
from meshctl.proxy.through import Through
from meshctl.wire.fields import Fields, pairs
from meshctl.wire.message import CHUNKED

if TYPE_CHECKING:
    from meshctl.proxy.exchange import Exchange

_BODILESS: Final = frozenset((204, 205, 304))
_GONE: Final = frozenset((b"etag", b"accept-ranges", b"content-digest", b"repr-digest", b"digest", b"content-md5"))
"""What is true of the body as it came alone."""
_CHUNK: Final = re.compile(rb"[0-9A-Fa-f]+\r\n")


def is_json(fields: Fields) -> bool:
    """Whether a message says that its body is JSON, also where it says something else, too."""
    said = [value.decode("latin-1").lower() for name, value in pairs(fields) if name.lower() == b"content-type"]
    return any(is_among(kind.partition(";")[0].strip(), MEDIA) for each in said for kind in each.split(","))


def coding(fields: Fields) -> str:
    """The content coding of a body, "" for none."""
    for name, value in pairs(fields):
        if name.lower() == b"content-encoding" and value.strip().lower() != b"identity":
            return value.decode("latin-1")
    return ""


class Gathering:
    """The body of a request that waits for its end; it takes the place of what would send it on."""

    purpose = "edited"
    """What is done with it, in a word."""

    def __init__(self, exchange: Exchange, edits: Edits | None, limit: int) -> None:
        self._exchange = exchange
        self._edits = edits
        # It hears of the body in the exchange's place, which would hold it to what the route allows.
        most = exchange.route.body_bytes if exchange.route is not None else 0
        self._limit = min(limit, most or limit)
        self._body = bytearray()

    def __repr__(self) -> str:
        return f"<Gathering {len(self._body)} bytes>"

    def begin(self) -> bool:
        """Take what has come, and wait for the rest; whether that is all."""
        exchange = self._exchange
        request = exchange.request
        for part in exchange.parts or ():
            self._body += _unchunked(part) if request.length == CHUNKED else part
        exchange.parts, exchange.parts_size = None, 0
        if exchange.body_ended:
            return True
        exchange.on_body = self.on_body  # type: ignore[method-assign]
        exchange.on_body_end = self.on_body_end  # type: ignore[method-assign]
        exchange.deadline = exchange.total_deadline
        exchange.worker.exchanges.watch(exchange)
        if request.expects_continue and not request.is_http10:
            # Nobody else can ask for the body before there is a request to send.
            exchange.stream.send_head(100, [], 0, body=False, final=False)
            exchange.stream.flush()
        exchange.stream.resume_body()
        return False

    def on_body(self, data: bytes) -> None:
        """A piece of the body."""
        exchange = self._exchange
        if exchange.finished:
            return
        exchange.received += len(data)
        self._body += data
        if len(self._body) > self._limit:
            self._restore()
            self._too_large()

    def on_body_end(self, trailers: Fields) -> None:
        """The body is whole: edit it and go on with the filters after this one. Its trailers were about another."""
        exchange = self._exchange
        self._restore()
        exchange.body_ended = True
        if exchange.finished or not self.edit():
            return
        exchange.filters = exchange.filters[1:]
        if exchange.filter():
            exchange.proceed()

    def edit(self) -> bool:
        """Put the edited body in the place of the one that came, or refuse the request."""
        exchange, request = self._exchange, self._exchange.request
        if len(self._body) > self._limit:
            return self._too_large()
        body = self.made(bytes(self._body))
        if body is None:
            return False
        request.length = len(body)
        if request.expects_continue:
            request.special = {name: value for name, value in request.special.items() if name != b"expect"}
        exchange.parts, exchange.parts_size = [body] if body else None, len(body)
        return True

    def made(self, body: bytes) -> bytes | None:
        """What goes on in its place; None where the request was refused."""
        try:
            return self._edits.edited(body) if body and self._edits is not None else body
        except ValueError as error:
            self._exchange.reply("body_unreadable", f"the body {error}")
            return None

    def _too_large(self) -> bool:
        said = f"the body may have at most {self._limit} bytes to be {self.purpose}"
        return self._exchange.reply("body_too_large", said)

    def _restore(self) -> None:
        exchange: Any = self._exchange
        for name in ("on_body", "on_body_end"):
            exchange.__dict__.pop(name, None)


class Editing(Through):
    """The client of an exchange whose answer may be edited."""

    def __init__(self, exchange: Exchange, edits: Edits, limit: int) -> None:
        super().__init__(exchange.stream)
        self._exchange = exchange
        self._edits = edits
        self._limit = limit
        self._head: tuple[int, Fields] | None = None
        self._body = bytearray()

    def send_head(self, status: int, fields: Fields, length: int, *, body: bool, final: bool = True) -> None:
        """See `stream.Stream`."""
        if not final or self._exchange.reason or status in _BODILESS or not is_json(fields):
            self.stream.send_head(status, fields, length, body=body, final=final)
        elif not body:
            # What HEAD would be told of is not known without the body.
            self.stream.send_head(status, _changed(fields), CHUNKED, body=False)
        elif length > self._limit:
            self._refuse("response_too_large", _too_long(self._limit))
        else:
            self._head = status, fields

    def send_whole(self, status: int, fields: Fields, body: bytes | memoryview) -> None:
        """See `stream.Stream`."""
        if status in _BODILESS or not is_json(fields):
            self.stream.send_whole(status, fields, body)
            return
        if len(body) > self._limit:
            self._refuse("response_too_large", _too_long(self._limit))
            return
        made = self._made(fields, bytes(body))
        if made is not None:
            self._exchange.sent = len(made)
            self.stream.send_whole(status, _changed(fields), made)

    def send_body(self, data: bytes | memoryview) -> None:
        """See `stream.Stream`."""
        if self._head is None:
            self.stream.send_body(data)
            return
        self._body += data
        if len(self._body) > self._limit:
            self._refuse("response_too_large", _too_long(self._limit))

    def send_raw(self, data: bytes | memoryview) -> None:
        """See `stream.Stream`."""
        if self._head is None:
            self.stream.send_raw(data)
        else:
            self.send_body(data)

    def flush(self) -> None:
        """See `stream.Stream`."""
        if self._head is None:
            self.stream.flush()

    def send_end(self, trailers: Fields) -> None:
        """See `stream.Stream`."""
        if self._head is None:
            self.stream.send_end(trailers)
            return
        status, fields = self._head
        made = self._made(fields, bytes(self._body))
        if made is not None:
            self._head = None
            self._exchange.sent = len(made)
            self.stream.send_whole(status, _changed(fields), made)

    def cut(self) -> None:
        """See `stream.Stream`. Of an answer that is held nobody has seen anything."""
        self._head = None
        self.stream.cut()

    def _made(self, fields: Fields, body: bytes) -> bytes | None:
        """The edited body; None where the client was told that it cannot be."""
        found = coding(fields)
        if found:
            self._refuse("response_unreadable", f'the answer is in the coding "{found}"')
            return None
        try:
            return self._edits.edited(body) if body else b""
        except ValueError as error:
            self._refuse("response_unreadable", f"the answer {error}")
            return None

    def _refuse(self, reason: str, detail: str) -> None:
        exchange = self._exchange
        self._head = None
        exchange.status = exchange.sent = 0
        exchange.fail(reason, detail)


def _changed(fields: Fields) -> Fields:
    return [line for line in fields if line[: line.index(b":")].lower() not in _GONE]


def _too_long(limit: int) -> str:
    return f"the answer is longer than {format_size(limit)}, up to which it is edited"


def _unchunked(part: bytes) -> bytes:
    """The data of one chunk as `wire.chunks` writes it."""
    size = _CHUNK.match(part)
    if size is None or not int(size[0], 16):
        return b""
    return part[size.end() : size.end() + int(size[0], 16)]
