"""What the variables of a route's texts (`core.template`) stand for in one exchange.

A text of which any variable has no value is none at all: a header that is made of it is left out, so that a service
sees nobody rather than somebody else. Compiled once for each route.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from meshctl.core.match import path_pattern
from meshctl.core.template import Variable, literal, parse
from meshctl.model.route import PathMatch
from meshctl.proxy.client_address import client_address

if TYPE_CHECKING:
    from meshctl.proxy.exchange import Exchange

Value = Callable[["Exchange"], str | None]

_PLAIN: Final[dict[str, Value]] = {
    "host": lambda exchange: exchange.request.host or None,
    "method": lambda exchange: exchange.request.method,
    "path": lambda exchange: exchange.path,
    "request_id": lambda exchange: exchange.request_id.decode("latin-1"),
    "route": lambda exchange: exchange.route.name if exchange.route is not None else None,
    "scheme": lambda exchange: exchange.stream.scheme,
}


def text(said: str, path: PathMatch) -> Value | str:
    """A text of a route with that path: as it is, or what makes it."""
    fixed = literal(said)
    if fixed is not None:
        return fixed
    parts = parse(said)
    if len(parts) == 1 and isinstance(parts[0], Variable):
        return value(parts[0], path)
    return _Text(parts, path).made


def captures(path: PathMatch) -> Callable[[str], re.Match[str] | None]:
    """What the names in a route's path stand for."""
    return re.compile(path_pattern(path)).fullmatch


class _Text:
    """A text of several parts."""

    __slots__ = ("_form", "_values")

    def __init__(self, parts: tuple[str | Variable, ...], path: PathMatch) -> None:
        self._form = "".join("%s" if isinstance(each, Variable) else each.replace("%", "%%") for each in parts)
        self._values = tuple(value(each, path) for each in parts if isinstance(each, Variable))

    def made(self, exchange: Exchange) -> str | None:
        """The text."""
        found: list[str] = []
        for one in self._values:
            each = one(exchange)
            if each is None:
                return None
            found.append(each)
        return self._form % tuple(found)


def value(variable: Variable, path: PathMatch) -> Value:
    """What a variable of a route with that path stands for."""
    kind, name = variable
    if kind == "client_ip":
        return lambda exchange: client_address(exchange) or None
    if not name:
        return _PLAIN[kind]
    if kind == "path":
        return _Captured(path, name).value
    if kind == "header":
        low = name.lower()
        return lambda exchange: exchange.request.header(low)
    if kind == "query":
        return lambda exchange: exchange.request.query(name)
    if kind == "cookie":
        return lambda exchange: exchange.request.cookie(name)
    return lambda exchange: exchange.request.claim(name)


class _Captured:
    """What one name in a route's path stands for, as it is in the normalised path: with its escapes."""

    __slots__ = ("_captures", "_name")

    def __init__(self, path: PathMatch, name: str) -> None:
        self._captures = captures(path)
        self._name = name

    def value(self, exchange: Exchange) -> str | None:
        """The value."""
        found = self._captures(exchange.path)
        return found[self._name] if found is not None else None
