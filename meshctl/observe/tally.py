"""Requests, errors and latencies of anything that is counted, as one value that can be added and subtracted."""

from __future__ import annotations

import msgspec

from meshctl.observe.histogram import Distribution


class Tally(msgspec.Struct, frozen=True):
    """Finished requests, how many of them failed, and how long they took."""

    requests: int = 0
    errors: int = 0
    latency: Distribution = Distribution()

    def plus(self, other: Tally) -> Tally:
        """Both together."""
        return Tally(self.requests + other.requests, self.errors + other.errors, self.latency.plus(other.latency))

    def since(self, earlier: Tally | None) -> Tally:
        """What was counted since `earlier`. Where less was counted than then, counting has begun anew, and all of it is
        new."""
        if earlier is None or self.requests < earlier.requests:
            return self
        if self.requests == earlier.requests:
            return Tally()
        errors = max(0, self.errors - earlier.errors)
        return Tally(self.requests - earlier.requests, errors, self.latency.minus(earlier.latency))


class VersionTally(msgspec.Struct, frozen=True):
    """A version of a service as one proxy sees it: how many endpoints it has and how many of them may take requests,
    what was counted since the proxy started, and in the last minute, whose latencies begin up to a fourth earlier."""

    version: str
    total: Tally = Tally()
    minute: Tally = Tally()
    endpoints: int = 0
    healthy: int = 0
