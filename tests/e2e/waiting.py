"""Waiting for a condition, with a deadline: the only place in these tests that sleeps."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

_T = TypeVar("_T")

PATIENCE = 60.0
"""Seconds that anything may take on a busy machine before it counts as never."""


def until(ask: Callable[[], _T], what: str, *, timeout: float = PATIENCE, every: float = 0.02) -> _T:
    """The first true answer of `ask`. Fails the test, saying what was awaited, where none comes in time."""
    deadline = time.monotonic() + timeout
    while True:
        answer = ask()
        if answer:
            return answer
        assert time.monotonic() < deadline, f"waited {timeout:g} s for {what}; last: {answer!r}"
        time.sleep(every)
