"""The way of an answer to the client: the endpoint's, piece by piece or whole, the bytes of a tunnel, or a refusal of
our own.

The exchange builds on this. It does not choose where a request goes.
"""

from __future__ import annotations

from meshctl import clock
from meshctl.core.balance import observe
from meshctl.core.concurrency import whole_seconds
from meshctl.proxy.attempt import Attempt
from meshctl.proxy.timers import NEVER
from meshctl.wire.dates import date_line
from meshctl.wire.fields import CRLF, Fields, make, passing_trailers, without
from meshctl.wire.message import Response
from meshctl.wire.reasons import problem, status_of


class Answering(Attempt):
    """See the module."""

    __slots__ = ("added", "head_after", "reason", "sent")

    reason: str
    head_after: float
    sent: int
    tunnel = False
    added: bytes
    """Lines that filters add to the head of the answer, without the end of the last one."""
    longest = 0
    """Bytes that a body whose length is not known may have; 0 is any."""

    def answer(self, response: Response, body: bytes | memoryview | None = None) -> None:
        """Send the answer to the client."""
        raise NotImplementedError  # pragma: no cover - an interface

    def finish(self, now: float) -> None:
        """The exchange has ended."""
        raise NotImplementedError  # pragma: no cover - an interface

    # calls from the connection

    def on_informational(self, response: Response) -> None:
        """An interim answer, passed on to clients that know them."""
        if not self.request.is_http10:
            fields = self._told(without(response.fields, response.named))
            self.stream.send_head(response.status, fields, 0, body=False, final=False)
            self.stream.flush()

    def on_response(self, response: Response, body: bytes | memoryview | None, now: float) -> bool:
        """The answer's head, with the body where it came whole: for the client (True), or a reason to ask another
        endpoint."""
        endpoint = self.endpoint
        assert endpoint is not None
        status = response.status
        took = self.head_after = now - self.started
        if endpoint.is_compared:
            endpoint.ewma = observe(endpoint.ewma, endpoint.ewma_at, now, took)
            endpoint.ewma_at = now
        else:
            endpoint.ewma = took
        if status >= 500:
            if self.retry_failure(response):
                return False
        else:
            if endpoint.is_failing:
                self.note_success(now)
            if status >= 400 and self.retry_answer(response):
                return False
        self.status = status
        if status == 101:
            self.until = self.total_deadline
            self.open_tunnel(response)
            return True
        if body is None:
            self.deadline_reason = "stream_timeout"
            self.until = self.total_deadline
            self.deadline = min(now + endpoint.timeouts.stream, self.total_deadline)
        self.answer(response, body)
        return True

    def on_whole_response(self, response: Response, body: bytes | memoryview, now: float) -> None:
        """The answer came in one piece: the usual case, with the fewest steps."""
        if self.finished:
            return
        self.connection = None
        if self.on_response(response, body, now):
            self.finish(now)

    def on_response_body(self, data: bytes | memoryview) -> None:
        """A piece of the answer's body."""
        self.sent += len(data)
        if self.longest and self.sent > self.longest:
            self.sent -= len(data)
            self.fail("response_cut", "")
            return
        self.stream.send_body(data)

    def on_raw_body(self, data: bytes) -> None:
        """A piece of an answer of known length, past the parser."""
        self.sent += len(data)
        self.move()
        self.stream.send_raw(data)

    def on_response_end(self, trailers: Fields, now: float) -> None:
        """The answer is complete, trailers and all."""
        self.connection = None
        if self.finished:
            return
        self.stream.send_end(self._told(passing_trailers(trailers)) if trailers else trailers)
        self.finish(now)

    def _told(self, fields: Fields) -> Fields:
        """Of what comes beside the answer's head that which does not go past the edits of the route."""
        route = self.route
        return fields if route is None or not route.response_untold else without(fields, route.response_untold)

    def is_too_long(self, response: Response, body: bytes | memoryview | None) -> bool:
        """Whether the body is longer than the route allows, and the client was told. Where that is not known yet, the
        answer is cut there."""
        route = self.route
        assert route is not None
        most = route.response_bytes
        length = response.length if body is None else len(body)
        if length < 0:
            self.longest = most
        if length <= most or not response.has_body:
            return False
        self.status = 0
        self.fail("response_too_large", f"the service answered with {length} bytes, of which {most} may pass")
        return True

    # calls from the stream

    def on_client_full(self) -> None:
        """The client takes no more for now."""
        if self.connection is not None:
            self.connection.pause()

    def on_client_ready(self) -> None:
        """The client takes more again."""
        if self.connection is not None:
            self.connection.resume()

    # the tunnel of an upgraded connection

    def open_tunnel(self, response: Response) -> None:
        """The endpoint agreed to another protocol: from now on bytes pass both ways (RFC 9110 §7.8)."""
        if not self.request.upgrade:
            self.status = 0
            self.fail("upstream_protocol", "the service changed the protocol unasked")
            return
        assert self.route is not None
        self.tunnel = True
        self.replayable = False
        if self.admission is not None:
            self.admission.leave(self, clock.monotonic())  # type: ignore[arg-type]
        passing = self.route.edit_response(response, self)  # type: ignore[arg-type]
        fields = [*passing, b"Connection: Upgrade", b"Upgrade: " + response.upgrade]
        self.stream.to_tunnel(fields)
        self.deadline_reason = "stream_timeout"
        self.move()

    def on_tunnel_data(self, data: bytes) -> None:
        """Bytes from the endpoint."""
        if data and self.tunnel:
            self.sent += len(data)
            self.move()
            self.stream.send_raw(data)

    def on_tunnel_input(self, data: bytes) -> None:
        """Bytes from the client."""
        connection = self.connection
        if connection is not None:
            self.received += len(data)
            self.move()
            connection.transport.write(data)

    def on_tunnel_end(self) -> None:
        """The endpoint has nothing more to say: the tunnel ends once the client has everything."""
        self.release()
        self.finish(clock.monotonic())

    # answers of our own

    def on_deadline(self, now: float) -> None:
        is_in_line = self.deadline_reason == "limit_reached" and not self.status and now < self.total_deadline
        if is_in_line and self.admission is not None:
            self.deadline = NEVER
            self.admission.give_up(self, now)  # type: ignore[arg-type]
        else:
            super().on_deadline(now)

    def reply(self, reason: str, detail: str, *, retry_after: float = 0.0) -> bool:
        """Answer with a refusal of our own, and after how many seconds it may be otherwise, where that is known. Always
        False, so that a phase can end with it."""
        status = status_of(reason)
        body = problem(reason, detail=detail, request_id=self.request_id.decode(), instance=self.request.path)
        fields = make("Content-Type", "application/problem+json", "X-Meshctl-Reason", reason)
        if retry_after:
            fields += make("Retry-After", str(whole_seconds(retry_after)))
        self.answer_with(status, fields, body, reason)
        return False

    def say(self, lines: bytes) -> None:
        """Add lines to the head of the answer, behind those there are."""
        self.added += CRLF + lines

    def dated(self) -> bytes:
        """The lines that are added to an answer, and when it came, which its endpoint does not tell (RFC 9110 §6.6.1).
        Not added for good: where the answer is refused after all, ours has a Date of its own."""
        return self.added + CRLF + date_line(int(clock.wall()))

    def answer_with(self, status: int, fields: Fields, body: bytes, reason: str) -> None:
        """Answer without any endpoint."""
        self.status = status
        self.reason = reason
        fields = [*fields, date_line(int(clock.wall())), b"X-Request-Id: " + self.request_id]
        if self.added:
            fields += self.added.split(CRLF)[1:]
        if self.route is not None and self.route.dressing is not None:
            fields += self.route.dressing.lines(self)  # type: ignore[arg-type]
        stream = self.stream
        is_head = self.request.method == "HEAD"
        stream.send_head(status, fields, len(body), body=not is_head)
        if not is_head:
            self.sent = len(body)
            stream.send_body(body)
        stream.send_end([])
        self.finish(clock.monotonic())

    def fail(self, reason: str, detail: str) -> None:
        """Give up: with an answer while there was none, else by cutting the client's stream so that it notices."""
        if self.finished:
            return
        self.release()
        if not self.status:
            self.reply(reason, detail)
            return
        self.reason = reason
        self.stream.cut()
        self.finish(clock.monotonic())
