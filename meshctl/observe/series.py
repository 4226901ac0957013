"""The requests of one route, service and version, counted while they are served."""

from __future__ import annotations

from typing import Final

from msgspec.structs import replace

from meshctl.observe.histogram import Histogram
from meshctl.observe.sample import CLASSES, Key, SeriesSample

MOST_REASONS: Final = 64
"""Reasons a series tells apart; more would be a mistake in the vocabulary and are counted as "other"."""

MOST_CALLERS: Final = 256
"""Callers that a series tells apart; those of more are counted as "other"."""

_MOST_WAITING: Final = 256

# One place for each hundred of a three-digit status: what an upstream invents (6xx to 9xx) must not raise.
_HUNDREDS: Final = 10


class Series:
    """The requests of one route, service and version."""

    __slots__ = ("_callers", "_frozen", "_latency", "_reasons", "_statuses", "_waiting", "key", "received", "sent")

    def __init__(self, key: Key) -> None:
        self.key = key
        self.received = 0
        self.sent = 0
        self._statuses = [0] * _HUNDREDS
        self._reasons: dict[str, list[int]] = {}
        self._latency = Histogram()
        self._waiting: dict[int, list[float]] = {}
        """By status, one list for all of a hundred: how long requests took that are not counted yet. A few hundred
        together take a tenth of the time that each takes by itself among all else that is done for a request."""
        self._callers: dict[str, Series] = {}
        self._frozen = SeriesSample(*key)

    def __repr__(self) -> str:
        return f"<Series {'/'.join(self.key)} {self.requests} requests>"

    @property
    def requests(self) -> int:
        """How many requests were recorded."""
        self._fold()
        own = sum(self._statuses)
        return own + sum(each.requests for each in self._callers.values()) if self._callers else own

    def of(self, caller: str) -> Series:
        """Where to record what came from a service that proved to be `caller`: a part of this series."""
        callers = self._callers
        found = callers.get(caller)
        if found is None and len(callers) >= MOST_CALLERS:
            caller = "other"
            found = callers.get(caller)
        if found is None:
            found = callers[caller] = Series(self.key)
        return found

    def record(self, status: int, seconds: float, received: int, sent: int, reason: str = "") -> None:
        """Count a finished request: `status` from 0 (nothing was answered) to 999, the bytes of the bodies, and why the
        proxy answered itself ("" where the answer came from upstream)."""
        # With the fewest steps: everything here is done for each request.
        try:
            waiting = self._waiting[status]
        except KeyError:
            waiting = self._begin(status)
        waiting.append(seconds)
        self.sent += sent
        if received:
            self.received += received
        if len(waiting) >= _MOST_WAITING:
            self._fold()
        if reason:
            self._because(reason, status // 100)

    def _begin(self, status: int) -> list[float]:
        others = (waiting for each, waiting in self._waiting.items() if each // 100 == status // 100)
        found = self._waiting[status] = next(others, [])
        return found

    def _fold(self) -> None:
        for hundred, waiting in {status // 100: waiting for status, waiting in self._waiting.items()}.items():
            if waiting:
                self._statuses[hundred] += len(waiting)
                self._latency.add(waiting)
                waiting.clear()

    def _because(self, reason: str, hundred: int) -> None:
        counts = self._reasons.get(reason)
        if counts is None:
            if len(self._reasons) >= MOST_REASONS:
                reason = "other"
            counts = self._reasons.setdefault(reason, [0] * _HUNDREDS)
        counts[hundred] += 1

    def freeze(self) -> SeriesSample:
        """What was counted so far: the same object as last time where nothing was, at next to no cost."""
        if self._frozen.requests != self.requests:
            reasons = {reason: _by_class(counts) for reason, counts in self._reasons.items()}
            statuses = _by_class(self._statuses)
            own = SeriesSample(*self.key, statuses, reasons, self.received, self.sent, self._latency.freeze())
            self._frozen = own if not self._callers else self._with_callers(own)
        return self._frozen

    def _with_callers(self, own: SeriesSample) -> SeriesSample:
        callers = {name: each.freeze() for name, each in self._callers.items()}
        for each in callers.values():
            own = own.plus(each)
        return replace(own, callers=callers)


def _by_class(counts: list[int]) -> tuple[int, ...]:
    """Counts by hundred as counts by class; 600 and above count as 5xx, since clients treat them so (RFC 9110 §15)."""
    return (*counts[: len(CLASSES) - 1], sum(counts[len(CLASSES) - 1 :]))
