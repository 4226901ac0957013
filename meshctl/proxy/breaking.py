"""The circuit breaker of a live service: who is let through, who is refused and why, and what the log is told.

When it opens and closes is decided by `core.breaker`. It outlives snapshots, as long as its settings stay.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from meshctl import clock
from meshctl.core.breaker import NO_PROBE, Breaker, State
from meshctl.model.policy import Breaker as Policy
from meshctl.model.views import BreakerView
from meshctl.proxy.trial import Trial

if TYPE_CHECKING:
    from meshctl.proxy.exchange import Exchange
    from meshctl.proxy.service import LiveService
    from meshctl.proxy.worker import Worker

REASON = "breaker_open"


class LiveBreaker(Breaker):
    """See the module."""

    def __init__(self, worker: Worker, service: str, policy: Policy) -> None:
        super().__init__(policy)
        self._worker = worker
        self._service = service
        self._counters = worker.counters.service(service)

    @property
    def is_on_trial(self) -> bool:
        """Whether nobody is let through but probes: no time for another attempt."""
        return self.state in ("open", "half_open")

    def lets(self, exchange: Exchange) -> bool:
        """Whether `exchange`, which has its endpoint, may go on; else it is refused."""
        version, endpoint = exchange.version, exchange.endpoint
        assert version is not None
        assert endpoint is not None
        now = clock.monotonic()
        if self.admits(now, clock.draw()):
            if self.is_probing:
                trial = exchange.trial = exchange.trial or Trial(endpoint)
                trial.breaker, trial.probe = self, self.opened
            return True
        # Who is refused is no load of anybody.
        version.requests -= 1
        exchange.drop_trial()
        exchange.endpoint = None
        self._refuse(exchange, now)
        return False

    def lets_wait(self, exchange: Exchange) -> bool:
        """Whether `exchange`, which has chosen nobody, may wait for its turn to ask; else it is refused: nobody is to
        stand in line for a refusal."""
        now = clock.monotonic()
        if not self.is_shut(now):
            return True
        self._refuse(exchange, now)
        return False

    def settle(self, service: LiveService, now: float, failed: int = 0) -> None:
        """Count the requests of `service` that have ended since the last time; `failed` are ending now."""
        ended = failed
        for version in service.versions:
            ended += version.requests - sum(endpoint.in_flight for endpoint in version.endpoints)
        if ended > service.ended:
            self.count(now, ended - service.ended)
            service.ended = ended

    def broke(self, service: LiveService, reason: str, now: float, trial: Trial | None) -> None:
        """A request of `service` failed, the probe that `trial` says if any."""
        self.settle(service, now, 1)
        self.failed(reason, now, trial.probe if trial is not None and trial.breaker is self else NO_PROBE)
        if self.policy.failures:
            # One success, wherever, ends the row.
            for version in service.versions:
                for endpoint in version.endpoints:
                    endpoint.is_failing = True

    def enter(self, state: State, now: float) -> None:
        """See `Breaker.enter`."""
        was = self.state
        super().enter(state, now)
        if state == "open":
            self._counters.open_breaker()
        if was == "ramping" and state == "closed":
            return  # It was told that it closes when the ramp began.
        event = {"open": "breaker_opened", "half_open": "breaker_half_open"}.get(state, "breaker_closed")
        reason = self.reason if state == "open" else ""
        self._worker.notice(event, is_trouble=state == "open", service=self._service, reason=reason)

    def view(self, now: float) -> BreakerView:
        """What it does now, and why."""
        wall = clock.wall() - now
        state = self.state
        if state in ("open", "ramping") and now >= self.until:
            # What nobody asks does not notice that its time is over.
            state = "half_open" if state == "open" else "closed"
        is_closed = state == "closed"
        return BreakerView(
            state=state,
            reason="" if is_closed else self.reason,
            since=self.since + wall if self.opened else 0.0,
            until=self.until + wall if state in ("open", "ramping") else 0.0,
            opened=self.opened,
        )

    def _refuse(self, exchange: Exchange, now: float) -> None:
        detail = f'the breaker of service "{self._service}" is {self.explain(now)}'
        exchange.reply(REASON, detail, retry_after=self.retry_after(now))
