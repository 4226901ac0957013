"""An answer that is kept: made of one that a service gave, and given to those who ask for the same.

It goes to a client the way that a service's answer goes, through all that the route does to answers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from meshctl import clock
from meshctl.core.caching import Head, Keeping, Refusal, first_age, holds_still, kept
from meshctl.wire.dates import date_line, moment
from meshctl.wire.fields import CRLF, Fields, without
from meshctl.wire.message import UNTIL_CLOSE, Response
from meshctl.wire.reasons import status_line

if TYPE_CHECKING:
    from collections.abc import Container

    from meshctl.model.caching import Caching
    from meshctl.proxy.exchange import Exchange

WHOLE: Final = 65_536
"""Bytes of a body that goes out at once; a longer one follows its client piece by piece."""
_UNCHANGED: Final = frozenset((b"cache-control", b"content-location", b"date", b"etag", b"expires", b"vary"))
"""What an answer without a body says where the client has that already (RFC 9110 §15.4.5)."""
_OF_BODY: Final = frozenset(
    (b"content-encoding", b"content-type", b"content-range", b"content-length", b"etag", b"set-cookie")
)
"""What a 304 cannot say anew of the answer that it confirms (RFC 9111 §3.2)."""


_NOTHING: Final[dict[bytes, bytes]] = {}


class KeptAnswer:
    """See the module."""

    __slots__ = ("age", "at", "body", "excused", "fields", "head", "keeping", "response", "size")

    def __init__(self, said: Heard, body: bytes, keeping: Keeping, age: float) -> None:
        self.fields = fields = said.fields
        self.head = said.head
        self.body = body
        self.keeping = keeping
        self.at = clock.monotonic()
        self.age = age
        """How old it was then."""
        self.excused = 0.0
        """Until when its service need not be asked although it is stale: that has failed just now."""
        self.response = _response(said.status, fields, len(body), has_body=said.status != 204)
        self.size = len(body) + 3 * sum(map(len, fields)) + 100 * len(fields)

    def __repr__(self) -> str:
        return f"<KeptAnswer {self.response.status} {len(self.body)} bytes, {self.keeping.lifetime:g}s>"

    @property
    def validators(self) -> Fields:
        """The conditions by which a service is asked whether it still holds; none where it has none."""
        found = []
        if b"etag" in self.head:
            found.append(b"If-None-Match: " + self.head[b"etag"])
        if b"last-modified" in self.head:
            found.append(b"If-Modified-Since: " + self.head[b"last-modified"])
        return found

    def confirmed(self, response: Response) -> Heard:
        """What it says as a 304 brings that up to date (RFC 9111 §3.2)."""
        said = without(response.fields, _OF_BODY)
        names = {line[: line.index(b":")].lower() for line in said} | {b"date"}
        return heard(self.response.status, without(self.fields, names) + said, response.named)

    def give(self, exchange: Exchange, said: Head, status: bytes, now: float) -> None:
        """Answer a request with what it says in `said`, with `status` as Cache-Status has it."""
        age = self.age + now - self.at
        exchange.say(b"Age: %d\r\nCache-Status: meshctl; %b; ttl=%d" % (age, status, self.keeping.lifetime - age))
        response, body = self.response, self.body
        if said and self._is_known(said):
            few = [line for line in self.fields if line[: line.index(b":")].lower() in _UNCHANGED]
            response = _response(304, few, UNTIL_CLOSE, has_body=False)
        elif exchange.request.method == "HEAD":
            response = _response(response.status, self.fields, len(body), has_body=False)
        exchange.status = response.status
        if not response.has_body:
            exchange.answer(response)
            if not exchange.finished:
                exchange.stream.send_end([])
                exchange.finish(now)
        elif len(body) <= WHOLE and not hasattr(exchange, "dripping"):
            exchange.answer(response, body)
            exchange.finish(now)
        else:
            _Playing(exchange, body).begin(response)

    def _is_known(self, said: Head) -> bool:
        wall = clock.wall()
        since, modified = (moment(each, wall) for each in (
            said.get(b"if-modified-since", b""), self.head.get(b"last-modified", b"")
        ))  # fmt: skip
        return holds_still(said, self.response.status, self.head, since=since, modified=modified)


class _Playing:
    """A long body on its way: takes the place of the connection that it would come from."""

    def __init__(self, exchange: Exchange, body: bytes) -> None:
        self._exchange: Exchange | None = exchange
        self._body = memoryview(body)
        self._at = 0
        self._is_paused = self._is_due = False

    def __repr__(self) -> str:
        return f"<Playing {self._at} of {len(self._body)} bytes>"

    def begin(self, response: Response) -> None:
        """Send the head, and as much as the client takes."""
        exchange = self._exchange
        assert exchange is not None
        exchange.connection = self  # type: ignore[assignment]
        exchange.deadline = exchange.until = exchange.total_deadline
        exchange.deadline_reason = exchange.total_reason
        exchange.worker.exchanges.watch(exchange)
        exchange.answer(response)
        self._go_on()

    def pause(self) -> None:
        """The client takes no more for now."""
        self._is_paused = True

    def resume(self) -> None:
        """It takes more again."""
        self._is_paused = False
        self._go_on()

    def abort(self) -> None:
        """Nobody wants it any more."""
        self._exchange = None

    end_soon = abort

    def _go_on(self) -> None:
        """Send a piece. The next one has a turn of the loop of its own: what the client does not take is known then."""
        exchange = self._exchange
        if exchange is None or exchange.finished or self._is_paused or self._is_due:
            return
        body = self._body
        if self._at >= len(body):
            self._exchange = None
            exchange.on_response_end([], clock.monotonic())
            return
        piece = body[self._at : self._at + WHOLE]
        self._at += len(piece)
        exchange.on_response_body(piece)
        exchange.stream.flush()
        self._is_due = True
        exchange.worker.loop.call_soon(self._next)

    def _next(self) -> None:
        self._is_due = False
        self._go_on()


class Heard(NamedTuple):
    """What an answer says: that may be kept, and that is read here alone."""

    status: int
    fields: Fields
    head: Head
    """The same by lower-case name, those that repeat joined (RFC 9110 §5.3)."""
    age: bytes
    sets_cookie: bool


def heard(status: int, lines: Fields, named: Container[bytes] = ()) -> Heard:
    """What an answer with these lines says, of which Connection named some; with a Date, where it has none (RFC 9110
    §6.6.1)."""
    fields: Fields = []
    head: dict[bytes, bytes] = {}
    age, sets_cookie = b"", False
    for line in lines:
        name, _, value = line.partition(b":")
        low, value = name.lower(), value.strip(b" \t")
        if low == b"age":
            age = value
        elif low == b"set-cookie":
            sets_cookie = True
        elif low not in named:
            fields.append(line)
            head[low] = head[low] + b", " + value if low in head else value
    if b"date" not in head:
        fields.append(date_line(int(clock.wall())))
        head[b"date"] = fields[-1][6:]
    return Heard(status, fields, head, age, sets_cookie)


def keeping_of(said: Heard, config: Caching, *, is_authorized: bool) -> Keeping | Refusal:
    """How an answer may be kept."""
    head = {**said.head, b"set-cookie": b""} if said.sets_cookie else said.head
    wall = clock.wall()
    date = moment(head[b"date"], wall)
    expires = moment(head[b"expires"], wall) if b"expires" in head else None
    made_at = wall if date is None else date
    return kept(config, said.status, head, date=made_at, expires=expires, authorized=is_authorized)


def made(said: Heard, keeping: Keeping, body: bytes, since: float) -> KeptAnswer:
    """What is kept of an answer that is here now and was asked for at `since`, on the monotonic clock."""
    wall = clock.wall()
    date = moment(said.head[b"date"], wall)
    age = first_age(said.age, wall if date is None else date, wall - (clock.monotonic() - since), wall)
    return KeptAnswer(said, body, keeping, age)


def _response(status: int, fields: Fields, length: int, *, has_body: bool) -> Response:
    made = Response(status, fields, _NOTHING)
    made.length = length
    made.has_body = has_body
    if has_body:
        made.block = CRLF.join([status_line(status), *fields, b"Content-Length: %d" % length])
    return made
