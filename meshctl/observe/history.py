"""What was counted in the last quarter of an hour, in slices of a few seconds, in bounded memory.

Lives in the supervisor. A slice holds the differences of those series that had requests in it, encoded: some eighty
bytes for each, nothing for one that rested. The last two minutes are kept in short slices, all of it in longer ones,
so that an answer is put together of a few dozen at most. With so many busy series that these would take more than
`MOST`, the oldest slices go first. The time comes from outside.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Final, NamedTuple

import msgspec

from meshctl.observe.sample import Key, SeriesSample, total

SPAN: Final = 900.0
"""Seconds that are kept."""
RECENT: Final = 120.0
"""Those of them that are kept in short slices."""
EVERY: Final = 5.0
"""Seconds that a short slice is long, or as long as from one sample to the next."""
LONG: Final = 30.0
"""And a long one."""
MOST: Final = 2 << 20
"""The bytes that the slices of either kind may take: a quarter of an hour of some seven hundred busy series."""

_ENCODER: Final = msgspec.msgpack.Encoder()
_DECODER: Final = msgspec.msgpack.Decoder(tuple[SeriesSample, ...])


class History:
    """The last quarter of an hour of one proxy."""

    __slots__ = ("_at", "_last", "_long", "_short")

    def __init__(self) -> None:
        self._short = _Ring(EVERY, RECENT)
        self._long = _Ring(LONG, SPAN)
        self._last: dict[Key, SeriesSample] = {}
        self._at = 0.0

    def __repr__(self) -> str:
        return f"<History {self._short}, {self._long}>"

    @property
    def size(self) -> int:
        """The bytes that its slices take."""
        return self._short.size + self._long.size

    def add(self, now: float, series: Mapping[Key, SeriesSample]) -> None:
        """Take what was counted until the monotonic time `now`. The first one is where counting starts."""
        self._last, self._at = dict(series), now
        self._short.add(now, self._last)
        self._long.add(now, self._last)

    def since(self, now: float, seconds: float) -> tuple[float, tuple[SeriesSample, ...]]:
        """What was counted in about the last `seconds`, and how many seconds these are in truth: less where it has not
        been counted for so long, a slice more where that does not begin with one."""
        ring = self._short if seconds <= RECENT and self._short.reaches(now - seconds) else self._long
        return ring.since(now - seconds, self._at, self._last)


class _Slice(NamedTuple):
    start: float
    end: float
    data: bytes


class _Ring:
    """Slices of one length."""

    __slots__ = ("_every", "_lost", "_slices", "_span", "_start", "_until", "size")

    def __init__(self, every: float, span: float) -> None:
        self._every = every
        self._span = span
        self._slices: deque[_Slice] = deque()
        self.size = 0
        self._until: dict[Key, SeriesSample] = {}
        """What was counted when the last slice ended, at `_start`."""
        self._start: float | None = None
        self._lost = float("-inf")
        """The end of the last slice that went."""

    def __repr__(self) -> str:
        return f"{len(self._slices)} slices of {self._every:g} s in {self.size} bytes"

    def add(self, now: float, series: dict[Key, SeriesSample]) -> None:
        """End a slice where it is time."""
        if self._start is None:
            self._until, self._start = series, now
        elif now - self._start >= self._every:
            changes = self._changes(series)
            self._keep(_Slice(self._start, now, _ENCODER.encode(changes) if changes else b""))
            self._until, self._start = series, now

    def reaches(self, begin: float) -> bool:
        """Whether all is here that was counted from `begin` on."""
        return self._lost <= begin

    def since(
        self, begin: float, now: float, series: dict[Key, SeriesSample]
    ) -> tuple[float, tuple[SeriesSample, ...]]:
        """What was counted from about `begin` until `now`, when it was `series`; and how many seconds these are."""
        if self._start is None:
            return 0.0, ()
        start, found = self._start, {each.key: [each] for each in self._changes(series)}
        for piece in reversed(self._slices):
            if piece.end <= begin:
                break
            start = piece.start
            for each in _DECODER.decode(piece.data) if piece.data else ():
                found.setdefault(each.key, []).append(each)
        return max(now - start, 0.0), tuple(map(total, found.values()))

    def _changes(self, series: dict[Key, SeriesSample]) -> tuple[SeriesSample, ...]:
        """What was counted since the last slice ended."""
        found = []
        for key, each in series.items():
            before = self._until.get(key)
            # Most series of a large configuration had no request since: those cost a comparison.
            if before is each or (before is not None and before.requests == each.requests):
                continue
            found.append(each.since(before))
        return tuple(found)

    def _keep(self, piece: _Slice) -> None:
        self._slices.append(piece)
        self.size += len(piece.data)
        while self._slices and (self._slices[0].end < piece.end - self._span or self.size > MOST):
            oldest = self._slices.popleft()
            self.size -= len(oldest.data)
            self._lost = oldest.end
