"""How much traffic does a new endpoint get? It warms up: its share grows from a tenth to the whole in a straight
line."""

from __future__ import annotations

from typing import Final

FIRST: Final = 0.1
"""The share at the start: enough to warm caches and to see whether it works."""


def effective_weight(weight: float, age: float, slow_start: float) -> float:
    """The weight of an endpoint `age` seconds after it appeared, with a `slow_start` of so many seconds; 0 is at
    once."""
    if age >= slow_start:
        return weight
    return weight * (FIRST + (1.0 - FIRST) * max(age, 0.0) / slow_start)
