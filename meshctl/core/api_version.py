"""Which version of an API does a request ask for, above all by the media types it takes and sends? RFC 9110 §12.5.1.
Pure.

A client that names versions gets the one it likes best of those there are. One that names none, or takes something else
beside versions there are not, has not said which it wants.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from meshctl.model.api import ApiMatch

UNKNOWN: Final = ""
"""Asked for is a version that there is not."""
VERSION: Final = "{version}"
_MOST_RANGES: Final = 64
"""Media ranges that are looked at: no client has as many."""
_REMEMBERED: Final = 256
_LONGEST_REMEMBERED: Final = 256
_WEIGHT: Final = re.compile(r"0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?", re.ASCII)

Asked = Callable[[str], str | None]
"""From what a request takes and sends, on two lines, to a version: None where it says none, else it or `UNKNOWN`."""


class Form(NamedTuple):
    """How a media type tells a version: around it, or in a parameter. All in lower case."""

    before: str
    after: str = ""
    parameter: str = ""

    def told(self, kind: str, parameters: Mapping[str, str]) -> str | None:
        """The version that a media type tells, None where it tells none."""
        if self.parameter:
            return parameters.get(self.parameter) if kind == self.before else None
        is_formed = kind.startswith(self.before) and kind.endswith(self.after)
        return kind[len(self.before) : len(kind) - len(self.after)] or None if is_formed else None


def form(text: str) -> Form:
    """The form that is written as `text`. Raises ValueError where it is none.

    >>> form("application/vnd.shop.{version}+json"), form("application/json; v={version}").parameter
    (Form(before='application/vnd.shop.', after='+json', parameter=''), 'v')
    """
    low = text.lower()
    kind, semicolon, parameter = (each.strip() for each in low.partition(";"))
    if low.count(VERSION) != 1 or "/" not in kind.partition(VERSION)[0]:
        raise ValueError(
            'expected a media type such as "application/vnd.shop.{version}+json" or '
            '"application/json;version={version}"'
        )
    if not semicolon:
        before, _, after = kind.partition(VERSION)
        return Form(before, after)
    name, _, value = (each.strip() for each in parameter.partition("="))
    if value != VERSION or not name or name == "q":
        raise ValueError('expected a parameter that is the version, as in "application/json;version={version}"')
    return Form(kind, parameter=name)


@lru_cache(maxsize=64)
def asked(text: str, known: tuple[str, ...]) -> Asked:
    """How requests ask for one of the `known` versions by the media type `text`. One for all routes of an API, so that
    a request is read once."""
    shape, spellings = form(text), {each.lower(): each for each in known}

    def find(said: str) -> str | None:
        accept, _, content_type = said.partition("\n")
        found = _accepted(accept, shape, spellings)
        return found if found is not None else _sent(content_type, shape, spellings)

    remembered = lru_cache(maxsize=_REMEMBERED)(find)
    # What is long is not kept: whoever sends it sends another each time.
    return lambda said: remembered(said) if len(said) <= _LONGEST_REMEMBERED else find(said)


def version_test(condition: ApiMatch) -> Callable[[str], object]:
    """`condition` as a function of what a request says, whose result counts by its truth."""
    if condition.kind == "path":
        return re.compile(condition.form).fullmatch
    if condition.kind == "media_type":
        find = asked(condition.form, condition.known)
        wanted = frozenset(condition.versions) or frozenset((UNKNOWN,))
        return lambda said: find(said) in wanted
    if condition.versions:
        return frozenset(condition.versions).__contains__
    known = frozenset(condition.known)
    return lambda said: said not in known


def told_by(condition: ApiMatch) -> str:
    """What a request is asked for a version (`Matchable.said`)."""
    return f"{condition.kind} {condition.form}" if condition.kind in {"header", "query"} else condition.kind


def _accepted(accept: str, shape: Form, spellings: Mapping[str, str]) -> str | None:
    """What an Accept field asks for."""
    best, most = UNKNOWN, 0.0
    takes_others = names_any = False
    for kind, parameters in ranges(accept):
        weight = _weight(parameters.get("q", "1"))
        if not weight:
            continue
        told = shape.told(kind, parameters)
        if told is None:
            takes_others = True
            continue
        names_any = True
        # Of what is liked alike the first is taken.
        if told in spellings and weight > most:
            best, most = spellings[told], weight
    if best:
        return best
    return UNKNOWN if names_any and not takes_others else None


def _sent(content_type: str, shape: Form, spellings: Mapping[str, str]) -> str | None:
    """What a Content-Type says."""
    for kind, parameters in ranges(content_type):
        told = shape.told(kind, parameters)
        return None if told is None else spellings.get(told, UNKNOWN)
    return None


def ranges(field: str) -> Iterator[tuple[str, dict[str, str]]]:
    """The media ranges of a field with their parameters, in lower case; what is not understood is left out.

    >>> list(ranges('text/html, application/json; v="1,2" ;q=0.5'))
    [('text/html', {}), ('application/json', {'v': '1,2', 'q': '0.5'})]
    """
    for part in _split(field.lower(), ",")[:_MOST_RANGES]:
        kind, *parameters = (each.strip() for each in _split(part, ";"))
        if kind.count("/") != 1:
            continue
        found: dict[str, str] = {}
        for each in parameters:
            name, mark, value = (one.strip() for one in each.partition("="))
            if mark:
                found.setdefault(name, _unquoted(value))
        yield kind, found


def _split(text: str, separator: str) -> list[str]:
    """`text` at its separators outside of quotes."""
    if '"' not in text:
        return text.split(separator, _MOST_RANGES)
    parts, start, is_quoted, at = [], 0, False, 0
    while at < len(text):
        char = text[at]
        if char == "\\" and is_quoted:
            at += 1
        elif char == '"':
            is_quoted = not is_quoted
        elif char == separator and not is_quoted:
            parts.append(text[start:at])
            start = at + 1
        at += 1
    return [*parts, text[start:]]


def _unquoted(value: str) -> str:
    if len(value) > 1 and value[0] == value[-1] == '"':
        return re.sub(r"\\(.)", r"\1", value[1:-1])
    return value


def _weight(value: str) -> float:
    """A weight (RFC 9110 §12.4.2); what is none wants nothing."""
    return float(value) if _WEIGHT.fullmatch(value) else 0.0
