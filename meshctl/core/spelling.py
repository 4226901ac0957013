"""What else could a server take this path for? Servers decode, merge slashes, cut parameters and climb up in ways of
their own: what stands in the way of one spelling of a path must stand in the way of all of them.

    /admin ◀── /%2561dmin   //admin   /admin;x   /public/..%2Fadmin   /x/..;/admin   /admin\\

So a rule about a path is asked about each of them (`permission`, `access`), and a path that another route would guard,
were it read so, is refused by a route that does not (`read_otherwise`). Pure; the case of letters is a rule's business.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any, Final
from urllib.parse import unquote

from meshctl.core.match import Matchable
from meshctl.core.paths import normalise
from meshctl.model.route import Route

is_odd: Final = re.compile(r"%|//|;|\\").search
"""Whether there is anything in a normalised path that some read in other ways."""

_SLASHES: Final = re.compile(r"[/\\]+")
_PARAMETERS: Final = re.compile(r";[^/\\]*")
_DECODED: Final = 2
"""What decodes what was decoded before it is a known fault of many."""


def spellings(path: str) -> tuple[str, ...]:
    """All that an upstream might take a normalised path for, itself first.

    >>> spellings("/admin%2Fx"), spellings("/plain")
    (('/admin%2Fx', '/admin/x'), ('/plain',))
    """
    if not is_odd(path):
        return (path,)
    found = [path]
    text = path
    for _ in range(_DECODED + 1):
        found += _normal(text), _normal(_resolved(_SLASHES.sub("/", _PARAMETERS.sub("", text))))
        text = unquote(text, errors="surrogateescape")
    return tuple(dict.fromkeys(found))


def exposed(routes: Iterable[Route]) -> frozenset[str]:
    """The names of routes to a service that another route guards otherwise."""
    guarded: dict[tuple[str, str], set[object]] = {}
    listed = [(route, _guards(route)) for route in routes if route.services]
    for route, guards in listed:
        if any(guards):
            for service in route.services:
                guarded.setdefault((route.entry, service), set()).add(guards)
    return frozenset(
        route.name
        for route, guards in listed
        if any(guarded.get((route.entry, service), set()) - {guards} for service in route.services)
    )


def read_otherwise(
    find: Callable[[Matchable], Route | None], request: Matchable, route: Route
) -> tuple[str, str] | None:
    """Another reading of the path of a request of `route` that leads around a guard: the route that would take it to
    the same service and guard it otherwise, and that reading. Where it climbs out of `route` to what no route of the
    service has ("" for the name), nobody knows what is there."""
    if not is_odd(request.path):
        return None
    own = _guards(route)
    for path in spellings(request.path)[1:]:
        other = find(_Read(request, path))
        if other is route:
            continue
        if other is not None and set(other.services) & set(route.services):
            guards = _guards(other)
            if any(guards) and guards != own:
                return other.name, path
        elif _climbs(request.path):
            return "", path
    return None


def _climbs(path: str) -> bool:
    for _ in range(_DECODED):
        path = unquote(path, errors="surrogateescape")
    return ".." in _SLASHES.sub("/", _PARAMETERS.sub("", path)).split("/")


class _Read:
    """A request as one whose path is another."""

    def __init__(self, request: Matchable, path: str) -> None:
        self.path = path
        self.method = request.method
        self.host = request.host
        self.header = request.header
        self.query = request.query
        self.cookie = request.cookie
        self._said = request.said

    def said(self, name: str) -> str | None:
        """See `Matchable`."""
        return self.path if name == "path" else self._said(name)


def _guards(route: Route) -> tuple[Any, ...]:
    return route.auth, route.require, route.allow_addresses, route.deny_addresses


def _normal(path: str) -> str:
    try:
        return normalise(path)
    except ValueError:
        return path  # No request comes with it; a server that decodes may see it all the same.


def _resolved(path: str) -> str:
    kept: list[str] = []
    for part in path.split("/")[1:]:
        if part == "..":
            kept = kept[:-1]
        elif part != ".":
            kept.append(part)
    return "/" + "/".join(kept)
