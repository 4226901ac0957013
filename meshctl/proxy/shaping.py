"""How a route changes heads on their way: its edits of headers and of the query, compiled to what can be done quickly.

What has no variables is bytes before any request comes. What has some is made for each, and is left out where it could
not stand in a header: nothing that a client sends begins a new line (RFC 9110 §5.5).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import partial
from itertools import product
from typing import TYPE_CHECKING, Final

from meshctl.core.match import PATTERNS
from meshctl.core.paths import replace_prefix
from meshctl.core.query_edits import edited, encoded
from meshctl.core.template import literal, parse
from meshctl.model.route import HeaderEdits, PathMatch, QueryEdits, Route
from meshctl.proxy.variables import Value, captures, text
from meshctl.wire.fields import CRLF, Fields, make, without

if TYPE_CHECKING:
    from collections.abc import Callable

    from meshctl.proxy.exchange import Exchange

_MOST_HYPHENS: Final = 4


def dropped(edits: HeaderEdits) -> frozenset[bytes]:
    """The names of fields that give way to the edits. What is made of who calls is also dropped as services behind CGI
    would read it, with "_" for "-"."""
    names = {*edits.remove, *(name for name, _ in edits.set)}
    for name, value in edits.set:
        if literal(value) is None:
            names |= _spellings(name)
    return frozenset(name.lower().encode("latin-1") for name in names)


def touched(edits: HeaderEdits) -> frozenset[bytes]:
    """The same with the names that fields are renamed from and to: what may not come past the edits, as a trailer or in
    an interim answer."""
    return dropped(edits) | {name.lower().encode("latin-1") for pair in edits.rename for name in pair}


def said(edits: HeaderEdits) -> set[str]:
    """The names of fields on which the edits have a word."""
    return {*edits.remove, *(name for name, _ in (*edits.set, *edits.add)), *(new for _, new in edits.rename)}


def fixed(edits: HeaderEdits) -> Fields:
    """The lines that are the same for every message."""
    lines = [(name, literal(value)) for name, value in (*edits.set, *edits.add)]
    return make(*(each for name, value in lines if value is not None for each in (name, value)))


class Line:
    """A field whose value has variables."""

    __slots__ = ("_name", "_value")

    def __init__(self, name: str, value: Value) -> None:
        self._name = name
        self._value = value

    def __repr__(self) -> str:
        return f"<Line {self._name}>"

    def made(self, exchange: Exchange) -> bytes | None:
        """The line; None where a value is missing or cannot stand in one."""
        value = self._value(exchange)
        if value is None or not value.isprintable():
            return None
        return f"{self._name}: {value.strip()}".encode()


def lines(edits: HeaderEdits, path: PathMatch) -> tuple[Line, ...]:
    """The fields whose values have variables."""
    found = ((name, text(value, path)) for name, value in (*edits.set, *edits.add))
    return tuple(Line(name, value) for name, value in found if not isinstance(value, str))


def made(found: Sequence[Line], exchange: Exchange) -> Fields:
    """Those of them that have values."""
    return [line for each in found if (line := each.made(exchange)) is not None]


class Renaming:
    """Fields that go on under other names."""

    __slots__ = ("_names",)

    def __init__(self, edits: HeaderEdits) -> None:
        self._names = {old.encode("latin-1"): new.encode("latin-1") for old, new in edits.rename}

    def __repr__(self) -> str:
        return f"<Renaming {self._names}>"

    def renamed(self, fields: Fields) -> Fields:
        """The fields under their new names; those that had one of these already give way."""
        names = self._names
        lows = [line[: line.index(b":")].lower() for line in fields]
        taken = {names[low] for low in lows if low in names}
        if not taken:
            return fields
        found = []
        for low, line in zip(lows, fields, strict=True):
            if low in names:
                found.append(names[low] + line[len(low) :])
            elif low not in taken:
                found.append(line)
        return found


def renaming(edits: HeaderEdits) -> Renaming | None:
    """None where nothing is renamed."""
    return Renaming(edits) if edits.rename else None


class Edits:
    """What a route changes in the headers of requests: fields that go, by lower-case name, that are renamed, and that
    come, alike in every request or made for each."""

    __slots__ = ("_added", "_come", "_drop", "_gone", "_renaming", "lines")

    def __init__(
        self, drop: frozenset[bytes], added: Fields, renaming: Renaming | None, lines: tuple[Line, ...]
    ) -> None:
        self._drop = drop
        self._added = added
        self._renaming = renaming
        said = b"|".join(map(re.escape, sorted(drop))) or b"(?!)"
        self._gone = re.compile(rb"(?i)\r\n(?:%b):[^\r]*" % said).sub
        self._come = b"".join(CRLF + line for line in added)
        self.lines = lines
        """What is made for each."""

    def steady(self, fields: Fields, named: frozenset[bytes] = frozenset()) -> Fields:
        """What goes on of these fields and is added to all alike, without those in `named`; a new list."""
        if self._renaming is not None:
            fields = self._renaming.renamed(fields)
        return without(fields, self._drop | named if named else self._drop) + self._added

    def block(self, fields: Fields) -> bytes:
        """The same as bytes, each line with its end before it. Of a whole head this costs a quarter."""
        if self._renaming is not None:
            return b"".join([CRLF + line for line in self.steady(fields)])
        return self._gone(b"", CRLF.join((b"", *fields))) + self._come

    def edited(self, exchange: Exchange) -> Fields:
        """All that goes on; a new list."""
        return self.steady(exchange.request.fields, exchange.request.named) + made(self.lines, exchange)

    def marked(self, line: bytes) -> Edits:
        """The same with one more line for all."""
        return Edits(self._drop, [*self._added, line], self._renaming, self.lines)


def edits(route: Route) -> Edits | None:
    """None where the headers of requests go on as they came."""
    said = route.request_headers
    if said == HeaderEdits():
        return None
    return Edits(dropped(said), fixed(said), renaming(said), lines(said, route.match.path))


NO_EDITS: Final = Edits(frozenset(), [], None, ())


class QueryShaping:
    """The edits of a route to the query."""

    __slots__ = ("_added", "_drop", "_rename")

    def __init__(self, edits: QueryEdits, path: PathMatch) -> None:
        self._rename = dict(edits.rename)
        self._drop = frozenset((*edits.remove, *(name for name, _ in edits.set)))
        found = ((encoded(name), text(value, path)) for name, value in (*edits.set, *edits.add))
        self._added = [
            (f"{name}={encoded(value)}", None) if isinstance(value, str) else (f"{name}=", value)
            for name, value in found
        ]

    def made(self, exchange: Exchange) -> str | None:
        """The query that goes on. A parameter without a value is left out."""
        added = []
        for start, value in self._added:
            if value is None:
                added.append(start)
            elif (found := value(exchange)) is not None:
                added.append(start + encoded(found))
        return edited(exchange.request.query_string, self._rename, self._drop, added)


def query_shaping(route: Route) -> QueryShaping | None:
    """None where the query goes on as it came."""
    return None if route.request_query == QueryEdits() else QueryShaping(route.request_query, route.match.path)


def target(route: Route) -> Callable[[str], str] | None:
    """How the path changes on its way; None where it goes on as it came."""
    rewrite, path = route.rewrite, route.match.path
    if rewrite.path is not None:
        said = literal(rewrite.path)
        return partial(_always, said) if said is not None else Filled(rewrite.path, path)
    if rewrite.prefix is not None:
        # A pattern has no prefix, so the whole path is replaced; an exact path is its own prefix.
        return partial(_prefixed, "/" if path.kind in PATTERNS else path.value, rewrite.prefix)
    return None


class Filled:
    """A path with what the names in the route's path stand for. Those are whole segments of a normalised path, so that
    no value can climb out of its place."""

    __slots__ = ("_captures", "_parts")

    def __init__(self, said: str, path: PathMatch) -> None:
        self._captures = captures(path)
        self._parts = tuple(each if isinstance(each, str) else (each.name,) for each in parse(said))

    def __repr__(self) -> str:
        return f"<Filled {self._parts}>"

    def __call__(self, path: str) -> str:
        found = self._captures(path)
        if found is None:
            return path
        return "".join([each if isinstance(each, str) else found[each[0]] for each in self._parts])


def _always(said: str, path: str) -> str:
    return said


def _prefixed(prefix: str, new: str, path: str) -> str:
    return replace_prefix(path, prefix, new)


def _spellings(name: str) -> set[str]:
    words = name.split("-")
    if len(words) > _MOST_HYPHENS + 1:
        return {name, name.replace("-", "_")}
    return {
        "".join(word + mark for word, mark in zip(words, (*marks, ""), strict=True))
        for marks in product("-_", repeat=len(words) - 1)
    }
