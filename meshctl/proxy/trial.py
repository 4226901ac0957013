"""An attempt by whose outcome more is decided than its own answer: whether an endpoint is back after its rest, whether
a service is after its breaker was open, or both.

What is decided is `core.outlier`'s and `core.breaker`'s business; here it is seen to that each of them learns of every
such attempt how it ended, also where that proves nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from meshctl import clock

if TYPE_CHECKING:
    from meshctl.proxy.breaking import LiveBreaker
    from meshctl.proxy.endpoint import LiveEndpoint
    from meshctl.proxy.exchange import Exchange
    from meshctl.proxy.service import LiveVersion


class Trial:
    """See the module. `number` is what the endpoint gave it, 0 where it is not about that."""

    __slots__ = ("breaker", "endpoint", "number", "probe")

    def __init__(self, endpoint: LiveEndpoint, number: int = 0) -> None:
        self.endpoint = endpoint
        self.number = number
        self.breaker: LiveBreaker | None = None
        self.probe = 0
        """Its number for the breaker."""
        endpoint.trials += 1
        # The next success is worth a word.
        endpoint.is_failing = True

    def __repr__(self) -> str:
        return f"<Trial {self.number} of {self.endpoint!r}, {self.probe} of {self.breaker!r}>"

    def passed(self, now: float) -> None:
        """It was answered."""
        endpoint, owner = self.endpoint, self.endpoint.owner
        endpoint.trials -= 1
        if self.breaker is not None:
            self.breaker.succeeded(now, self.probe)
        if self.number and endpoint.health.end_trial(self.number, now, is_passed=True) and owner is not None:
            owner.returned(endpoint, now)

    def ended(self, now: float) -> None:
        """It ended without an answer, for whatever reason: those who count failures know already."""
        endpoint = self.endpoint
        endpoint.trials -= 1
        if self.breaker is not None:
            self.breaker.give_back(self.probe)
        if self.number:
            endpoint.health.end_trial(self.number, now, is_passed=False)


def pick_on_trial(version: LiveVersion, exchange: Exchange, *, is_limited: bool = True) -> LiveEndpoint | None:
    """An endpoint of `version` on trial, the least busy one, whose trial this request becomes; None where all have as
    many as they may."""
    now = clock.monotonic()
    for each in sorted(version.on_trial, key=lambda one: one.in_flight):
        number = each.health.begin_trial(now, is_limited=is_limited)
        if number:
            exchange.trial = Trial(each, number)
            return each
    return None


def rescue(exchange: Exchange) -> bool:
    """Find an endpoint where the version chosen has none to spare: all that it has are on trial, with as many requests
    as that allows. Another version serves in its place; where there is none, those on trial take what comes."""
    service, version = exchange.service, exchange.version
    assert service is not None
    assert version is not None
    others = [each for each in service.versions if each is not version and each.weight > 0] if version.on_trial else []
    for other in others:
        endpoint = other.pick(exchange)
        if endpoint is not None:
            version.requests -= 1
            other.requests += 1
            exchange.version, exchange.endpoint = other, endpoint
            return True
    exchange.endpoint = pick_on_trial(version, exchange, is_limited=False)
    return exchange.endpoint is not None
