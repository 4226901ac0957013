"""The less loaded of two: power of two choices by peak-sensitive latency and requests in flight."""

from __future__ import annotations

from collections.abc import Sequence
from math import floor
from typing import Final

from meshctl.core.balancer import Balancer, C, Dice

# The first drawn keeps the request unless the second is better by more than this. Between equals the draw decides, so
# that noise in the latencies of idle endpoints does not send everything to one of them.
_CLEARLY: Final = 1.25


class LeastLoad(Balancer[C]):
    """Draws two candidates by weight and takes the one whose load is clearly lower, load being latency × (1 + in flight
    per weight). The weights thus hold among idle endpoints and among busy ones alike."""

    __slots__ = ("_mean",)

    def __init__(self, candidates: Sequence[C], start: int = 0) -> None:
        super().__init__(candidates, start)
        self._mean = sum(each.weight for each in self.candidates) / max(len(self.candidates), 1)

    def pick(self, key: str | None, dice: Dice) -> C | None:
        """The first of two drawn, or the second where that is clearly less loaded."""
        candidates = self.candidates
        count = len(candidates)
        if count < 2:
            return candidates[0] if count else None
        if self._bounds:
            return self._pick_weighted(dice)
        # floor, because int() costs three times as much.
        at = floor(dice() * count)
        other = floor(dice() * (count - 1))
        first = candidates[at]
        second = candidates[other + 1 if other >= at else other]
        load, rival = first.in_flight + 1.0, second.in_flight + 1.0
        latency, rival_latency = first.ewma, second.ewma
        # Where one latency is unknown only the requests in flight can be compared.
        if latency and rival_latency:
            load *= latency
            rival *= rival_latency
        return second if rival * _CLEARLY < load else first

    def _pick_weighted(self, dice: Dice) -> C:
        first, second = self.draw(dice), self.draw(dice)
        if first is second:
            return first
        load, rival = (
            1.0 + first.in_flight * self._mean / first.weight,
            1.0 + second.in_flight * self._mean / second.weight,
        )
        if first.ewma and second.ewma:
            load *= first.ewma
            rival *= second.ewma
        return second if rival * _CLEARLY < load else first
