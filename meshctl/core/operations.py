"""Which operation of an API is a request? By its method and its path, whose names in braces stand for what may vary.

A path that is written out comes before one with names, segment by segment from the left. Pure; knows nothing of what an
operation asks for.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Final, Generic, TypeVar
from urllib.parse import unquote

from meshctl.core.paths import normalise

T = TypeVar("T")
_NAME: Final = re.compile(r"\{([^{}]*)\}")
_LONGEST_SHARED: Final = 256


def shape(path: str) -> str:
    """The path with nameless braces: two of one shape are the same path. Raises ValueError where it is none.

    >>> shape("/pets/{id}/tags/{name}.json")
    '/pets/{}/tags/{}.json'
    """
    parts = _NAME.split(path)
    names = parts[1::2]
    if "" in names:
        raise ValueError("has braces without a name")
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ValueError(f'has the name "{twice}" twice')
    return "{}".join(map(_written, parts[::2]))


class Operations(Generic[T]):
    """Operations by path and method; those of `operations` are pairs of method, path as the document has it, and what
    is found for them. They stand under `root`."""

    def __init__(self, operations: Iterable[tuple[str, str, T]], root: str) -> None:
        self._root = root
        self._plain: dict[str, Item[T]] = {}
        self._first = _Node[T]()
        for method, path, target in operations:
            item = self._first.add(path) if "{" in path else self._plain.setdefault(_written(path), Item(()))
            item.methods[method] = target

    def __repr__(self) -> str:
        return f"<Operations under {self._root or '/'}>"

    def find(self, path: str) -> tuple[Item[T], tuple[str, ...]] | None:
        """What the document has at a normalised path, and the values of its names; None where it has nothing."""
        root = self._root
        if root:
            if not path.startswith(root):
                return None
            path = path[len(root) :] or "/"
            if path[0] != "/":
                return None
        item = self._plain.get(path)
        if item is not None:
            return item, ()
        values: list[str] = []
        found = self._first.find(path.split("/"), 1, values)
        if found is None:
            return None
        return found, tuple(unquote(each) if "%" in each else each for each in values)


class Item(Generic[T]):
    """One path: what each method is, and the names whose values are found with it."""

    __slots__ = ("methods", "names")

    def __init__(self, names: tuple[str, ...]) -> None:
        self.names = names
        self.methods: dict[str, T] = {}

    @property
    def allowed(self) -> str:
        """The methods, as the Allow field has them (RFC 9110 §10.2.1). Who may GET may ask for the head alone."""
        found = {*self.methods, *(("HEAD",) if "GET" in self.methods else ())}
        return ", ".join(sorted(found))

    def find(self, method: str) -> T | None:
        """What `method` is."""
        found = self.methods.get(method)
        return self.methods.get("GET") if found is None and method == "HEAD" else found


class _Node(Generic[T]):
    """What may follow in a path: segments that are written out, then those with names, the longest first."""

    __slots__ = ("item", "named", "plain")

    def __init__(self) -> None:
        self.plain: dict[str, _Node[T]] = {}
        self.named: list[tuple[str, Callable[[str], re.Match[str] | None], _Node[T]]] = []
        self.item: Item[T] | None = None

    def add(self, path: str) -> Item[T]:
        node = self
        for segment in path.split("/")[1:]:
            node = node._after(segment)
        if node.item is None:
            node.item = Item(tuple(_NAME.findall(path)))
        return node.item

    def find(self, segments: list[str], at: int, values: list[str]) -> Item[T] | None:
        if at == len(segments):
            return self.item
        segment = segments[at]
        following = self.plain.get(segment)
        if following is not None:
            found = following.find(segments, at + 1, values)
            if found is not None:
                return found
        for _, fits, following in self.named:
            match = fits(segment)
            if match is not None:
                count = len(values)
                values += match.groups()
                found = following.find(segments, at + 1, values)
                if found is not None:
                    return found
                del values[count:]
        return None

    def _after(self, segment: str) -> _Node[T]:
        parts = _NAME.split(segment)
        if len(parts) == 1:
            return self.plain.setdefault(_written(segment), _Node())
        # Where several names share a segment, the time grows faster than its length.
        text = rf"(?=.{{0,{_LONGEST_SHARED}}}\Z)" if len(parts) > 3 else ""
        text += "([^/]+?)".join(re.escape(_written(part)) for part in parts[::2])
        for known, _, node in self.named:
            if known == text:
                return node
        node = _Node[T]()
        self.named.append((text, re.compile(text).fullmatch, node))
        # Stable, so that what the document has first stays so among equals.
        self.named.sort(key=lambda each: -len(each[0]))
        return node


def _written(text: str) -> str:
    """A part of a path as requests have it."""
    if "/." in f"/{text}":
        # Dots would take segments along, and no request comes with any.
        return text
    return normalise(text) if text.startswith("/") else normalise(f"/{text}")[1:]
