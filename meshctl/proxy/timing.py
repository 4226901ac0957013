"""How long an exchange may take, by whom, and what follows when it has taken too long.

    total_deadline   the whole exchange: the route's timeout, or the caller's own deadline where that is earlier
    until            the same, or while there is no answer the end of this attempt, where that is earlier
    deadline         what is awaited right now (a connection, the answer's head, the next bytes), never after `until`

`attempt` builds on this. It does not know how a request is sent, nor whether it may be sent again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from meshctl import clock
from meshctl.core.deadline import allowed
from meshctl.proxy.timers import NEVER

if TYPE_CHECKING:
    from meshctl.proxy.endpoint import LiveEndpoint
    from meshctl.proxy.snapshot import CompiledRoute
    from meshctl.wire.message import Request


class Timing:
    """See the module."""

    __slots__ = (
        "__dict__", "attempt", "deadline", "deadline_reason", "endpoint", "request", "route", "started", "status",
        "total_deadline", "until",
    )  # fmt: skip

    request: Request
    started: float
    route: CompiledRoute | None
    endpoint: LiveEndpoint | None
    attempt: int
    status: int
    deadline: float
    deadline_reason: str
    total_deadline: float
    until: float
    total_reason = "route_timeout"
    is_hurried = False
    """Whether the caller said how long it may take."""

    def fail(self, reason: str, detail: str) -> None:
        """Give up."""
        raise NotImplementedError  # pragma: no cover - an interface

    def note_failure(self, reason: str) -> None:
        """The endpoint failed this request."""
        raise NotImplementedError  # pragma: no cover - an interface

    def release(self) -> None:
        """Let go of the connection, or of the place in line for one."""
        raise NotImplementedError  # pragma: no cover - an interface

    def retry_or_fail(self, reason: str, detail: str, why: str, *, sent: bool) -> None:
        """Ask another endpoint if that is safe and allowed, else give up."""
        raise NotImplementedError  # pragma: no cover - an interface

    def wait(self, seconds: float, reason: str) -> None:
        """Set the deadline for what is awaited now."""
        self.deadline = min(clock.monotonic() + seconds, self.until)
        self.deadline_reason = reason

    def move(self) -> None:
        """Bytes moved: the stream timeout starts anew."""
        endpoint = self.endpoint
        if endpoint is not None:
            self.deadline = min(clock.monotonic() + endpoint.timeouts.stream, self.until)

    def hurry(self) -> bool:
        """Let the caller's own deadline hold where it comes before the route's; False where there is no time at
        all."""
        self.is_hurried = True
        seconds = allowed(self.request.special)
        if self.started + seconds < self.total_deadline:
            self.total_deadline = self.until = self.started + seconds
            self.total_reason = "deadline_exceeded"
        if seconds <= 0:
            self.fail("deadline_exceeded", "the caller allows no time for it")
        return seconds > 0

    def left(self) -> float:
        """Seconds until the exchange as a whole is over."""
        # The clock of an attempt that found its connection at once is as good as now, and the answer mostly the same
        # for all requests of a route, which makes heads that were written before fit again.
        now = clock.monotonic() if self.attempt or self.deadline_reason else self.started
        return self.total_deadline - now

    def begin_try(self) -> None:
        """From now on the attempt has as long as the route allows each."""
        route = self.route
        if route is not None and route.per_try:
            self.until = min(clock.monotonic() + route.per_try, self.total_deadline)
            self.deadline = min(self.deadline, self.until)

    def on_deadline(self, now: float) -> None:
        """A timeout ran out."""
        is_over, self.deadline = now >= self.total_deadline, NEVER
        reason, endpoint = self.deadline_reason, self.endpoint
        if self.status:
            self.fail(self.total_reason if is_over else "stream_timeout", "")
            return
        if is_over:
            self.overdue()
            return
        self.release()
        address = endpoint.address if endpoint else "the service"
        detail = f"{address} did not answer within {now - self.started:.3g}s"
        if reason == "connect_timeout":
            self.retry_or_fail(reason, detail, "connect", sent=False)
        else:
            self.retry_or_fail(reason, detail, "timeout", sent=True)

    def overdue(self) -> None:
        """The exchange as a whole has taken too long. Only of the route's own time it is known that it is enough for
        an endpoint that is well."""
        self.release()
        is_ours = self.total_reason == "route_timeout"
        if is_ours:
            self.note_failure(self.total_reason)
        who = "route" if is_ours else "caller"
        seconds = self.total_deadline - self.started
        self.fail(self.total_reason, f"the {who} allows {seconds:.6g}s for the whole exchange")
