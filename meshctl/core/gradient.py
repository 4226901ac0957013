"""How many requests at a time a service takes best, found out from its latency alone.

    limit ← limit × gradient + √limit,   gradient = TOLERANCE × base / latency, between ½ and 1

`latency` is the average of a window just over, `base` what the service takes when nothing in it waits. While more are
under way than it can work on at once, latency grows and throughput does not: the gradient falls below 1 and the limit
with it. While latency stands, √limit lets it grow, as long as it is used: idle times prove nothing. Both meet where a
short line is left in the service, so that it never runs dry.

A long average of latency would learn an overload as its new normal. So every `PROBE_EVERY` seconds of being used the
limit is halved for a moment, and the latency measured then is the new base: where half the limit is still too much the
next probe halves it again, and a service that became slower for good is believed. Pure: times come as arguments.
"""

from __future__ import annotations

from math import sqrt
from typing import Final

TOLERANCE: Final = 1.3
"""How far latency may rise above its base before the limit falls: noise, and a little waiting."""
FEWEST: Final = 4
FIRST: Final = 10
"""Where it begins, until something is known."""
PROBE_EVERY: Final = 10.0
WINDOW: Final = 0.2
SAMPLES: Final = 20
"""A window lasts `WINDOW` seconds, and until it has so many samples."""
PROBE_SAMPLES: Final = 50
_STEP: Final = 0.5
"""How far one window goes towards what was found in it."""
_LESS: Final = 0.7
"""Latency below this part of the base is too far below it for noise: the base is wrong."""


class Gradient:
    """The limit that follows latency, between a few and `most`."""

    __slots__ = ("_base", "_began", "_count", "_limit", "_most", "_peak", "_probe_at", "_probed", "_skip", "_sum")

    def __init__(self, most: int, now: float) -> None:
        self._most = most
        self._limit = float(min(most, FIRST))
        self._base = 0.0
        self._probed = 0.0
        """The limit to go back to after the probe under way; 0 where none is."""
        self._probe_at = now
        self._skip = 0
        """Answers that are not looked at, because they may be of requests from before the probe."""
        # The window
        self._began = now
        self._sum = 0.0
        self._count = 0
        self._peak = 0

    def __repr__(self) -> str:
        return f"<Gradient {self.limit} of {self._most}, {self._base * 1000:.3g} ms>"

    @property
    def limit(self) -> int:
        """How many may be under way now."""
        return int(self._limit)

    def bound(self, most: int) -> None:
        """Another upper bound than before."""
        self._most = most
        self._limit = min(self._limit, float(most))
        self._probed = min(self._probed, float(most))

    def sample(self, took: float, now: float, in_flight: int) -> bool:
        """A request was answered `took` seconds after it was let in, and `in_flight` were under way with it. Whether
        that may have changed the limit."""
        if self._skip:
            if in_flight <= self._limit:
                self._skip -= 1
                self._start(now)
            return False
        # Asked for every answer: a call of max would cost as much as all of this.
        self._peak = in_flight if in_flight > self._peak else self._peak
        self._sum += took
        count = self._count = self._count + 1
        if count < SAMPLES:
            return False
        if count < max(PROBE_SAMPLES, self._limit) if self._probed else now - self._began < WINDOW:
            return False
        self._judge(self._sum / count, now)
        self._start(now)
        return True

    def _judge(self, latency: float, now: float) -> None:
        if self._probed:
            is_less = latency < self._base * _LESS
            self._base += (latency - self._base) * (1.0 if is_less else _STEP)
            self._limit, self._probed = self._probed, 0.0
            # Where half the limit was so much better, a quarter may be better still.
            self._probe_at = now + (PROBE_EVERY / 10 if is_less else PROBE_EVERY)
        elif not self._base:
            self._base = latency
        elif self._peak * 2 < self._limit:
            pass  # Hardly used: whether more would be too much is not to be seen.
        elif now >= self._probe_at and self._limit > self._least:
            self._probed = self._limit
            self._limit = max(self._limit / 2, self._least)
            # The quickest are answered first: only once all from before are through are the answers those of any.
            self._skip = 2 * int(self._limit)
        else:
            self._follow(latency)

    def _follow(self, latency: float) -> None:
        if latency < self._base * _LESS:
            self._base += (latency - self._base) * _STEP
        gradient = min(1.0, max(0.5, TOLERANCE * self._base / latency)) if latency else 1.0
        wanted = self._limit * gradient + sqrt(self._limit)
        self._limit += (wanted - self._limit) * _STEP
        self._limit = min(float(self._most), max(self._limit, self._least))

    @property
    def _least(self) -> float:
        return float(min(FEWEST, self._most))

    def _start(self, now: float) -> None:
        self._began = now
        self._sum = 0.0
        self._count = 0
        self._peak = 0
