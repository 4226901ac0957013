"""Which of many prefixes does a path begin with, segment by segment? A tree of dicts, one level for each segment.

A lookup costs one split and one dict access for each segment that the tree knows, however many prefixes there are and
however long the path is. Knows nothing of routes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Generic, TypeVar

V = TypeVar("V")


class Node(Generic[V]):
    """A place in the tree. Where it is one of the prefixes it has a value; `above` is the next shorter prefix."""

    __slots__ = ("above", "below", "nearest", "value")

    def __init__(self) -> None:
        self.below: dict[str, Node[V]] = {}
        self.value: V | None = None
        self.nearest: Node[V] | None = None
        """This one if it has a value, else `above`."""
        self.above: Node[V] | None = None


class SegmentTree(Generic[V]):
    """Values by prefix, without final slashes; the prefix "" is that of every path."""

    __slots__ = ("splits", "top")

    def __init__(self, values: Mapping[str, V]) -> None:
        self.top: Node[V] = Node()
        self.splits = 1 + max((prefix.count("/") for prefix in values), default=0)
        """How often a path is split at most: what is deeper than every prefix is of no interest."""
        for prefix, value in values.items():
            node = self.top
            for segment in prefix.split("/") if prefix else ():
                node = node.below.setdefault(segment, Node())
            node.value = value
        self._link()

    def nearest(self, path: str) -> Node[V] | None:
        """The longest prefix of `path`, from which `above` leads to the shorter ones."""
        node = self.top
        for segment in path.split("/", self.splits):
            below = node.below.get(segment)
            if below is None:
                break
            node = below
        return node.nearest

    def _link(self) -> None:
        """Connect each place with the prefixes on its way to the top. Not by recursion: prefixes may be deep."""
        nothing: dict[str, Node[V]] = {}
        todo: list[tuple[Node[V], Node[V] | None]] = [(self.top, None)]
        while todo:
            node, above = todo.pop()
            node.above = above
            node.nearest = above if node.value is None else node
            if not node.below:
                # One for all: ten thousand empty dicts of their own would be as many misses in the processor's cache.
                node.below = nothing
            todo += [(below, node.nearest) for below in node.below.values()]
