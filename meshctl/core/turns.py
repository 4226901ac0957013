"""Policies that only count or draw: round robin by weight, and random by weight."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import cycle, islice
from typing import Final

from meshctl.core.balancer import Balancer, C, Dice

# Slots of a round where the weights are no small whole ratio: an endpoint's share is then off by at most 1/1024.
_SLOTS: Final = 1024
# Conjugate of the golden ratio: multiples of it spread evenly over [0, 1), which keeps equal endpoints out of step.
_SPREAD: Final = 0.6180339887498949


class RoundRobin(Balancer[C]):
    """Turns in a fixed round in which each candidate comes as often as its weight says, spread evenly over the
    round."""

    __slots__ = ("_turns",)

    def __init__(self, candidates: Sequence[C], start: int = 0) -> None:
        super().__init__(candidates, start)
        round_ = self.candidates
        if self._bounds:
            slots = whole_shares([each.weight for each in self.candidates])
            order = sorted(
                ((turn + (index + 1) * _SPREAD % 1) / count, index)
                for index, count in enumerate(slots)
                for turn in range(count)
            )
            round_ = tuple(self.candidates[index] for _, index in order)
        self._turns: Iterator[C] = islice(cycle(round_), start % max(len(round_), 1), None)

    def pick(self, key: str | None, dice: Dice) -> C | None:
        """The next in turn."""
        return next(self._turns, None)


class RandomTurns(Balancer[C]):
    """A draw by weight."""

    __slots__ = ()

    def pick(self, key: str | None, dice: Dice) -> C | None:
        """One at random."""
        return self.draw(dice) if self.candidates else None


def whole_shares(weights: Sequence[float]) -> list[int]:
    """Whole numbers in the ratio of `weights` (all above 0): exact where small ones exist, else of about 1024 in
    sum."""
    smallest = min(weights)
    for factor in range(1, 21):
        scaled = [weight / smallest * factor for weight in weights]
        if sum(scaled) > _SLOTS + len(weights):
            break
        if all(abs(value - round(value)) < 1e-6 * value for value in scaled):
            return [round(value) for value in scaled]
    total = sum(weights)
    return [max(1, round(weight / total * _SLOTS)) for weight in weights]
