"""A JSON document with some of its parts kept, taken out, renamed, moved and set, by the paths of `core.json_path`.

A document must be one that everybody reads alike: an object with the same name twice, a number that is none and nesting
beyond `DEEPEST` are refused. Pure; numbers with a fraction are those of IEEE 754.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from math import isinf
from typing import Any, Final

from meshctl.core.json_path import Path, parse
from meshctl.model.passing import JsonEdits

DEEPEST: Final = 64
MEDIA: Final = ("application/json", "application/*+json")
"""The media types of JSON."""
_NOTHING: Final = object()


class Edits:
    """Edits whose paths have been read."""

    __slots__ = ("_keep", "_move", "_remove", "_rename", "_set")

    def __init__(self, edits: JsonEdits) -> None:
        self._keep = tuple(map(parse, edits.keep))
        self._remove = tuple(map(parse, edits.remove))
        self._rename = tuple((parse(path), name) for path, name in edits.rename)
        self._move = tuple((parse(old), parse(new)) for old, new in edits.move)
        self._set = tuple((parse(path), said) for path, said in edits.set)

    def edited(self, body: bytes) -> bytes:
        """The document with the edits. Raises ValueError."""
        return encode(self.apply(decode(body)))

    def apply(self, document: Any) -> Any:
        """A decoded document with the edits, in this order: keep, remove, rename, move, set; it is changed itself."""
        if self._keep:
            found = _kept(document, self._keep)
            document = type(document)() if found is _NOTHING and isinstance(document, dict | list) else found
            if document is _NOTHING:
                document = None
        for path in self._remove:
            _take(document, (path,))
        for path, name in self._rename:
            for holder, key in list(_places(document, (path,))):
                _rename(holder, key, name)
        for old, new in self._move:
            taken = _take(document, (old,))
            if taken:
                document = _put(document, new, taken[0])
        for path, said in self._set:
            document = _put(document, path, json.loads(said))
        return document


def encode(document: Any) -> bytes:
    """A document as JSON without needless space."""
    try:
        return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()
    except UnicodeEncodeError:  # half a surrogate pair, which JSON can write as an escape alone
        return json.dumps(document, separators=(",", ":")).encode()


def decode(body: bytes) -> Any:
    """The document in `body`. Raises ValueError where it is none that everybody reads alike."""
    try:
        document = _DECODER.decode(body.decode("utf-8"))
    except RecursionError:
        raise ValueError(f"is nested more than {DEEPEST} deep") from None
    except UnicodeDecodeError as error:
        raise ValueError(f"is not UTF-8 at byte {error.start}") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"is not JSON at line {error.lineno}, column {error.colno}") from None
    except ValueError as error:
        if str(error).startswith("Exceeds the limit"):  # in Python's words
            raise ValueError("has a number with too many digits") from None
        raise
    if body.count(b"[") + body.count(b"{") > DEEPEST and is_deeper(document, DEEPEST):
        raise ValueError(f"is nested more than {DEEPEST} deep")
    return document


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("has an object with a name twice")
    return found


def _number(said: str) -> float:
    found = float(said)
    if isinf(found):
        raise ValueError(f"has {said[:20]}, which is too large a number")
    return found


def _no_number(said: str) -> Any:
    raise ValueError(f"has {said}, which is no number of JSON")


# One for all: to make one takes as long as it takes to read a small document.
_DECODER: Final = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_no_number, parse_float=_number)


def is_deeper(document: Any, deepest: int) -> bool:
    """Whether more objects and lists than `deepest` are within each other."""
    level = [document] if isinstance(document, dict | list) else []
    for _ in range(deepest):
        level = [
            each
            for holder in level
            for each in (holder.values() if type(holder) is dict else holder)
            if type(each) is dict or type(each) is list
        ]
        if not level:
            return False
    return True


def _steps(value: Any) -> Iterator[tuple[str | int, Any]]:
    if isinstance(value, dict):
        yield from value.items()
    elif isinstance(value, list):
        yield from enumerate(value)


def _after(paths: Sequence[Path], step: str | int) -> tuple[Path, ...]:
    """What is left of the paths behind `step`."""
    found = []
    for path in paths:
        first = path[0]
        if first.is_deep:
            found.append(path)
        if first.kind == "any" or (type(step) is type(first.value) and step == first.value):
            found.append(path[1:])
    return tuple(found)


def _places(value: Any, paths: Sequence[Path]) -> Iterator[tuple[Any, Any]]:
    """Where what the paths mean is: its holder and its name or position there, the last ones of a list first."""
    for step, each in reversed(list(_steps(value))):
        rest = _after(paths, step)
        further = [path for path in rest if path]
        if further:
            yield from _places(each, further)
        if len(further) < len(rest):
            yield value, step


def _kept(value: Any, paths: Sequence[Path]) -> Any:
    kept = []
    for step, each in _steps(value):
        rest = _after(paths, step)
        if rest:
            found = each if () in rest else _kept(each, rest)
            if found is not _NOTHING:
                kept.append((step, found))
    if not kept:
        return _NOTHING
    return dict(kept) if isinstance(value, dict) else [each for _, each in kept]


def _take(document: Any, paths: Sequence[Path]) -> list[Any]:
    """Take out what the paths mean; the values."""
    return [holder.pop(key) for holder, key in list(_places(document, paths))]


def _rename(holder: Any, key: Any, name: str) -> None:
    """Give a member another name at its place; one that has that name already gives way."""
    if isinstance(holder, dict):
        pairs = [
            (name if each == key else each, value) for each, value in holder.items() if each == key or each != name
        ]
        holder.clear()
        holder.update(pairs)


def _put(document: Any, path: Path, value: Any) -> Any:
    """Put a value where the path says; objects are made on the way, and what is no object there gives way to one. A
    document that is none itself stays as it is."""
    if not isinstance(document, dict):
        return document
    holder = document
    for segment in path[:-1]:
        name = str(segment.value)
        if not isinstance(holder.get(name), dict):
            holder[name] = {}
        holder = holder[name]
    holder[str(path[-1].value)] = value
    return document
