"""In what do two answers to one request differ? Status, chosen fields, bodies: JSON by what it says, with places left
out that may differ, everything else by its bytes. Pure; whose answers they are and what follows is not known here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec

from meshctl.core.json_path import Path, Place, means, written
from meshctl.model.steering import Difference, Shown

MOST: Final = 5
"""Differences told of one pair of answers; there may be more."""
MOST_VALUES: Final = 20_000
"""Values of two documents that are looked at, so that a comparison takes milliseconds."""
LONGEST_VALUE: Final = 60
"""Characters shown of a value."""
HIDDEN: Final = "(not shown)"

_SECRET_FIELDS: Final = frozenset(
    ("authorization", "proxy-authorization", "cookie", "set-cookie", "www-authenticate", "proxy-authenticate")
)
_SECRET: Final = re.compile(r"passw|secret|token|api.?key|credential|authoriz|cookie|session|private", re.IGNORECASE)
_ABSENT: Final = object()


class TooMuch(Exception):  # noqa: N818 - the documents are
    """The documents have more values than are looked at, and the first of them are the same."""


def differences(original: Shown, copy: Shown, ignore: Sequence[Path] = ()) -> tuple[Difference, ...]:
    """The first few things in which the answers differ; none where they are the same. Raises TooMuch."""
    found: list[Difference] = []
    try:
        for each in _differences(original, copy, ignore):
            found.append(each)
            if len(found) == MOST:
                break
    except TooMuch:
        if not found:
            raise
    return tuple(found)


def is_secret(name: str) -> bool:
    """Whether values of a field or member of that name are not shown to anybody."""
    return name.lower() in _SECRET_FIELDS or _SECRET.search(name) is not None


def _differences(original: Shown, copy: Shown, ignore: Sequence[Path]) -> Iterator[Difference]:
    if original.status != copy.status:
        yield Difference("status", str(original.status), str(copy.status))
    yield from _fields(original.fields, copy.fields)
    if original.body == copy.body:
        return
    ours, theirs = _document(original), _document(copy)
    if ours is _ABSENT or theirs is _ABSENT:
        yield Difference("body", _bytes(original.body), _bytes(copy.body))
        return
    yield from _values(ours, theirs, ignore)


def _fields(original: Mapping[str, str], copy: Mapping[str, str]) -> Iterator[Difference]:
    for name in sorted(original.keys() | copy.keys()):
        ours, theirs = original.get(name, ""), copy.get(name, "")
        if ours != theirs:
            hidden = is_secret(name)
            yield Difference(name, HIDDEN if hidden else _short(ours), HIDDEN if hidden else _short(theirs))


def _document(shown: Shown) -> object:
    """The body as JSON, or nothing where it is not said or found to be that."""
    kind = shown.fields.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json" and not kind.endswith("+json"):
        return _ABSENT
    try:
        document: object = msgspec.json.decode(shown.body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _ABSENT
    return document


def _values(original: object, copy: object, ignore: Sequence[Path]) -> Iterator[Difference]:
    """Where two documents differ, in order. A stack and no recursion: what comes from outside may be deep."""
    waiting: list[tuple[Place, object, object]] = [((), original, copy)]
    left = MOST_VALUES
    while waiting:
        left -= 1
        if left < 0:
            raise TooMuch
        place, ours, theirs = waiting.pop()
        if ignore and place and means(ignore, place):
            continue
        pairs = _inside(ours, theirs)
        if pairs is None:
            if not _same(ours, theirs):
                hidden = any(isinstance(step, str) and is_secret(step) for step in place)
                yield Difference(
                    written(place), HIDDEN if hidden else _value(ours), HIDDEN if hidden else _value(theirs)
                )
            continue
        waiting.extend((((*place, step), one, other) for step, one, other in reversed(pairs)))


def _inside(ours: object, theirs: object) -> list[tuple[str | int, object, object]] | None:
    """What two objects or two arrays have inside, side by side; None for anything else."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        names = [*ours, *(name for name in theirs if name not in ours)]
        return [(name, ours.get(name, _ABSENT), theirs.get(name, _ABSENT)) for name in names]
    if isinstance(ours, list) and isinstance(theirs, list):
        return [(at, _at(ours, at), _at(theirs, at)) for at in range(max(len(ours), len(theirs)))]
    return None


def _at(values: list[Any], at: int) -> object:
    return values[at] if at < len(values) else _ABSENT


def _same(ours: object, theirs: object) -> bool:
    # To Python true is 1; 1 and 1.0 are one number in JSON.
    return isinstance(ours, bool) == isinstance(theirs, bool) and ours == theirs


def _value(value: object) -> str:
    if value is _ABSENT:
        return "(not there)"
    # What lies inside may be secret, and long.
    if isinstance(value, dict):
        return f"(an object of {len(value)})"
    if isinstance(value, list):
        return f"(an array of {len(value)})"
    return _short(msgspec.json.encode(value).decode())


def _bytes(body: bytes) -> str:
    text = body[: 4 * LONGEST_VALUE].decode("utf-8", "replace")
    start = "".join(character if character.isprintable() else "·" for character in text)
    # A secret may stand anywhere in a text.
    return f"{len(body)} bytes: {HIDDEN if _SECRET.search(start) else _short(start)}" if body else "0 bytes"


def _short(text: str) -> str:
    return text if len(text) <= LONGEST_VALUE else f"{text[: LONGEST_VALUE - 1]}…"
