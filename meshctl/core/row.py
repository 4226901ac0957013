"""Failures in a row, counted whether or not anything follows from them. Pure."""

from __future__ import annotations

from typing import Final

KEPT: Final = 300.0
"""Seconds for which they are told of: what failed long ago may be well by now."""


class Row:
    """How many requests have failed without one that was answered between them, when the last did, and why."""

    __slots__ = ("_at", "_count", "_reason")

    def __init__(self) -> None:
        self._count = 0
        self._at = 0.0
        self._reason = ""

    def __repr__(self) -> str:
        return f"<Row of {self._count}: {self._reason}>"

    def fail(self, reason: str, now: float) -> None:
        """One more."""
        self._count += 1
        self._at, self._reason = now, reason

    def end(self) -> None:
        """A request was answered."""
        self._count = 0

    def told(self, now: float) -> tuple[int, str]:
        """How many there are, and the reason of the last; none where that was long ago."""
        return (self._count, self._reason) if self._count and now - self._at < KEPT else (0, "")
