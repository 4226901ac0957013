"""Requests, errors and latencies of anything that is counted, as one value that can be added and subtracted."""

from __future__ import annotations

import msgspec

from meshctl.observe.histogram import Distribution


class Tally(msgspec.Struct, frozen=True):
    """Finished requests, how many of them failed, how long they took, and how many their clients gave up before an
    answer, which says neither well nor ill of them."""

    requests: int = 0
    errors: int = 0
    latency: Distribution = Distribution()
    given_up: int = 0

    @property
    def error_rate(self) -> float:
        """The share that failed of those that were not given up, 0 to 1; 0 without any."""
        judged = self.requests - self.given_up
        return self.errors / judged if judged > 0 else 0.0

    def plus(self, other: Tally) -> Tally:
        """Both together."""
        return Tally(
            self.requests + other.requests,
            self.errors + other.errors,
            self.latency.plus(other.latency),
            self.given_up + other.given_up,
        )

    def since(self, earlier: Tally | None) -> Tally:
        """What was counted since `earlier`. Where less was counted than then, counting has begun anew, and all of it is
        new."""
        if earlier is None or self.requests < earlier.requests:
            return self
        if self.requests == earlier.requests:
            return Tally()
        errors = max(0, self.errors - earlier.errors)
        given_up = max(0, self.given_up - earlier.given_up)
        return Tally(self.requests - earlier.requests, errors, self.latency.minus(earlier.latency), given_up)


class VersionTally(msgspec.Struct, frozen=True):
    """A version of a service as one proxy sees it: how many endpoints it has and how many of them may take requests,
    what was counted since the proxy started, and in the last minute, whose latencies begin up to a fourth earlier."""

    version: str
    total: Tally = Tally()
    minute: Tally = Tally()
    endpoints: int = 0
    healthy: int = 0
