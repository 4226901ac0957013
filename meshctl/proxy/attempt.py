"""The way of one request to an endpoint, and to another one if that fails: what is kept of it for a second try, what is
awaited and until when, and the one place where a retry is decided.

The exchange builds on this. It knows nothing of the answer's way to the client.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from meshctl import clock
from meshctl.core.retry import FREE, backoff, may_retry, pause
from meshctl.proxy.timers import NEVER
from meshctl.proxy.timing import Timing
from meshctl.wire.chunks import chunk, last_chunk
from meshctl.wire.fields import Fields, passing_trailers
from meshctl.wire.message import CHUNKED
from meshctl.wire.reasons import HELD_BACK, reason_told, told
from meshctl.wire.retry_after import wait_asked

if TYPE_CHECKING:
    from meshctl.proxy.admission import Admission
    from meshctl.proxy.endpoint import LiveEndpoint
    from meshctl.proxy.service import LiveService, LiveVersion
    from meshctl.proxy.snapshot import Snapshot
    from meshctl.proxy.stream import Stream
    from meshctl.proxy.trail import Trail
    from meshctl.proxy.trial import Trial
    from meshctl.proxy.upstream import UpstreamConnection
    from meshctl.proxy.worker import Worker
    from meshctl.wire.message import Response

REPLAY_LIMIT: Final = 65_536
"""Bytes of a request body kept for a retry; a longer one is not sent twice."""


class Attempt(Timing):
    """See the module. What every request sets is a slot. What few of them do is an attribute of the class until then:
    with more than thirty names among all instances Python gives up to keep them in one place, which costs 3 µs."""

    __slots__ = (
        "body_ended", "connection", "finished", "is_verbatim", "parts", "path", "received", "request_id", "service",
        "snapshot", "stream", "traceparent", "tried", "version", "worker",
    )  # fmt: skip

    worker: Worker
    snapshot: Snapshot
    stream: Stream
    # Decisions
    service: LiveService | None
    version: LiveVersion | None
    chosen: LiveVersion | None = None
    """The only one that it may go to, where that was settled before its turn came."""
    trial: Trial | None = None
    """What is decided by the outcome of this attempt, if anything."""
    may_decide = True
    """Whether anything may be."""
    # The request
    request_id: bytes
    traceparent: bytes
    path: str
    is_verbatim: bool
    """Whether the path is forwarded as it was sent."""
    received: int
    body_ended: bool
    # On the way
    connection: UpstreamConnection | None
    parts: list[bytes] | None
    parts_size = 0
    replayable = True
    query_credential: bytes | None = None
    """What the query had of who calls, and has no more."""
    tried: tuple[LiveEndpoint, ...]
    admission: Admission | None = None
    """Where it has a place, or waits for one; None where the service is not limited."""
    in_line = False
    """Whether it waits for one."""
    waited = 0.0
    """Seconds until it had that place."""
    # The answer
    finished: float
    """When it ended; 0 while it is under way."""
    trail: Trail | None = None
    """What is noted of it where its trace is recorded."""

    @property
    def context(self) -> bytes:
        """The traceparent of what is done for it before it is passed on."""
        return self.traceparent if self.trail is None else self.trail.context

    def fail(self, reason: str, detail: str) -> None:
        """Give up."""
        raise NotImplementedError  # pragma: no cover - an interface

    def resend(self) -> None:
        """Choose an endpoint anew and forward."""
        raise NotImplementedError  # pragma: no cover - an interface

    def on_body(self, data: bytes) -> None:
        """A piece of the request's body."""
        size = len(data)
        self.received += size
        # Before its turn there is no route yet: what came with the head waits, `match` looks at how much that is.
        limit = 0 if self.route is None else self.route.body_bytes
        if limit and self.received > limit:
            self.fail("body_too_large", f"the body may have at most {limit} bytes")
            return
        self.send_part(chunk(data) if self.request.length == CHUNKED else data)

    def on_body_end(self, trailers: Fields) -> None:
        """The request's body is complete."""
        self.body_ended = True
        if self.request.length == CHUNKED:
            self.send_part(last_chunk(self.passing_trailers(trailers)))
        if self.status:
            return
        if self.endpoint is not None:
            self.begin_try()
        if self.connection is not None:
            self.wait(self.connection.endpoint.timeouts.response, "upstream_timeout")

    def passing_trailers(self, trailers: Fields) -> Fields:
        """The trailers that may pass."""
        return passing_trailers(trailers)

    def send_part(self, data: bytes) -> None:
        """Pass a piece of the request on, and keep it while a retry may need it."""
        connection = self.connection
        if connection is not None:
            connection.transport.write(data)
            self.move()
            if not self.replayable:
                return
            if self.parts_size + len(data) > REPLAY_LIMIT:
                self.forget_parts()
                return
        if self.parts is None:
            self.parts = []
        self.parts.append(data)
        self.parts_size += len(data)
        if connection is None:
            self.stream.pause_body()

    def take_parts(self) -> bytes:
        """What has come of the request's body so far."""
        if not self.parts:
            return b""
        parts = b"".join(self.parts)
        if self.parts_size > REPLAY_LIMIT:
            self.forget_parts()
        return parts

    def forget_parts(self) -> None:
        """The body is too long to be sent twice."""
        self.replayable = False
        self.parts = None

    def note_failure(self, reason: str) -> None:
        """The endpoint failed this request."""
        endpoint = self.endpoint
        if endpoint is None or self.version is None:
            return
        if self.trail is not None:
            self.trail.reason = reason
        trial, self.trial = self.trial, None
        now = clock.monotonic()
        self.version.failed(endpoint, reason, now, trial)
        if trial is not None:
            trial.ended(now)

    def note_success(self, now: float) -> None:
        """The endpoint answered, and somebody waited to hear of it."""
        endpoint, service = self.endpoint, self.service
        assert endpoint is not None
        assert service is not None
        endpoint.health.succeeded()
        if service.breaker is not None:
            service.breaker.succeeded(now)
        trial, self.trial = self.trial, None
        if trial is not None:
            trial.passed(now)
        endpoint.is_failing = endpoint.trials > 0

    def on_upstream_full(self) -> None:
        """The endpoint takes no more of the request for now."""
        self.stream.pause_body()

    def on_upstream_ready(self) -> None:
        """The endpoint takes more again."""
        self.stream.resume_body()

    def drop_trial(self) -> None:
        """The attempt proves nothing."""
        trial, self.trial = self.trial, None
        if trial is not None:
            trial.ended(clock.monotonic())

    def retry_answer(self, response: Response) -> bool:
        """Whether an answer of this status is dropped and another endpoint asked, or the same one again."""
        route, why = self.route, str(response.status)
        return route is not None and why in route.retry.on and self._drop(response, why, sent=True)

    def retry_failure(self, response: Response) -> bool:
        """The same of an answer that tells of a failure. One of the endpoint's own proxy says why there is none of the
        application, and so whether that may have seen the request."""
        endpoint = self.endpoint
        reason = reason_told(response.fields) if endpoint is not None and endpoint.config.mesh else ""
        if reason == "deadline_exceeded" and self.total_deadline != NEVER:
            # What it was given is what was left here, so nobody but who set the deadline is to blame.
            is_ours = self.total_reason == "route_timeout"
            if is_ours:
                self.overdue()
            return is_ours
        if reason not in HELD_BACK:
            self.note_failure(reason or f"status {response.status}")
        if self.retry_answer(response):
            return True
        why, sent = told(response.fields) if reason else ("", True)
        return bool(why) and self._drop(response, why, sent=sent)

    def _drop(self, response: Response, why: str, *, sent: bool) -> bool:
        service, version, endpoint = self.service, self.version, self.endpoint
        if service is None or version is None or endpoint is None:
            return False
        asked = wait_asked(response.fields, clock.wall())
        tried = (*self.tried, endpoint)
        others = service.elsewhere(version, tried).available if asked else ()
        same = not any(each not in tried for each in others if each.weight > 0)
        delay = pause(self.attempt, clock.draw(), asked, same=same)
        if not self.may_retry(why, sent=sent, delay=delay):
            return False
        self.release()
        self.again(delay, response.status)
        return True

    def retry_or_fail(self, reason: str, detail: str, why: str, *, sent: bool) -> None:
        """The endpoint did not answer: ask another one if that is safe and allowed, else give up."""
        if self.body_ended or why != "reset":
            # Who ends an upload in the middle may have refused it, in words that were lost on the way.
            self.note_failure(reason)
        delay = 0.0 if why == "connect" else backoff(self.attempt, clock.draw())
        if self.may_retry(why, sent=sent, delay=delay):
            self.again(delay)
        else:
            self.fail(reason, detail)

    def may_retry(self, why: str, *, sent: bool, delay: float) -> bool:
        """The one question, answered in one place (`core.retry`), within the service's budget, where there is time left
        for another attempt in `delay` seconds."""
        route, service = self.route, self.service
        if route is None or service is None or self.finished or self.status:
            return False
        if service.breaker is not None and service.breaker.is_on_trial:
            return False
        if not may_retry(route.retry, method=self.request.method, reason=why, sent=sent, attempt=self.attempt,
                         replayable=self.replayable):  # fmt: skip
            return False
        now = clock.monotonic()
        if now + delay >= self.total_deadline:
            return False
        service.settle(now)
        is_allowed = why in FREE or service.budget.withdraw(now)
        service.counters.retry("sent" if is_allowed else "budget")
        return is_allowed

    def again(self, delay: float, status: int = 0) -> None:
        """Ask another endpoint, after `delay` seconds; `status` is what this one answered, if it did."""
        endpoint = self.endpoint
        if endpoint is None:
            return
        if self.trail is not None:
            self.trail.leave(self, endpoint, status)
        self.drop_trial()
        self.attempt += 1
        self.tried = (*self.tried, endpoint)
        endpoint.in_flight -= 1
        self.endpoint = None
        self.until = self.total_deadline
        self.wait(delay + 1.0, "connect_timeout")
        # Never from within the failure: many endpoints failing at once would recurse.
        self.worker.loop.call_later(delay, self.resend)

    def release(self) -> None:
        """Let go of the connection, which is no longer fit for another exchange, or of the place in line for one."""
        connection, self.connection = self.connection, None
        if connection is not None:
            connection.abort()
        elif self.endpoint is not None:
            self.endpoint.leave(self)
