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
from meshctl.core.balance import observe
from meshctl.core.paths import normalise
from meshctl.proxy.attempt import Attempt
from meshctl.proxy.forward import encode_request
from meshctl.proxy.timers import NEVER
from meshctl.wire.chunks import chunk, last_chunk
from meshctl.wire.fields import Fields, make, passing_trailers, without
from meshctl.wire.http1 import CHUNKED, Request, Response
from meshctl.wire.reasons import CLIENT_GONE_STATUS, problem, status_of
from meshctl.wire.tracing import new_traceparent, valid_request_id, valid_traceparent

if TYPE_CHECKING:
    from meshctl.proxy.filters import Filter
    from meshctl.proxy.snapshot import Snapshot
    from meshctl.proxy.stream import Stream
    from meshctl.proxy.upstream import UpstreamConnection
    from meshctl.proxy.worker import Worker


_SLASH = ord("/")


class Exchange(Attempt):
    """See the module. Calls come from the stream (`on_body`…), from the connection (`on_response`…) and the clock."""

    snapshot: Snapshot
    filters: tuple[Filter, ...] = ()
    # The request
    request_id = b""
    traceparent = b""
    path = ""
    is_verbatim = False
    """Whether the path is forwarded as it was sent."""
    received = 0
    body_ended = False
    # The answer
    reason = ""
    head_after = 0.0
    sent = 0
    tunnel = False

    def __init__(self, worker: Worker, stream: Stream, request: Request) -> None:
        self.worker = worker
        self.stream = stream
        self.request = request
        self.started = clock.monotonic()
        self.snapshot = worker.snapshot
        if not request.length:
            self.body_ended = True

    def __repr__(self) -> str:
        where = self.endpoint.address if self.endpoint else "nowhere"
        what = f"{self.request.method} {self.path or self.request.path}"
        return f"<Exchange {what} → {where} {self.status or self.deadline_reason}>"

    # the phases

    def begin(self) -> None:
        """Decide about the request and send it on, or answer it here."""
        self.identify()
        if self.match() and (not self.filters or self.filter()) and self.split() and self.balance() and self.admit():
            self.forward()

    def identify(self) -> None:
        """Who asks, and under which identifiers the request is followed."""
        special = self.request.special
        given = special.get(b"x-request-id")
        self.request_id = given if given and valid_request_id(given) else self.worker.next_request_id()
        trace = special.get(b"traceparent")
        self.traceparent = trace if trace and valid_traceparent(trace) else new_traceparent(clock.bits)

    def match(self) -> bool:
        """Which route takes the request, by the path that will also be forwarded."""
        request = self.request
        try:
            path = normalise(request.path)
        except ValueError as error:
            return self.reply("bad_path", str(error))
        self.is_verbatim = path == request.path and request.target[0] == _SLASH
        self.path = request.path = path
        route = self.route = self.snapshot.table.find(request)
        if route is None:
            host = f" of host {request.host}" if request.host else ""
            return self.reply("no_route", f"no route takes {request.method} {path}{host}")
        self.filters = route.filters
        self.service = route.service
        limit = route.body_bytes
        if limit and (request.length > limit or self.received > limit):
            return self.reply("body_too_large", f"the body may have at most {limit} bytes")
        if route.timeout:
            self.total_deadline = self.started + route.timeout
        return True

    def filter(self) -> bool:
        """What the route's filters say: all continue, or one replies. A redirect or fixed answer is the last of
        them."""
        for apply in self.filters:
            answer = apply(self)
            if answer is not None:
                self.answer_with(answer.status, answer.fields, answer.body, answer.reason)
                return False
        return True

    def split(self) -> bool:
        """Which version of the service."""
        service = self.service
        assert service is not None
        version = self.version = service.only or service.choose(self.request, self.stream.client)
        if version is None:
            return self.reply("no_endpoint", f'service "{service.name}" has no version that takes traffic')
        return True

    def balance(self) -> bool:
        """Which endpoint of the version, other than those that already failed this request."""
        version = self.version
        assert version is not None
        version.requests += 1
        endpoint = self.endpoint = version.pick(self) if version.only is None or self.tried else version.only
        if endpoint is None:
            return self.reply("no_endpoint", f'service "{version.service}" has no endpoint that can take the request')
        return True

    def admit(self) -> bool:
        """Whether the endpoint may take one more; from here on it counts as busy with it."""
        endpoint = self.endpoint
        assert endpoint is not None
        endpoint.in_flight += 1
        endpoint.requests += 1
        return True

    def forward(self) -> None:
        """Send the request on: at once over a kept connection, else when one is open."""
        endpoint = self.endpoint
        assert endpoint is not None
        exchanges = self.worker.exchanges
        exchanges.add(self)
        if not exchanges.is_ticking:
            exchanges.start()
        if endpoint.idle:
            # The last one used is the least likely to be closed by the endpoint right now.
            self.on_connected(endpoint.idle.pop())
            return
        self.wait(endpoint.timeouts.connect, "connect_timeout")
        endpoint.queue(self)

    def answer(self, response: Response, body: bytes | None = None) -> None:
        """Send the answer to the client: its head alone, or all of it where the body came with it."""
        route = self.route
        assert route is not None
        fields = response.fields
        if response.named or route.edits_response:
            fields = route.edit_response(response)
        fields.append(b": ".join((b"X-Request-Id", self.request_id)))
        if body is None:
            self.stream.send_head(response.status, fields, response.length, body=response.has_body)
        else:
            self.sent = len(body)
            self.stream.send_whole(response.status, fields, body)

    def finish(self, now: float) -> None:
        """The end of every exchange: what happened goes to the endpoint, the metrics and the access log, exactly
        once."""
        if self.finished:
            return
        self.finished = True
        worker = self.worker
        endpoint = self.endpoint
        worker.exchanges.discard(self)
        if endpoint is not None:
            endpoint.in_flight -= 1
        worker.record(self, now)
        self.stream.done(now)

    # calls from the stream

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
            self.send_part(last_chunk(passing_trailers(trailers)))
        if self.connection is not None and not self.status:
            self.wait(self.connection.endpoint.timeouts.response, "upstream_timeout")

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

    def on_client_full(self) -> None:
        """The client takes no more for now."""
        if self.connection is not None:
            self.connection.pause()

    def on_client_ready(self) -> None:
        """The client takes more again."""
        if self.connection is not None:
            self.connection.resume()

    # calls from the endpoint

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
            self.deadline = now + timeouts.response
            self.deadline_reason = "upstream_timeout"
            self.deadline = min(self.deadline, self.total_deadline)
        else:
            self.wait(timeouts.stream, "upstream_timeout")
            self.stream.resume_body()

    def on_connect_failed(self, reason: str, detail: str) -> None:
        """No connection: nothing was sent, so another endpoint may be asked."""
        self.retry_or_fail(reason, detail, "connect", sent=False)

    # calls from the connection

    def on_informational(self, response: Response) -> None:
        """An interim answer, passed on to clients that know them."""
        if not self.request.is_http10:
            fields = without(response.fields, response.named)
            self.stream.send_head(response.status, fields, 0, body=False, final=False)
            self.stream.flush()

    def on_response(self, response: Response, body: bytes | None, now: float) -> bool:
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
            self.note_failure(f"status {status}")
            if self.retry_status(status):
                return False
        elif endpoint.is_failing:
            endpoint.is_failing = False
            endpoint.health.succeeded()
        self.status = status
        if status == 101:
            self.open_tunnel(response)
            return True
        if body is None:
            self.deadline_reason = "stream_timeout"
            self.deadline = min(now + endpoint.timeouts.stream, self.total_deadline)
        self.answer(response, body)
        return True

    def on_response_body(self, data: bytes) -> None:
        """A piece of the answer's body."""
        self.sent += len(data)
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
        self.stream.send_end(passing_trailers(trailers) if trailers else trailers)
        self.finish(now)

    def on_whole_response(self, response: Response, body: bytes, now: float) -> None:
        """The answer came in one piece: the usual case, with the fewest steps."""
        if self.finished:
            return
        self.connection = None
        if self.on_response(response, body, now):
            self.finish(now)

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

    def on_upstream_full(self) -> None:
        """The endpoint takes no more of the request for now."""
        self.stream.pause_body()

    def on_upstream_ready(self) -> None:
        """The endpoint takes more again."""
        self.stream.resume_body()

    def is_sent(self) -> bool:
        """Whether the whole request has been handed to the connection."""
        return self.body_ended

    # calls from the clock

    def on_deadline(self, now: float) -> None:
        """A timeout ran out."""
        reason = "route_timeout" if now >= self.total_deadline else self.deadline_reason
        endpoint = self.endpoint
        address = endpoint.address if endpoint else "the service"
        self.deadline = NEVER
        if reason == "stream_timeout" or self.status:
            self.fail("route_timeout" if reason == "route_timeout" else "stream_timeout", "")
            return
        self.release()
        detail = f"{address} did not answer within {now - self.started:.3g}s"
        if reason == "route_timeout":
            self.note_failure(reason)
            self.fail(reason, f"the route allows {self.total_deadline - self.started:g}s for the whole exchange")
        elif reason == "connect_timeout":
            self.retry_or_fail(reason, detail, "connect", sent=False)
        else:
            self.retry_or_fail(reason, detail, "timeout", sent=True)

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
        fields = [*self.route.edit_response(response), b"Connection: Upgrade", b"Upgrade: " + response.upgrade]
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

    # how it ends

    def resend(self) -> None:
        """The next attempt: the phases from `balance` on."""
        if not self.finished and self.balance() and self.admit():
            self.forward()

    def reply(self, reason: str, detail: str) -> bool:
        """Answer with a refusal of our own. Always False, so that a phase can end with it."""
        status = status_of(reason)
        body = problem(reason, detail=detail, request_id=self.request_id.decode(), instance=self.request.path)
        fields = make("Content-Type", "application/problem+json", "X-Meshctl-Reason", reason)
        self.answer_with(status, fields, body, reason)
        return False

    def answer_with(self, status: int, fields: Fields, body: bytes, reason: str) -> None:
        """Answer without any endpoint."""
        self.status = status
        self.reason = reason
        fields = [*fields, b"X-Request-Id: " + self.request_id]
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
