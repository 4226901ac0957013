"""The aliases of an app's names in a file without a name, which outlives the worker that gives them: the one that takes
its place still knows what an address means that the app was told before."""

from __future__ import annotations

import os
from typing import Final

from meshctl.core.aliases import Aliases

MOST_BYTES: Final = 4 << 20
"""The size from which on what holds no more is dropped."""


class JournaledAliases(Aliases):
    """Aliases that are written down, one line for each: its number and the name."""

    def __init__(self, handle: int) -> None:
        super().__init__()
        self._handle = handle
        self._size = os.fstat(handle).st_size
        for line in os.pread(handle, self._size, 0).decode("ascii").splitlines():
            number, _, name = line.partition(" ")
            self.give(name, int(number))

    def noted(self, name: str, number: int) -> None:
        """See `Aliases.noted`."""
        line = f"{number} {name}\n".encode("ascii")
        if self._size + len(line) > MOST_BYTES:
            line = "".join(f"{number} {name}\n" for name, number in self.numbers()).encode("ascii")
            os.ftruncate(self._handle, 0)
            self._size = 0
        self._size += os.pwrite(self._handle, line, self._size)
