"""Rollouts: what somebody wants of one (`Plan`), what was measured, and what happened (`Event`)."""

from __future__ import annotations

from typing import Final, Literal

import msgspec

BASELINE: Final = "baseline"
"""What `--compare-to` calls all other versions together."""

Phase = Literal["running", "paused", "ramping", "promoted", "rolled_back", "aborted"]
"""running: stepping up. paused: held by somebody. ramping: on its way back, step by step. The others are ends."""

ENDED: Final[frozenset[Phase]] = frozenset({"promoted", "rolled_back", "aborted"})

Verdict = Literal["pass", "fail", "inconclusive"]


class Measured(msgspec.Struct, frozen=True):
    """What one side of a comparison did since its counting began. `requests` are those that clients did not give up
    before an answer, `errors` those of them that failed."""

    requests: int = 0
    errors: int = 0
    p99: float = 0.0
    """Seconds."""
    p90: float = 0.0
    given_up: int = 0
    """Requests that their clients gave up."""

    @property
    def error_rate(self) -> float:
        """Errors of requests, 0 to 1; 0 without any."""
        return self.errors / self.requests if self.requests else 0.0


class Plan(msgspec.Struct, frozen=True):
    """How a version is to take over."""

    to: str
    steps: tuple[float, ...] = (1.0, 5.0, 25.0, 50.0, 100.0)
    """Percentages, ascending. After the last one has passed its check the version gets everything."""
    every: float = 60.0
    """Seconds between two checks."""
    max_errors: float = 0.01
    """The share of errors that passes; with `compare` that much more than the baseline's."""
    max_p99: float = 0.0
    """The longest p99 that passes, in seconds; 0 asks nothing."""
    min_requests: int = 100
    """With fewer than these no check passes."""
    failures: int = 2
    """Failed checks in a row that roll back."""
    compare: str = ""
    """"baseline" or a version: what the new one must not be worse than; "" compares with nothing."""
    is_ramp: bool = False
    """Whether it goes back step by step instead of at once."""
    on_step: str = ""
    on_promote: str = ""
    on_rollback: str = ""
    gate: str = ""
    """A command that must succeed for a check to pass."""
    folder: str = "/"
    """Where commands run."""


class Event(msgspec.Struct, frozen=True):
    """Something that happened. `kind` is begin, step, check, hook, pause, resume, ramp or end."""

    at: float
    """When it happened; of what was found again and again, the first time."""
    kind: str
    text: str
    weight: float
    """What the version got from then on, in percent."""
    verdict: Verdict | None = None
    new: Measured | None = None
    old: Measured | None = None
    count: int = 1
    """How often the same was found in a row: a rollout that waits for requests says so once."""
