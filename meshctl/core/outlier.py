"""May this endpoint take traffic? One state object for each endpoint, moved by active checks and by real requests.

Two things keep an endpoint out. Active checks make it unhealthy, by the table below, until they pass again. Real
failures, so many in a row or too large a share of its requests, eject it: it rests for a while, twice as long with
every further ejection. When that is over it is on trial: one request at a time, of which the first that is answered
lets it back, with a share that grows to the whole, and the first that fails sends it to rest again. A check that passes
while requests fail proves nothing. An endpoint that has served as long as it last rested starts over with the shortest
rest.

Small services shape the rules: of a version's endpoints at most `share` rest, though one may always, and the last one
available is never ejected, so that one to three endpoints are never all sent away by their own clients' errors. Where
nobody is there to answer at all, neither holds as long as another version can serve in its place. Does not know what a
request or a check is.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import floor
from typing import Final, Literal, Protocol, TypeVar

from meshctl.core.failure_rate import FailureRate
from meshctl.core.row import Row
from meshctl.core.slow_start import effective_weight
from meshctl.model.policy import Ejection, HealthCheck
from meshctl.model.units import in_a_row

Checked = Literal["unknown", "healthy", "unhealthy"]
State = Literal["unknown", "healthy", "unhealthy", "ejected", "half_open", "ramping"]

TRIALS: Final = 1
"""Requests that an endpoint on trial is sent at a time."""

PANIC: Final = False
"""What happens when active checks fail on every endpoint of a version: True would use all of them regardless, False
none.

False, because a check exists only where somebody wrote `health = …` to say "this tells whether it can serve": a prompt
`no_endpoint` that names the failing check is what they expect, and requests sent to endpoints known to be down are not.
What clients cause by themselves (ejection) never gets this far."""

# (state, did the check pass) → (which threshold ends the streak, the state it leads to). What is not listed changes
# nothing.
TRANSITIONS: Final[dict[tuple[Checked, bool], tuple[Literal["healthy", "unhealthy"], Checked]]] = {
    ("unknown", True): ("healthy", "healthy"),
    ("unknown", False): ("unhealthy", "unhealthy"),
    ("healthy", False): ("unhealthy", "unhealthy"),
    ("unhealthy", True): ("healthy", "healthy"),
}


class EndpointHealth:
    """The health of one endpoint; it outlives snapshots. `now` is always a reading of one monotonic clock."""

    __slots__ = (
        "_absences",
        "_check",
        "_checked",
        "_ejection",
        "_ejections",
        "_failures",
        "_is_proved",
        "_passed",
        "_proved",
        "_rate",
        "_reasons",
        "_rest",
        "_streak",
        "_under_way",
        "row",
        "trial",
        "until",
    )

    def __init__(self, ejection: Ejection, check: HealthCheck | None = None) -> None:
        self.until = 0.0
        """When the last ejection ends or ended; 0 where there was none."""
        self.trial = 0
        """The number of its last trial: what comes of an earlier one means nothing."""
        self._ejection = ejection
        self._check = check
        # What was not checked is taken for usable: a proxy that starts does not refuse traffic until the first check.
        self._checked: Checked = "unknown" if check else "healthy"
        self._passed = True
        self._streak = 0
        self._failures = 0
        self._absences = 0
        self.row = Row()
        self._ejections = 0
        self._rate = _rate(ejection)
        self._rest = 0.0
        self._is_proved = True
        # Since when it is back.
        self._proved = float("-inf")
        self._under_way = 0
        # Why it rests, and why checks speak against it: one may end before the other.
        self._reasons = ["", ""]

    def configure(self, ejection: Ejection, check: HealthCheck | None) -> None:
        """Go on under new policies. What was learned stays, but without a check nothing is unhealthy, and a new check
        starts from unknown."""
        if (check is None) != (self._check is None):
            self._checked, self._streak = "unknown" if check else "healthy", 0
        if not ejection.enabled:
            self.until = 0.0
            self._is_proved = True
        if (ejection.rate, ejection.window) != (self._ejection.rate, self._ejection.window):
            self._rate = _rate(ejection)
        self._ejection, self._check = ejection, check

    def succeeded(self) -> None:
        """A request was answered."""
        self._failures = self._absences = 0
        self.row.end()

    def count(self, now: float, requests: int) -> None:
        """So many of its requests have ended, failures included."""
        if self._rate is not None:
            self._rate.count(now, requests)

    def failed(
        self,
        reason: str,
        now: float,
        peers: Iterable[EndpointHealth],
        *,
        trial: int = 0,
        is_absent: bool = False,
        is_spare: bool = False,
    ) -> bool:
        """A request failed by `reason`; True where that ejects the endpoint. `peers` are those of its version that may
        take traffic by their weight, this one among them or not. `trial` is the number of the trial that the request
        was, if any; `is_absent`: nobody was there to answer, which is no error of an application; `is_spare`: another
        version can serve in the place of this one."""
        self.row.fail(reason, now)
        if not self._ejection.enabled or now < self.until or (not self._is_proved and trial != self.trial):
            # Answers that were on the way when the rest began must not prolong it.
            return False
        self._failures += 1
        self._absences = self._absences + 1 if is_absent else 0
        why = self._why(now)
        if not why:
            return False
        is_needless = is_spare and self._absences >= (self._ejection.failures if self._is_proved else 1)
        if not is_needless and not self._may_rest(now, peers):
            return False
        self._begin_rest(now)
        self._reasons[0] = f"{why}: {reason}"
        self._failures = self._absences = 0
        return True

    def begin_trial(self, now: float, *, is_limited: bool = True) -> int:
        """The number of the trial that the next request is, where the endpoint is on trial; 0 where it is not, or has
        as many requests as it may; not `is_limited` is as many as there are."""
        if not self.is_on_trial(now) or (is_limited and self._under_way >= TRIALS):
            return 0
        self._under_way += 1
        return self.trial

    def end_trial(self, trial: int, now: float, *, is_passed: bool) -> bool:
        """The request that was this trial has ended, answered or without proof; True where that lets the endpoint
        back."""
        if trial != self.trial or self._is_proved:
            return False
        self._under_way -= 1
        if is_passed:
            self._is_proved = True
            self._proved = now
        return is_passed

    def checked(self, passed: bool, reason: str = "") -> bool:
        """An active check passed, or failed by `reason`; True where the state changes."""
        self._streak = self._streak + 1 if passed == self._passed else 1
        self._passed = passed
        threshold, state = TRANSITIONS.get((self._checked, passed), ("healthy", self._checked))
        if self._check is None or state == self._checked or self._streak < getattr(self._check, threshold):
            return False
        self._checked = state
        self._reasons[1] = f"{in_a_row(self._streak, 'failed check')}: {reason}"
        return True

    def available(self, now: float) -> bool:
        """True where the endpoint may take traffic."""
        return now >= self.until and self._checked != "unhealthy"

    def is_ejected(self, now: float) -> bool:
        """True while it rests."""
        return now < self.until

    def is_on_trial(self, now: float) -> bool:
        """True from the end of its rest until a request has proved that it is back."""
        return not self._is_proved and now >= self.until

    def is_ramping(self, now: float) -> bool:
        """True while its share grows."""
        return self._is_proved and now - self._proved < self._ejection.ramp

    def share(self, now: float) -> float:
        """How much of its weight it gets."""
        return effective_weight(1.0, now - self._proved, self._ejection.ramp)

    @property
    def is_unhealthy(self) -> bool:
        """True where active checks speak against it."""
        return self._checked == "unhealthy"

    def state(self, now: float) -> State:
        """The state in one word; of an endpoint that is both, unhealthy, because that does not end by itself."""
        if self._checked == "unhealthy":
            return "unhealthy"
        if now < self.until:
            return "ejected"
        return "half_open" if not self._is_proved else "ramping" if self.is_ramping(now) else self._checked

    def reason(self, now: float) -> str:
        """Why it does not get its whole share; empty where it does."""
        if not self.available(now):
            return self._reasons[self.is_unhealthy]
        ejected = self._reasons[0]
        if not self._is_proved:
            return f"the next request tells whether it is back; {ejected}"
        return f"its share grows; {ejected}" if self.is_ramping(now) else ""

    def ends(self, now: float) -> float:
        """When its rest is over, or the growth of its share; 0 where neither is under way."""
        if now < self.until:
            return self.until
        return self._proved + self._ejection.ramp if self.is_ramping(now) else 0.0

    def __repr__(self) -> str:
        return f"EndpointHealth({self._checked}, {self._failures} failures, until {self.until:g})"

    def _why(self, now: float) -> str:
        """Why it should rest after the failure just counted; empty where it should not."""
        rate = self._rate
        if rate is not None:
            rate.fail(now)
        if not self._is_proved:
            return "failed again after its rest"
        # Where the others do not allow it, it is asked again after as many failures more.
        if self._failures % self._ejection.failures == 0:
            return in_a_row(self._failures, "failure")
        if rate is not None and rate.is_above(self._ejection.rate, self._ejection.minimum, now):
            return str(rate)
        return ""

    def _may_rest(self, now: float, peers: Iterable[EndpointHealth]) -> bool:
        others = [peer for peer in peers if peer is not self]
        if not any(peer.available(now) for peer in others):
            return False
        return sum(peer.is_ejected(now) for peer in others) < most_resting(len(others) + 1, self._ejection.share)

    def _begin_rest(self, now: float) -> None:
        if self._is_proved and now - max(self._proved, self.until) >= self._rest:
            self._ejections = 0
        # 2.0**1000 is still a float; an endpoint that bad never gets there.
        self._rest = min(self._ejection.base * 2.0 ** min(self._ejections, 1000), self._ejection.longest)
        self._ejections += 1
        self.until = now + self._rest
        self.trial += 1
        self._is_proved = False
        self._under_way = 0
        if self._rate is not None:
            self._rate.clear()


def _rate(ejection: Ejection) -> FailureRate | None:
    return FailureRate(ejection.window) if ejection.rate else None


class Checkable(Protocol):
    """Whatever has a health."""

    @property
    def health(self) -> EndpointHealth:
        """Its health."""


E = TypeVar("E", bound=Checkable)


def usable(endpoints: Sequence[E], now: float) -> list[E]:
    """The endpoints of one version that take traffic now. Where none is available those that are merely ejected come
    back early, since they may have recovered and the others are known to be down; beyond that see `PANIC`."""
    available = [each for each in endpoints if each.health.available(now)]
    if available:
        return available
    return [each for each in endpoints if PANIC or not each.health.is_unhealthy]


def next_return(endpoints: Iterable[Checkable], now: float) -> float | None:
    """When the next ejection ends, which changes what is `usable`; None where nobody rests."""
    return min((each.health.until for each in endpoints if each.health.is_ejected(now)), default=None)


def most_resting(count: int, share: float) -> int:
    """How many of `count` endpoints may rest at a time. One always may where `share` is not 0: a tenth of three
    endpoints would otherwise be none, and ejection a setting without effect."""
    # The small addend undoes binary fractions: 0.29 × 100 is 28.999999999999996.
    return max(1, floor(count * share + 1e-9)) if share > 0 else 0
