"""What all workers of a proxy count together: rates and quotas by key, in memory that they share.

The supervisor makes it before the first fork; every worker, one that was started again included, is born with it. So a
request costs no message to anybody, whichever worker it came to. Only memory that is used is taken from the system.
"""

from __future__ import annotations

import mmap
from typing import Final

from meshctl.core.cells import Cells

RATES: Final = 2 << 20
"""Bytes for rates: 114,688 keys that are not at rest. Others share numbers with their like until there is room."""
QUOTAS: Final = 1 << 20
"""Bytes for the quotas of a day, and as many for those of a month: 57,344 keys each."""


class Meters:
    """See the module."""

    def __init__(self) -> None:
        memory = memoryview(mmap.mmap(-1, RATES + 2 * QUOTAS))
        self.rates = Cells(memory[:RATES])
        """By key and limit: the time of rest on the monotonic clock, which is the same for all processes."""
        self.days = Cells(memory[RATES : RATES + QUOTAS])
        """By key, quota and day: requests so far."""
        self.months = Cells(memory[RATES + QUOTAS :])

    def __repr__(self) -> str:
        return f"<Meters {self.rates!r}>"
