"""What every balancing policy promises, and the draw by weight that several of them share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from bisect import bisect
from collections.abc import Callable, Container, Sequence
from itertools import accumulate
from math import floor
from typing import Generic, Protocol, TypeVar


class Candidate(Protocol):
    """An endpoint as balancers see it. The proxy keeps these fields current."""

    @property
    def address(self) -> str:
        """The endpoint's name, the same in every process."""

    @property
    def weight(self) -> float:
        """Its share relative to the others; 0 takes nothing."""

    @property
    def in_flight(self) -> int:
        """Requests it has not answered yet."""

    @property
    def ewma(self) -> float:
        """Its latency in seconds by `balance.observe`; 0 is unknown."""


C = TypeVar("C", bound=Candidate)
Dice = Callable[[], float]


class Balancer(ABC, Generic[C]):
    """Chooses among `candidates`, those without weight left out. `start` sets workers apart where order matters."""

    __slots__ = ("_bounds", "candidates")

    def __init__(self, candidates: Sequence[C], start: int = 0) -> None:
        self.candidates = tuple(each for each in candidates if each.weight > 0)
        # Where each candidate's slice of the whole ends; empty for equal weights, which need no search.
        self._bounds: tuple[float, ...] = () if _are_equal(self.candidates) else bounds(self.candidates)

    @abstractmethod
    def pick(self, key: str | None, dice: Dice) -> C | None:
        """The endpoint for the next request, or None where there is no candidate. `key` counts for hash alone."""

    def pick_other(self, key: str | None, dice: Dice, tried: Container[C]) -> C | None:
        """An endpoint for another attempt that is not among `tried`, or None where all are."""
        for _ in range(3):
            chosen = self.pick(key, dice)
            if chosen is None or chosen not in tried:
                return chosen
        rest = [each for each in self.candidates if each not in tried]
        return rest[bisect(bounds(rest), dice())] if rest else None

    def draw(self, dice: Dice) -> C:
        """One candidate by weight. There must be one."""
        if self._bounds:
            return self.candidates[bisect(self._bounds, dice())]
        return self.candidates[floor(dice() * len(self.candidates))]

    def __repr__(self) -> str:
        return f"{type(self).__name__}({len(self.candidates)} candidates)"


def bounds(candidates: Sequence[Candidate]) -> tuple[float, ...]:
    """The inner borders of the candidates' slices of [0, 1); `bisect` with a dice finds an index in range, always."""
    total = sum(each.weight for each in candidates)
    return tuple(accumulate(each.weight / total for each in candidates[:-1]))


def _are_equal(candidates: Sequence[Candidate]) -> bool:
    return len({each.weight for each in candidates}) <= 1
