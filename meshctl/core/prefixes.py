"""Which of many prefixes does a path begin with, segment by segment? One dict, asked from the longest possible on.

A path is cut to as many segments as the longest prefix has and then loses one after the other, so that a lookup costs
at most as many accesses as that has segments, and mostly one, however many prefixes there are and however long the path
is. Knows nothing of routes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Generic, TypeVar

V = TypeVar("V")


class Prefix(Generic[V]):
    """One of the prefixes, its value and the next shorter one."""

    __slots__ = ("above", "value")

    def __init__(self, value: V) -> None:
        self.value = value
        self.above: Prefix[V] | None = None


class Prefixes(Generic[V]):
    """Values by prefix, without final slashes; the prefix "" is that of every path."""

    __slots__ = ("all", "splits")

    def __init__(self, values: Mapping[str, V]) -> None:
        self.all = {prefix: Prefix(value) for prefix, value in values.items()}
        self.splits = 1 + max((prefix.count("/") for prefix in values), default=0)
        """How often a path is split at most: what is deeper than every prefix is of no interest."""
        for prefix, found in self.all.items():
            found.above = self._longest(prefix.rpartition("/")[0]) if prefix else None

    def nearest(self, path: str) -> Prefix[V] | None:
        """The longest prefix of `path`, from which `above` leads to the shorter ones."""
        segments = path.split("/", self.splits)
        if len(segments) > self.splits:
            path = path[: -1 - len(segments[-1])]
        return self._longest(path)

    def _longest(self, path: str) -> Prefix[V] | None:
        found = self.all.get(path)
        while found is None and path:
            path = path.rpartition("/")[0]
            found = self.all.get(path)
        return found
