"""May this service be asked at all? The circuit breaker of one service in one worker.

    closed ──too many fail──▶ open ──its time is over──▶ half_open ──`probes` succeed──▶ ramping ──`ramp` over──▶ closed
                               ▲                            │ one fails                     │ too many fail
                               └────────────────────────────┴───────────────────────────────┘

While it is closed it is told of failures alone; how many requests ended besides is told a few times a second, so that a
request that succeeds costs nothing. Open it lets nobody through; half open, `probes` requests at a time, which decide;
ramping, a share that grows in a straight line. Each time it opens soon after the last it stays open twice as long. Does
not know what a request or a failure is.
"""

from __future__ import annotations

from typing import Final, Literal

from meshctl.core.failure_rate import FailureRate
from meshctl.core.slow_start import effective_weight
from meshctl.model.policy import Breaker as Policy
from meshctl.model.units import format_duration, in_a_row

State = Literal["closed", "open", "half_open", "ramping"]

LONGEST: Final = 10.0
"""How many times longer than the first time it stays open at most."""
NO_PROBE: Final = 0
"""The number of a request that is no probe."""


class Breaker:
    """See the module. `now` is always a reading of one monotonic clock, `dice` lies in [0, 1)."""

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self.state: State = "closed"
        self.is_guarding = False
        """Whether a request has to ask `admits`: not while it is closed."""
        self.since = 0.0
        """When it went over to its state."""
        self.until = 0.0
        """When the time of `open` or `ramping` is over."""
        self.reason = ""
        """Why it last opened."""
        self.opened = 0
        """How often it did. Numbers the probes: those of an earlier time prove nothing."""
        self._rate = FailureRate(policy.window)
        self._streak = 0
        self._rest = 0.0
        self._under_way = 0
        self._passed = 0

    def __repr__(self) -> str:
        return f"<Breaker {self.state} opened {self.opened} times, {self._rate!r}>"

    def admits(self, now: float, dice: float) -> bool:
        """Whether a request may go on. One that may while `is_probing` is a probe: whoever sends it tells its outcome,
        or that there is none, under the number `opened`."""
        if self.state == "open":
            if now < self.until:
                return False
            self._under_way = self._passed = 0
            self.enter("half_open", now)
        if self.state == "half_open":
            if self._under_way >= self.policy.probes:
                return False
            self._under_way += 1
            return True
        if self.state == "ramping":
            if now < self.until:
                return dice < effective_weight(1.0, now - self.since, self.policy.ramp)
            self.enter("closed", now)
        return True

    def is_shut(self, now: float) -> bool:
        """Whether nobody is let through now: until it is tried again, and while probes decide."""
        if self.state == "open":
            return now < self.until
        return self.state == "half_open" and self._under_way >= self.policy.probes

    @property
    def is_probing(self) -> bool:
        """Whether those that it lets through now are probes."""
        return self.state == "half_open"

    def count(self, now: float, requests: int) -> None:
        """So many requests have ended since the last time, failures included."""
        self._rate.count(now, requests)

    def failed(self, reason: str, now: float, probe: int = NO_PROBE) -> None:
        """A request failed by `reason`, the probe of this number where it is one."""
        if self.state == "half_open":
            # Requests from before it opened may still be failing: they have had their say.
            if probe == self.opened:
                self._open(f"a probe failed: {reason}", now)
            return
        if self.state == "open":
            return
        policy = self.policy
        self._streak += 1
        self._rate.fail(now)
        if policy.failures and self._streak >= policy.failures:
            self._open(f"{in_a_row(self._streak, 'failure')}: {reason}", now)
        elif policy.rate and self._rate.is_above(policy.rate, policy.minimum, now):
            self._open(f"{self._rate}: {reason}", now)

    def succeeded(self, now: float, probe: int = NO_PROBE) -> None:
        """A request was answered. Need only be told of probes, and of the first after a failure where failures in a row
        count."""
        self._streak = 0
        if self.state != "half_open" or probe != self.opened:
            return
        self._under_way -= 1
        self._passed += 1
        if self._passed >= self.policy.probes:
            self._rate.clear()
            self.until = now + self.policy.ramp
            self.enter("ramping" if self.policy.ramp else "closed", now)

    def give_back(self, probe: int) -> None:
        """The probe of this number ended and proved nothing."""
        if self.state == "half_open" and probe == self.opened:
            self._under_way -= 1

    def retry_after(self, now: float) -> float:
        """Seconds after which it is worth asking again."""
        return self.until - now if self.state == "open" and self.until > now else 1.0

    def explain(self, now: float) -> str:
        """Why a request is not let through, and when one will be."""
        ago = format_duration(round(now - self.since, 1))
        if self.state == "open":
            left = format_duration(round(max(self.until - now, 0.0), 1))
            return f"open since {ago} ago, because {self.reason}; it is tried again in {left}"
        if self.state == "half_open":
            return f"half open: {self._under_way} requests find out whether it is back; it opened because {self.reason}"
        return f"closing since {ago} ago and lets part of the traffic through; it opened because {self.reason}"

    def enter(self, state: State, now: float) -> None:
        """Go over to a state."""
        self.state = state
        self.since = now
        self.is_guarding = state != "closed"

    def _open(self, reason: str, now: float) -> None:
        # As with ejection: who has served as long as it was last shut out starts over.
        is_soon = self.state != "closed" or now - self.since < self._rest
        first = self.policy.open
        self._rest = min(self._rest * 2.0, first * LONGEST) if is_soon and self._rest else first
        self._rate.clear()
        self._streak = 0
        self.reason = reason
        self.opened += 1
        self.until = now + self._rest
        self.enter("open", now)
