"""The same key to the same endpoint: a consistent ring, equal in every process that has the same endpoints."""

from __future__ import annotations

from bisect import bisect
from collections.abc import Container, Sequence
from hashlib import blake2b
from struct import Struct
from typing import Final

from meshctl.core.balancer import Balancer, C, Dice

# Points of the heaviest candidate. The shares of equal ones differ by about a twelfth: 1 / sqrt(128).
_POINTS: Final = 128
# One blake2b digest holds eight points of eight bytes.
_EIGHT: Final = Struct(">8Q")


class HashRing(Balancer[C]):
    """A key belongs to the candidate whose point follows it on the ring; without a key the draw is by weight.

    A candidate's points depend on its address alone and their number on its weight, so that one that comes to N others
    moves about 1/N of the keys, all of them to itself, and one that goes gives its keys to the rest.
    """

    __slots__ = ("_owners", "_points")

    def __init__(self, candidates: Sequence[C], start: int = 0) -> None:
        super().__init__(candidates, start)
        heaviest = max((each.weight for each in self.candidates), default=1.0)
        owners: dict[int, C] = {}
        for each in self.candidates:
            for point in _points(each.address, max(1, round(each.weight / heaviest * _POINTS))):
                owners[point] = each
        self._points = sorted(owners)
        self._owners = [owners[point] for point in self._points]

    def pick(self, key: str | None, dice: Dice) -> C | None:
        """The owner of `key`."""
        if len(self.candidates) < 2:
            return self.candidates[0] if self.candidates else None
        if key is None:
            return self.draw(dice)
        # Index -1 closes the ring: a key behind the last point belongs to the first.
        return self._owners[bisect(self._points, _position(key)) - len(self._points)]

    def pick_other(self, key: str | None, dice: Dice, tried: Container[C]) -> C | None:
        """The next owner along the ring that is not among `tried`: every process agrees on the second choice, too."""
        if key is None:
            return super().pick_other(key, dice, tried)
        start = bisect(self._points, _position(key)) - len(self._points)
        for at in range(start, start + len(self._points)):
            if self._owners[at] not in tried:
                return self._owners[at]
        return None


def _position(key: str) -> int:
    """Where on the ring `key` lies. Header values may hold any octet, so the encoding never fails."""
    return int.from_bytes(blake2b(key.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big")


def _points(address: str, count: int) -> list[int]:
    """The first `count` points of `address`."""
    found: list[int] = []
    for number in range(-(-count // 8)):
        found += _EIGHT.unpack(blake2b(f"{address}#{number}".encode()).digest())
    return found[:count]
