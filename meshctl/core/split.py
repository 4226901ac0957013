"""Which version takes this request? By a draw, or by a bucket that keeps a user on one version while the weights
move."""

from __future__ import annotations

from bisect import bisect
from collections.abc import Sequence
from hashlib import blake2b
from itertools import accumulate
from typing import Final, Generic, TypeVar

T = TypeVar("T")

BUCKETS: Final = 10_000
"""A bucket is a hundredth of a percent of the keys."""


def bucket(key: str, salt: str) -> int:
    """The bucket of `key`, 0 to 9999, the same in every process. `salt` (the service's name) keeps services apart:
    otherwise the same users would be the first on every canary."""
    text = f"{salt}\0{key}".encode("utf-8", "surrogatepass")
    return int.from_bytes(blake2b(text, digest_size=8).digest(), "big") % BUCKETS


class Split(Generic[T]):
    """Versions with their weights; those of weight 0 are never chosen. Raises ValueError where none has a weight.

    Buckets are laid out so that a shift moves only the keys it has to: the first version declared (the stable one) has
    whatever the others leave; the second grows from bucket 0 upwards, the third from 9999 downwards, the fourth from
    5000 upwards, the fifth from 4999 downwards, then from the quarters. A version that grows from 5 % to 10 % thus
    keeps its 5 % and takes 5 % of the first one's keys; nobody else moves. Only where two grow into each other, which
    takes five versions or a fourth of more than half, does the later declared one make room.
    """

    __slots__ = ("_borders", "_buckets", "_live", "_versions", "_weights")

    def __init__(self, versions: Sequence[tuple[T, float]]) -> None:
        self._versions = tuple(version for version, _ in versions)
        self._weights = tuple(max(weight, 0.0) for _, weight in versions)
        total = sum(self._weights)
        if total <= 0:
            raise ValueError("expected a version with a weight above 0")
        live = [
            (version, weight / total)
            for version, weight in zip(self._versions, self._weights, strict=True)
            if weight > 0
        ]
        # The inner borders alone: whatever the dice show, bisect gives an index in range.
        self._live = tuple(version for version, _ in live)
        self._borders = tuple(accumulate(share for _, share in live[:-1]))
        self._buckets: tuple[T, ...] = ()

    def draw(self, dice: float) -> T:
        """The version for a dice in [0, 1)."""
        return self._live[bisect(self._borders, dice)]

    def by_bucket(self, number: int) -> T:
        """The version of bucket `number`."""
        if not self._buckets:
            # Laid out when first asked: most services are not sticky.
            self._buckets = tuple(self._versions[index] for index in _lay_out(_quotas(self._weights)))
        return self._buckets[number]

    def __repr__(self) -> str:
        parts = ", ".join(
            f"{version}={weight:g}" for version, weight in zip(self._versions, self._weights, strict=True)
        )
        return f"Split({parts})"


def _quotas(weights: Sequence[float]) -> list[int]:
    """How many buckets each weight gets: 10000 in sum, rounded by largest remainder, none without a weight."""
    total = sum(weights)
    exact = [weight / total * BUCKETS for weight in weights]
    quotas = [int(share) for share in exact]
    by_remainder = sorted(range(len(weights)), key=lambda index: (quotas[index] - exact[index], index))
    for index in by_remainder[: BUCKETS - sum(quotas)]:
        quotas[index] += 1
    return quotas


def _lay_out(quotas: Sequence[int]) -> list[int]:
    """The index of the version in each bucket, by the rule of `Split`."""
    owners = [0] * BUCKETS
    for index in range(1, len(quotas)):
        anchor, step = _anchor(index)
        left = quotas[index]
        for distance in range(BUCKETS):
            if not left:
                break
            at = (anchor + step * distance) % BUCKETS
            if owners[at] == 0:
                owners[at] = index
                left -= 1
    return owners


def _anchor(index: int) -> tuple[int, int]:
    """Where the version at `index` (1 and up) begins, and in which direction it grows. Pairs stand back to back at 0,
    1/2, 1/4, 3/4, 1/8…, so that a place never depends on how many versions there are."""
    pair, is_second = divmod(index - 1, 2)
    place, denominator = 0.0, 1
    while pair:
        pair, bit = divmod(pair, 2)
        denominator *= 2
        place += bit / denominator
    start = int(place * BUCKETS)
    return (start - 1, -1) if is_second else (start, 1)
