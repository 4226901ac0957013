"""Whether an app that has ended is started again, and after which pause. Pure."""

from __future__ import annotations

from typing import Final, Literal

Policy = Literal["no", "on-failure", "always"]

FIRST_PAUSE: Final = 0.25
LONGEST_PAUSE: Final = 15.0
STEADY: Final = 10.0
"""Seconds after which a run counts as well started: the next pause is the first one again."""


class Restarts:
    """The restarts of one app, by the policy its user chose."""

    def __init__(self, policy: Policy) -> None:
        self.count = 0
        """How often it was started again."""
        self._policy = policy
        self._short_runs = 0

    def __repr__(self) -> str:
        return f"<Restarts {self._policy}, {self.count} so far>"

    def pause(self, code: int, ran: float) -> float | None:
        """Seconds until the next run of an app that ran for `ran` seconds and ended with `code`; None for no other."""
        if self._policy == "no" or (self._policy == "on-failure" and code == 0):
            return None
        self._short_runs = 1 if ran >= STEADY else self._short_runs + 1
        self.count += 1
        return float(min(FIRST_PAUSE * 2.0 ** (self._short_runs - 1), LONGEST_PAUSE))
