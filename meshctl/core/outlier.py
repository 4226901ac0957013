"""May this endpoint take traffic? One state object for each endpoint, moved by active checks and by real requests.

Two things keep an endpoint out. Active checks make it unhealthy, by the table below, until they pass again. Real
failures in a row eject it: it rests for a while, twice as long with every further ejection, and comes back by time
alone, because a check that passes while requests fail has proved nothing. A success ends a streak of failures at once;
an endpoint that has served as long as it last rested starts over with the shortest rest.

Small services shape the rules: of a version's endpoints at most `share` rest, though one may always, and the last one
available is never ejected, so that one to three endpoints are never all sent away by their own clients' errors. Where
nobody is there to answer at all, neither holds as long as another version can serve in its place. Does not know what a
request or a check is.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import floor
from typing import Final, Literal, Protocol, TypeVar

from meshctl.model.policy import Ejection, HealthCheck

Checked = Literal["unknown", "healthy", "unhealthy"]

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
        "_passed",
        "_reasons",
        "_rest",
        "_streak",
        "until",
    )

    def __init__(self, ejection: Ejection, check: HealthCheck | None = None) -> None:
        self.until = 0.0
        """When the last ejection ends or ended; 0 where there was none."""
        self._ejection = ejection
        self._check = check
        # What was not checked is taken for usable: a proxy that starts does not refuse traffic until the first check.
        self._checked: Checked = "unknown" if check else "healthy"
        self._passed = True
        self._streak = 0
        self._failures = 0
        self._absences = 0
        self._ejections = 0
        self._rest = 0.0
        # Why it rests, and why checks speak against it: one may end before the other.
        self._reasons = ["", ""]

    def configure(self, ejection: Ejection, check: HealthCheck | None) -> None:
        """Go on under new policies. What was learned stays, but without a check nothing is unhealthy, and a new check
        starts from unknown."""
        if (check is None) != (self._check is None):
            self._checked, self._streak = "unknown" if check else "healthy", 0
        if not ejection.enabled:
            self.until = 0.0
        self._ejection, self._check = ejection, check

    def succeeded(self) -> None:
        """A request was answered."""
        self._failures = self._absences = 0

    def failed(
        self,
        reason: str,
        now: float,
        peers: Iterable[EndpointHealth],
        *,
        is_absent: bool = False,
        is_spare: bool = False,
    ) -> bool:
        """A request failed by `reason`; True where that ejects the endpoint. `peers` are those of its version that may
        take traffic by their weight, this one among them or not. `is_absent`: nobody was there to answer, which is no
        error of an application; `is_spare`: another version can serve in the place of this one."""
        if not self._ejection.enabled or now < self.until:
            # Answers that were on the way when the rest began must not prolong it.
            return False
        self._failures += 1
        self._absences = self._absences + 1 if is_absent else 0
        # Where the others do not allow it, it is asked again after as many failures more.
        if self._failures % self._ejection.failures:
            return False
        is_needless = is_spare and self._absences >= self._ejection.failures
        if not is_needless and not self._may_rest(now, peers):
            return False
        self._begin_rest(now)
        self._reasons[0] = f"{self._failures} failures in a row: {reason}"
        self._failures = self._absences = 0
        return True

    def checked(self, passed: bool, reason: str = "") -> bool:
        """An active check passed, or failed by `reason`; True where the state changes."""
        self._streak = self._streak + 1 if passed == self._passed else 1
        self._passed = passed
        threshold, state = TRANSITIONS.get((self._checked, passed), ("healthy", self._checked))
        if self._check is None or state == self._checked or self._streak < getattr(self._check, threshold):
            return False
        self._checked = state
        self._reasons[1] = f"{self._streak} failed checks in a row: {reason}"
        return True

    def available(self, now: float) -> bool:
        """True where the endpoint may take traffic."""
        return now >= self.until and self._checked != "unhealthy"

    def is_ejected(self, now: float) -> bool:
        """True while it rests."""
        return now < self.until

    @property
    def is_unhealthy(self) -> bool:
        """True where active checks speak against it."""
        return self._checked == "unhealthy"

    def state(self, now: float) -> Literal["unknown", "healthy", "unhealthy", "ejected"]:
        """The state in one word; of an endpoint that is both, unhealthy, because that does not end by itself."""
        return "ejected" if now < self.until and self._checked != "unhealthy" else self._checked

    def reason(self, now: float) -> str:
        """Why it is not available; empty where it is."""
        return "" if self.available(now) else self._reasons[self.is_unhealthy]

    def __repr__(self) -> str:
        return f"EndpointHealth({self._checked}, {self._failures} failures, until {self.until:g})"

    def _may_rest(self, now: float, peers: Iterable[EndpointHealth]) -> bool:
        others = [peer for peer in peers if peer is not self]
        if not any(peer.available(now) for peer in others):
            return False
        return sum(peer.is_ejected(now) for peer in others) < most_resting(len(others) + 1, self._ejection.share)

    def _begin_rest(self, now: float) -> None:
        if now - self.until >= self._rest:
            self._ejections = 0
        # 2.0**1000 is still a float; an endpoint that bad never gets there.
        self._rest = min(self._ejection.base * 2.0 ** min(self._ejections, 1000), self._ejection.longest)
        self._ejections += 1
        self.until = now + self._rest


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
