"""A request sent once more, to another version, for nobody: the exchange that does it and the streams around it.

A `Recorder` stands between the original exchange and its client and notes the answer as it passes. A `Copy` is an
exchange that has a `Silent` stream for a client: it chooses an endpoint and takes a connection as others do, but is in
no log and no series, blames no endpoint and is not sent twice. Must not know which requests are copied (`mirror`).
"""

from __future__ import annotations

from copy import copy
from typing import TYPE_CHECKING, Final

from meshctl import clock
from meshctl.model.policy import Retry
from meshctl.proxy.exchange import Exchange
from meshctl.proxy.shaping import NO_EDITS
from meshctl.proxy.silent import Silent
from meshctl.proxy.through import Through
from meshctl.proxy.timers import NEVER
from meshctl.wire.fields import Fields
from meshctl.wire.message import Response

if TYPE_CHECKING:
    from meshctl.proxy.mirror import LiveMirror
    from meshctl.proxy.service import LiveVersion
    from meshctl.proxy.snapshot import CompiledRoute
    from meshctl.proxy.stream import Stream

LONGEST: Final = 30.0
"""Seconds a copy may take where its route does not say."""

_MARKED: Final = b"X-Meshctl-Mirror: 1"
"""The field by which an app can tell a copy; what carries it is not copied again."""
_NO_RETRY: Final = Retry(0, ())


class Record:
    """An answer as it passes: its status, fields, and as much of the body as is wanted."""

    def __init__(self, limit: int) -> None:
        self.status = 0
        self.fields: Fields = []
        self.body: list[bytes] = []
        self.is_whole = True
        """Whether all of the body is there."""
        self._limit = limit
        self._size = 0

    def __repr__(self) -> str:
        return f"<Record {self.status} {self._size} bytes>"

    def add(self, data: bytes | memoryview) -> None:
        """A piece of the body."""
        self._size += len(data)
        if self._size > self._limit:
            self.is_whole = False
            self.body.clear()
        elif self.is_whole:
            self.body.append(bytes(data))


class Recorder(Through):
    """The client of an original: everything reaches it, and its answer is noted."""

    def __init__(self, stream: Stream, mirror: LiveMirror, exchange: Exchange, limit: int) -> None:
        super().__init__(stream)
        self._mirror = mirror
        self._exchange = exchange
        self._answer = Record(limit)

    def send_head(self, status: int, fields: Fields, length: int, *, body: bool, final: bool = True) -> None:
        """See `stream.Stream`."""
        if final:
            self._answer.status, self._answer.fields = status, fields
        self.stream.send_head(status, fields, length, body=body, final=final)

    def send_whole(self, status: int, fields: Fields, body: bytes | memoryview) -> None:
        """See `stream.Stream`."""
        self._answer.status, self._answer.fields = status, fields
        self._answer.add(body)
        self.stream.send_whole(status, fields, body)

    def send_body(self, data: bytes | memoryview) -> None:
        """See `stream.Stream`."""
        self._answer.add(data)
        self.stream.send_body(data)

    def send_raw(self, data: bytes | memoryview) -> None:
        """See `stream.Stream`."""
        self._answer.add(data)
        self.stream.send_raw(data)

    def done(self, now: float) -> None:
        """See `stream.Stream`."""
        self._exchange.stream = self.stream
        self._mirror.on_answered(self._exchange, self._answer)
        self.stream.done(now)


class Copy(Exchange):
    """See the module. `original` is how the original was answered."""

    may_decide = is_usual = False

    def __init__(
        self, mirror: LiveMirror, original: Exchange, answer: Record, version: LiveVersion, limit: int
    ) -> None:
        super().__init__(original.worker, Silent(original.stream), original.request)
        self.original = answer
        self._mirror = mirror
        self._answer = Record(limit)
        route = original.route
        assert route is not None
        self.route = route.copied or _for_copies(route)
        self.service = original.service
        self.version = version
        self.request_id, self.traceparent = original.request_id, original.traceparent
        self.path, self.is_verbatim = original.path, original.is_verbatim
        self.body_ended = True
        self.parts = original.parts
        self.parts_size = original.parts_size
        self.received = original.received
        # Its body is there: nobody waits for a 100.
        self.attempt = 1

    def __repr__(self) -> str:
        return f"<Copy {self.request.method} {self.path} → {self.version!r}>"

    def begin(self) -> None:
        """Choose an endpoint of the version and forward."""
        self.started = clock.monotonic()
        assert self.route is not None
        self.total_deadline = self.until = self.started + (self.route.timeout or LONGEST)
        if self.balance() and self.admit():
            self.forward()

    def balance(self) -> bool:
        """As for others, but it is no request that counts."""
        assert self.version is not None
        self.endpoint = self.version.pick(self)
        if self.endpoint is None:
            self.fail("no_endpoint", "")
        return self.endpoint is not None

    def admit(self) -> bool:
        """Mirrors have a bound of their own."""
        assert self.endpoint is not None
        self.endpoint.in_flight += 1
        return True

    # the answer

    def on_response(self, response: Response, body: bytes | memoryview | None, now: float) -> bool:
        """Note it; what it says of the endpoint's health is for real requests to find out."""
        self.status = response.status
        if response.status == 101:
            self.fail("upstream_protocol", "")
            return True
        if body is None:
            assert self.endpoint is not None
            self.wait(self.endpoint.timeouts.stream, "stream_timeout")
        assert self.route is not None
        # What the route changes in answers is no difference between versions.
        self._answer.status, self._answer.fields = response.status, self.route.edit_response(response, self)
        if body:
            self._answer.add(body)
        return True

    def on_informational(self, response: Response) -> None:
        """Nobody wants to hear of it."""

    def on_response_body(self, data: bytes | memoryview) -> None:
        self._answer.add(data)
        self.move()

    def on_raw_body(self, data: bytes) -> None:
        self._answer.add(data)
        self.move()

    def on_upstream_full(self) -> None:
        """All of its body is written already."""

    def note_failure(self, reason: str) -> None:
        """No endpoint is blamed for what only a copy met."""

    def may_retry(self, why: str, *, sent: bool, delay: float) -> bool:
        """It is sent once."""
        return False

    # the end

    def fail(self, reason: str, detail: str) -> None:
        """It came to nothing, which nobody hears of but the mirror."""
        if not self.finished:
            self.release()
            self.reason = reason
            self.finish(clock.monotonic())

    def on_deadline(self, now: float) -> None:
        """It took too long."""
        self.deadline = NEVER
        self.fail(self.deadline_reason, "")

    def finish(self, now: float) -> None:
        """The end, in no log and no series."""
        if self.finished:
            return
        self.finished = now
        self.worker.exchanges.discard(self)
        if self.endpoint is not None:
            self.endpoint.in_flight -= 1
        self._mirror.on_copied(self, None if self.reason else self._answer)


def _for_copies(route: CompiledRoute) -> CompiledRoute:
    """The route with edits of its own and no retries; nothing else of one is asked for once a request was filtered."""
    made = route.copied = copy(route)
    made.edits = (route.edits or NO_EDITS).marked(_MARKED)
    made.retry = _NO_RETRY
    return made
