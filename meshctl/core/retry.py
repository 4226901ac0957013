"""May this request be sent once more, and when? The one place that decides, and the budget that keeps retries from
becoming the load that breaks a service.

Knows neither connections nor endpoints: whoever forwards says what happened and how far the request got.
"""

from __future__ import annotations

from math import floor, inf
from typing import Final

from meshctl.model import policy
from meshctl.model.policy import Retry

# RFC 9110 §9.2.2. What is not listed, extension methods included, may do something twice.
IDEMPOTENT: Final = frozenset({"GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"})

_BASE: Final = 0.025
_LONGEST: Final = 0.25
_BUCKETS: Final = 10

FREE: Final = frozenset({"connect"})
"""Causes whose retries cost nothing of the budget. Nothing was sent, so however many there are the service has no more
to do than without them; and an endpoint that died and may not be ejected, because another one rests already, is met by
a third of the requests or more."""

LONGEST_WAIT: Final = 3.0
"""Seconds that a request is held because an endpoint asks for it (Retry-After); the answer that asks for more goes to
the client, who knows better what it can wait for."""


def may_retry(retry: Retry, *, method: str, reason: str, sent: bool, attempt: int, replayable: bool) -> bool:
    """True where the policy and the meaning of the method allow another attempt; the budget is asked after this.

    `reason` is "connect", "reset", "refused", "timeout" or a status such as "503"; `sent`: any byte of the request may
    have reached the application, which a status proves by itself; `attempt`: extra attempts made so far; `replayable`:
    the whole body can be sent again.
    """
    if attempt >= retry.attempts or not replayable or reason not in retry.on:
        return False
    return method in IDEMPOTENT or not (sent or reason.isdigit())


def backoff(attempt: int, dice: float) -> float:
    """Seconds to wait before the extra attempt number `attempt` (0 is the first): 25 ms, doubled each time up to 250
    ms, of which the dice in [0, 1) take away up to half, so that those who failed together do not come back
    together."""
    ceiling = min(_BASE * 2.0 ** min(attempt, 10), _LONGEST)
    return ceiling * (1.0 - dice / 2)


def pause(attempt: int, dice: float, asked: float, *, same: bool) -> float:
    """Seconds to wait where an answer `asked` for that many: it speaks for its own endpoint alone, so they count only
    where the next attempt is for the `same`. Infinity where that is too long to hold a request."""
    usual = backoff(attempt, dice)
    if not same or asked <= usual:
        return usual
    return asked if asked <= LONGEST_WAIT else inf


class RetryBudget:
    """Retries of one service over the last `window` seconds: at most `ratio` of its requests and `floor_per_second`
    besides, so that a service with little traffic can retry at all. Time is counted in tenths of the window."""

    __slots__ = ("_allowance", "_deposits", "_index", "_ratio", "_requests", "_retries", "_width", "_withdrawals")

    def __init__(self, ratio: float = 0.2, floor_per_second: float = 10.0, window: float = 10.0) -> None:
        self._ratio = ratio
        self._allowance = floor_per_second * window
        self._width = window / _BUCKETS
        self._index = 0
        self._deposits = [0] * _BUCKETS
        self._withdrawals = [0] * _BUCKETS
        self._requests = 0
        self._retries = 0

    def configure(self, config: policy.RetryBudget) -> None:
        """Allow so much from now on; what was spent stays spent."""
        self._ratio = config.ratio
        self._allowance = config.floor * self._width * _BUCKETS

    def deposit(self, now: float, count: int = 1) -> None:
        """Requests (not retries) have begun."""
        index = floor(now / self._width)
        if index != self._index:
            self._forget(index)
        self._deposits[index % _BUCKETS] += count
        self._requests += count

    def withdraw(self, now: float) -> bool:
        """True where the budget has a retry left, which is then spent."""
        index = floor(now / self._width)
        if index != self._index:
            self._forget(index)
        if self._retries + 1 > self._requests * self._ratio + self._allowance:
            return False
        self._withdrawals[index % _BUCKETS] += 1
        self._retries += 1
        return True

    def left(self, now: float) -> float:
        """How many retries it has left."""
        index = floor(now / self._width)
        if index != self._index:
            self._forget(index)
        return max(0.0, self._requests * self._ratio + self._allowance - self._retries)

    def __repr__(self) -> str:
        return f"RetryBudget({self._retries} retries of {self._requests} requests)"

    def _forget(self, index: int) -> None:
        """Empty the buckets that time has passed since the last call; at most all of them once."""
        for step in range(min(abs(index - self._index), _BUCKETS)):
            at = (index - step) % _BUCKETS
            self._requests -= self._deposits[at]
            self._retries -= self._withdrawals[at]
            self._deposits[at] = self._withdrawals[at] = 0
        self._index = index
