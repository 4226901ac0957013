"""One request and its answer, in nine named phases.

    identify → match → filter → split → balance → admit → forward → answer → finish

`begin` reads like this list as far as `forward`; the answer comes back through `on_response` and `on_response_end`;
every exchange ends in `finish`, exactly once. It takes the snapshot once, at its head, and never sees two
configurations. It knows its client only as a `Stream` and its endpoint only as a connection that takes bytes, so the
HTTP version of either side is not its business. Everything is called back from one event loop: there is no task and no
await in here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from meshctl import clock
from meshctl.core.deadline import GRPC_TIMEOUT, REQUEST_TIMEOUT
from meshctl.core.paths import normalise
from meshctl.proxy.egress import elsewhere
from meshctl.proxy.filtering import Filtering
from meshctl.proxy.forward import encode_request
from meshctl.proxy.timers import NEVER
from meshctl.proxy.trial import rescue
from meshctl.wire.fields import CRLF
from meshctl.wire.message import Request, Response
from meshctl.wire.reasons import CLIENT_GONE_STATUS, OWN_FAULT
from meshctl.wire.tracing import valid_request_id, valid_traceparent

if TYPE_CHECKING:
    from meshctl.proxy.stream import Stream
    from meshctl.proxy.upstream import UpstreamConnection
    from meshctl.proxy.worker import Worker


class Exchange(Filtering):
    """See the module. Calls come from the stream (`on_body`…), from the connection (`on_response`…) and the clock."""

    is_steered = False
    """Whether faults and mirrors of its service have had their turn."""
    is_usual = True
    """Whether it is a client's request and nothing else: no tunnel, no copy, nothing that is slowed down on purpose."""

    def __init__(self, worker: Worker, stream: Stream, request: Request) -> None:
        self.worker = worker
        self.stream = stream
        self.request = request
        self.started = clock.monotonic()
        self.snapshot = worker.snapshot
        self.body_ended = not request.length
        # What every exchange is asked for.
        self.route = self.service = self.version = self.endpoint = self.connection = self.parts = None
        self.received = self.attempt = self.status = self.sent = 0
        self.reason = self.deadline_reason = self.path = ""
        self.request_id = self.traceparent = self.added = b""
        self.deadline = self.total_deadline = self.until = NEVER
        self.tried = self.filters = ()
        self.is_verbatim = False
        self.head_after = self.finished = 0.0

    def __repr__(self) -> str:
        what = f"{self.request.method} {self.path or self.request.path}"
        return f"<Exchange {what} → {self.endpoint or 'nowhere'} {self.status or self.deadline_reason}>"

    # the phases

    def begin(self) -> None:
        """Decide about the request and send it on, or answer it here."""
        self.identify()
        if not self.match():
            return
        if self.worker.shedding is not None and not self.worker.shedding.passes(self):
            return
        if (not self.filters or self.filter()) and self.split() and self.balance() and self.admit():
            self.forward()

    def proceed(self) -> None:
        """Go on from `split`, after a while."""
        if self.trail is not None:
            self.trail.begin(self, clock.monotonic())
        if self.split() and self.balance() and self.admit():
            self.forward()

    def identify(self) -> None:
        """Who asks, and under which identifiers the request is followed."""
        request = self.request
        worker = self.worker
        self.request_id, self.traceparent = worker.identifiers.next()
        given, trace = request.request_id, request.traceparent
        if given and valid_request_id(given):
            self.request_id = given
        tracer = worker.tracer
        if tracer is None:
            if trace and valid_traceparent(trace):
                self.traceparent = trace
        elif trace or id(request.fields) not in tracer.silent or self.traceparent < tracer.bound:
            tracer.identify(self)

    def match(self) -> bool:
        """Which route takes the request, by the path that will also be forwarded."""
        if self.snapshot.fence is not None and not self.snapshot.lets_in(self):
            return False
        request = self.request
        self.path = path = request.path
        self.is_verbatim = True
        if not request.is_normal:
            try:
                path = normalise(path)
            except ValueError as error:
                return self.reply("bad_path", str(error))
            self.is_verbatim = path == self.path and request.target[:1] == b"/"
            self.path = request.path = path
        route = self.route = self.snapshot.tables[self.stream.entry].find(request)
        if route is None:
            route = self.route = elsewhere(self)
            if route is None:
                return False
        self.filters = route.filters
        self.service = route.service
        limit = route.body_bytes
        if limit and (request.length > limit or self.received > limit):
            return self.reply("body_too_large", f"the body may have at most {limit} bytes")
        if route.timeout:
            self.total_deadline = self.until = self.started + route.timeout
        special = request.special
        return self.hurry() if REQUEST_TIMEOUT in special or GRPC_TIMEOUT in special else True

    def split(self) -> bool:
        """Which version of the service."""
        service = self.service
        assert service is not None
        if service.steering is not None and not service.steering.passes(self):
            return False
        # Whoever has to wait chooses nobody before its turn.
        if service.admission is not None and self.admission is None and not service.admission.enter(self):
            return False
        version = self.version = service.only or self.chosen or service.choose(self.request, self.stream)
        if version is None:
            return self.reply("no_endpoint", f'service "{service.name}" has no version that takes traffic')
        return True

    def balance(self) -> bool:
        """Which endpoint of the version, other than those that already failed this request."""
        version = self.version
        assert version is not None
        version.requests += 1
        endpoint = self.endpoint = version.pick(self) if version.only is None or self.tried else version.only
        if endpoint is None and not rescue(self):
            return self.reply("no_endpoint", f'service "{version.service}" has no endpoint that can take the request')
        return True

    def admit(self) -> bool:
        """Whether the service may take one more; from here on the endpoint counts as busy with it."""
        endpoint, service = self.endpoint, self.service
        assert endpoint is not None
        assert service is not None
        if service.breaker is not None and service.breaker.is_guarding and not service.breaker.lets(self):
            return False
        endpoint.in_flight += 1
        endpoint.requests += 1
        return True

    def forward(self) -> None:
        """Send the request on: at once over a kept connection, else when one is open."""
        endpoint, route = self.endpoint, self.route
        assert endpoint is not None
        assert route is not None
        exchanges = self.worker.exchanges
        exchanges.add(self)
        if not exchanges.is_ticking:
            exchanges.start()
        if route.per_try and self.body_ended:
            # As in `on_connected`.
            now = clock.monotonic() if self.attempt or self.deadline_reason else self.started
            until = now + route.per_try
            self.until = until if until < self.total_deadline else self.total_deadline
        if endpoint.idle:
            # The last one used is the least likely to be closed by the endpoint right now.
            self.on_connected(endpoint.idle.pop())
            return
        self.wait(endpoint.timeouts.connect, "connect_timeout")
        endpoint.queue(self)

    def answer(self, response: Response, body: bytes | memoryview | None = None) -> None:
        """Send the answer to the client: its head alone, or all of it where the body came with it."""
        route = self.route
        assert route is not None
        if route.response_bytes and self.is_too_long(response, body):
            return
        added = self.dated() if response.is_undated and route.tells_date else self.added
        if body is not None:
            self.sent = len(body)
            if response.block and (not route.edits_response or route.only_adds(response)):
                last = self.request_id + added if added else self.request_id
                if route.dressing is not None:
                    last += route.dressing.block(self)
                if self.stream.send_ready(response.block, last, body):
                    return
        fields = response.fields
        if response.named or route.edits_response:
            fields = route.edit_response(response, self)
        # A new list: the connection may show the same fields again with its next answer.
        fields = [*fields, b": ".join((b"X-Request-Id", self.request_id))]
        if added:
            fields += added.split(CRLF)[1:]
        if body is None:
            self.stream.send_head(response.status, fields, response.length, body=response.has_body)
        else:
            self.stream.send_whole(response.status, fields, body)

    def finish(self, now: float) -> None:
        """The end of every exchange: what happened goes to the endpoint, the metrics and the access log, exactly
        once."""
        if self.finished:
            return
        self.finished = now
        worker, endpoint = self.worker, self.endpoint
        worker.exchanges.discard(self)
        if self.trial is not None:
            self.drop_trial()
        if endpoint is not None:
            endpoint.in_flight -= 1
        worker.ledger.record(self, now)
        if self.admission is not None:
            self.admission.leave(self, now)
        self.stream.done(now)

    # calls from the endpoint and the connection

    def on_connected(self, connection: UpstreamConnection) -> None:
        """A connection is there: send what there is of the request."""
        self.connection = connection
        connection.exchange = self
        connection.deadline = NEVER
        connection.answers_head = self.request.method == "HEAD"
        head = encode_request(self)
        connection.transport.write(head + self.take_parts() if self.parts else head)
        timeouts = connection.endpoint.timeouts
        if self.body_ended:
            # The clock of an attempt that found its connection at once is as good as now.
            now = clock.monotonic() if self.attempt or self.deadline_reason else self.started
            deadline = now + timeouts.response
            self.deadline = deadline if deadline < self.until else self.until
            self.deadline_reason = "upstream_timeout"
        else:
            self.wait(timeouts.stream, "upstream_timeout")
            self.stream.resume_body()

    def on_connect_failed(self, reason: str, detail: str) -> None:
        """No connection: nothing was sent, so another endpoint may be asked."""
        if reason == OWN_FAULT:
            self.fail(reason, detail)
            return
        self.retry_or_fail(reason, detail, "connect", sent=False)

    def on_upstream_lost(self, reason: str, detail: str, *, reset: bool = False) -> None:
        """The connection ended before the answer did."""
        self.connection = None
        if self.finished:
            return
        if reset:
            self.retry_or_fail(reason, detail, "reset", sent=True)
        else:
            self.note_failure(reason)
            self.fail(reason, detail)

    def take_turn(self) -> None:
        """Go on from `split` with the place that was waited for."""
        if not self.finished:
            self.proceed()

    def resend(self) -> None:
        """The next attempt: the phases from `balance` on, with another version where this one has nobody else."""
        service, version = self.service, self.version
        if self.finished or service is None or version is None:
            return
        now = clock.monotonic()
        if now >= self.total_deadline:
            self.on_deadline(now)
            return
        if self.trail is not None:
            self.trail.begin(self, now)
        self.version = service.elsewhere(version, self.tried)
        if self.balance() and self.admit():
            self.forward()

    # calls from the stream

    def on_client_gone(self) -> None:
        """The client has closed its connection: the endpoint need not go on."""
        if self.finished:
            return
        self.reason = "client_gone"
        self.status = self.status or CLIENT_GONE_STATUS
        if self.tunnel and self.connection is not None:
            # Its last words are on their way.
            self.connection.end_soon()
            self.connection = None
        self.release()
        self.finish(clock.monotonic())
