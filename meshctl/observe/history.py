"""What was counted in the last quarter of an hour, in slices of a few seconds, in bounded memory.

Lives in the supervisor. A slice holds the differences of those series that had requests in it, encoded: some hundred
bytes for each, nothing for one that rested. With so many busy series that a quarter of an hour of them would take more
than `MOST`, the oldest slices go first. The time comes from outside.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Final, NamedTuple

import msgspec

from meshctl.observe.sample import Key, SeriesSample

SPAN: Final = 900.0
"""Seconds that are kept."""
EVERY: Final = 5.0
"""Seconds that a slice is long, or as long as from one sample to the next."""
MOST: Final = 4 << 20
"""The bytes that all slices together may take: a quarter of an hour of some two hundred busy series."""

_ENCODER: Final = msgspec.msgpack.Encoder()
_DECODER: Final = msgspec.msgpack.Decoder(tuple[SeriesSample, ...])


class _Slice(NamedTuple):
    start: float
    end: float
    data: bytes


class History:
    """The last quarter of an hour of one proxy."""

    __slots__ = ("_at", "_last", "_size", "_slices", "_start", "_until")

    def __init__(self) -> None:
        self._slices: deque[_Slice] = deque()
        self._size = 0
        self._until: dict[Key, SeriesSample] = {}
        """What was counted when the last slice ended, at `_start`."""
        self._start: float | None = None
        self._last: dict[Key, SeriesSample] = {}
        self._at = 0.0

    def __repr__(self) -> str:
        return f"<History {len(self._slices)} slices, {self._size} bytes>"

    @property
    def size(self) -> int:
        """The bytes that its slices take."""
        return self._size

    def add(self, now: float, series: Mapping[Key, SeriesSample]) -> None:
        """Take what was counted until the monotonic time `now`. The first one is where counting starts."""
        self._last, self._at = dict(series), now
        if self._start is None:
            self._until, self._start = self._last, now
        elif now - self._start >= EVERY:
            changes = self._changes()
            self._keep(_Slice(self._start, now, _ENCODER.encode(changes) if changes else b""))
            self._until, self._start = self._last, now

    def since(self, now: float, seconds: float) -> tuple[float, tuple[SeriesSample, ...]]:
        """What was counted in about the last `seconds`, and how many seconds these are in truth: less where it has not
        been counted for so long, a slice more where that does not begin with one."""
        if self._start is None:
            return 0.0, ()
        start, found = self._start, {each.key: each for each in self._changes()}
        for piece in reversed(self._slices):
            if piece.end <= now - seconds:
                break
            start = piece.start
            for each in _DECODER.decode(piece.data) if piece.data else ():
                found[each.key] = found[each.key].plus(each) if each.key in found else each
        return max(self._at - start, 0.0), tuple(found.values())

    def _changes(self) -> tuple[SeriesSample, ...]:
        """What was counted since the last slice ended."""
        found = []
        for key, series in self._last.items():
            before = self._until.get(key)
            # Most series of a large configuration had no request since: those cost a comparison.
            if before is series or (before is not None and before.requests == series.requests):
                continue
            found.append(series.since(before))
        return tuple(found)

    def _keep(self, piece: _Slice) -> None:
        self._slices.append(piece)
        self._size += len(piece.data)
        while self._slices and (self._slices[0].end < piece.end - SPAN or self._size > MOST):
            self._size -= len(self._slices.popleft().data)
