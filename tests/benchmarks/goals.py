"""What was promised, in one table, and whether a run kept it. It only compares; figures come from elsewhere."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Goal:
    """A figure of meshctl, a ratio unless it names a unit: the limit it must keep and the aim. With `at_least` more is
    better."""

    figure: str
    limit: float
    aim: float
    at_least: bool = False

    def verdict(self, value: float) -> str:
        """`aim`, `limit` or `missed`: the best of the promises that `value` keeps."""
        if self._keeps(value, self.aim):
            return "aim"
        return "limit" if self._keeps(value, self.limit) else "missed"

    def _keeps(self, value: float, bound: float) -> bool:
        return value >= bound if self.at_least else value <= bound


GOALS = (
    Goal("10-routes: CPU ÷ envoy", 0.6, 0.45),
    Goal("10-routes: CPU ÷ nginx", 2.0, 1.5),
    Goal("changing: CPU ÷ envoy", 0.6, 0.45),
    Goal("changing: CPU ÷ nginx", 2.0, 1.5),
    Goal("1000-routes: CPU ÷ envoy", 0.6, 0.45),
    Goal("1000-routes: CPU ÷ nginx", 2.0, 1.5),
    Goal("10000-routes: CPU ÷ 10 routes", 1.15, 1.0),
    Goal("tls: CPU ÷ envoy", 0.65, 0.5),
    Goal("download: rate ÷ nginx", 0.7, 1.0, at_least=True),
    Goal("upload: rate ÷ nginx", 0.7, 1.0, at_least=True),
    Goal("workers: CPU ÷ 1 worker", 1.1, 1.0),
    Goal("policies: CPU ÷ no policies", 1.15, 1.1),
    Goal("traced: CPU ÷ neither", 1.08, 1.04),
    Goal("tapped: CPU ÷ alone", 1.3, 1.15),
    Goal("filters: API key µs", 3.0, 2.0),
    Goal("filters: JWT, seen before µs", 5.0, 3.0),
    Goal("filters: rate limit µs", 3.0, 2.0),
    Goal("filters: header set and removed µs", 3.0, 2.0),
    Goal("filters: header from a template µs", 3.0, 2.0),
    Goal("filters: response header set µs", 3.0, 2.0),
    Goal("filters: CORS µs", 2.0, 1.5),
    Goal("filters: first JWT ÷ library", 1.3, 1.1),
    Goal("hop: CPU ÷ envoy", 0.6, 0.5),
    Goal("hop: added p99 ÷ envoy", 1.0, 0.8),
    Goal("handshakes: rate ÷ envoy", 0.7, 1.0, at_least=True),
    Goal("memory: idle ÷ envoy", 0.75, 0.5),
    Goal("wrap-memory: idle ÷ envoy", 0.75, 0.6),
    Goal("discovery: worst ms", 150.0, 100.0),
    Goal("discovery: idle % of a core", 1.0, 0.5),
    Goal("stat: stat median ms", 1000.0, 500.0),
    Goal("stat: status median ms", 1000.0, 500.0),
    Goal("startup: --version ÷ python", 5.0, 5.0),
    Goal("startup: --help ÷ python", 12.0, 12.0),
)


def judged(figures: Mapping[str, float]) -> Iterator[tuple[Goal, float, str]]:
    """Each goal that has a figure in this run, the figure, and the verdict."""
    for goal in GOALS:
        value = figures.get(goal.figure)
        if value is not None:
            yield goal, value, goal.verdict(value)
