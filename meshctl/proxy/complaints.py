"""Notices about what peers do wrong: told once, then at most every so often for each reason, with the number of those
that were not, so that a stranger who knocks all day fills no log."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from meshctl import clock

if TYPE_CHECKING:
    from meshctl.proxy.worker import Worker

TELL_EVERY: Final = 10.0
"""Seconds between two notices of one event and reason."""


class Complaints:
    """The notices of one worker. Reasons come from the proxy's vocabulary, so there is a bounded number of them."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._told: dict[tuple[str, str], tuple[float, int]] = {}

    def __repr__(self) -> str:
        return f"<Complaints {len(self._told)} kinds>"

    def tell(self, event: str, reason: str, **fields: str) -> None:
        """Something happened for a reason; `fields` are told where it is told."""
        now = clock.monotonic()
        last, untold = self._told.get((event, reason), (-TELL_EVERY, 0))
        if now - last < TELL_EVERY:
            self._told[event, reason] = last, untold + 1
            return
        self._told[event, reason] = now, 0
        told = {"reason": reason, **fields, "untold": str(untold) if untold else ""}
        self._worker.notice(event, is_trouble=True, **told)
