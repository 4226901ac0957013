"""An endpoint as balancers see it, for tests."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from random import Random


@dataclass(eq=False)
class Endpoint:
    """A `core.balancer.Candidate` that a test may change."""

    address: str
    weight: float = 1.0
    in_flight: int = 0
    ewma: float = 0.0


def endpoints(*weights: float) -> list[Endpoint]:
    """One endpoint for each weight, named e0, e1…"""
    return [Endpoint(f"e{index}", weight) for index, weight in enumerate(weights)]


def seeded(seed: int = 1) -> Callable[[], float]:
    """Dice that always show the same numbers."""
    return Random(seed).random


def scripted(values: Iterable[float]) -> Callable[[], float]:
    """Dice that show `values` in turn."""
    return iter(values).__next__
