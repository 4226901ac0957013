"""What was measured, as plain values: rounds, their medians, and ratios between contenders of one run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import median

from .load import Answered
from .noise import Disturbance
from .tree import Memory


@dataclass(frozen=True, slots=True)
class Round:
    """One contender under load once. `share` is the part of its CPU that its busiest process used.

    `log_bytes` is what it logged per request: nothing there would be a comparison with a proxy that does less.
    """

    number: int
    cpu_micros: float
    share: float
    answered: Answered
    log_bytes: float = 0.0


@dataclass(slots=True)
class Measured:
    """Everything about one contender; `error` says why rounds are missing, `missing` the headers upstream never got."""

    label: str
    rounds: list[Round] = field(default_factory=list)
    idle: Memory | None = None
    loaded: Memory | None = None
    error: str = ""
    missing: list[str] = field(default_factory=list)

    def middle(self, figure: Callable[[Round], float]) -> float | None:
        """The median of a figure over the rounds."""
        return median(map(figure, self.rounds)) if self.rounds else None


@dataclass(frozen=True, slots=True)
class Outcome:
    """One scenario, measured."""

    name: str
    title: str
    references: tuple[str, ...]
    is_bulk: bool
    is_own: bool
    rows: list[Measured]
    disturbance: Disturbance

    def row(self, label: str) -> Measured | None:
        """The contender called `label`."""
        return next((row for row in self.rows if row.label == label), None)


def cpu(round_: Round) -> float:
    """CPU microseconds per request."""
    return round_.cpu_micros


def throughput(round_: Round) -> float:
    """Requests per second."""
    return round_.answered.rate


def ratio(ours: Sequence[Round], theirs: Sequence[Round], figure: Callable[[Round], float] = cpu) -> float | None:
    """The median over common rounds of `figure` of ours by theirs: what disturbs a round disturbs both."""
    by_number = {round_.number: figure(round_) for round_ in theirs}
    pairs = [(figure(round_), by_number[round_.number]) for round_ in ours if round_.number in by_number]
    quotients = [mine / other for mine, other in pairs if other]
    return median(quotients) if quotients else None
