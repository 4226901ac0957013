"""Which route does a browser ask about before it asks? The preflight of the Fetch standard's CORS protocol. Pure.

A preflight has another method than the request it is about, and none of its headers and cookies: it must find the
route all the same.
"""

from __future__ import annotations

from typing import Final

import msgspec

from meshctl.core.match import Matchable
from meshctl.model.api import ApiMatch
from meshctl.model.route import Match

OPTIONS: Final = "OPTIONS"


def method_asked(request: Matchable) -> str:
    """The method that a preflight is about; "" where the request is none."""
    if request.method != OPTIONS or request.header("origin") is None:
        return ""
    return request.header("access-control-request-method") or ""


def without_headers(match: Match) -> Match:
    """The conditions of a route that a preflight can meet."""
    return msgspec.structs.replace(match, headers=(), cookies=(), api=_of_url(match.api))


def _of_url(condition: ApiMatch | None) -> ApiMatch | None:
    return condition if condition is not None and condition.kind in {"path", "query"} else None


class Asked:
    """A preflight as the request that it is about, with the method of that."""

    def __init__(self, request: Matchable, method: str) -> None:
        self.method = method
        self.host = request.host
        self.path = request.path
        self.header = request.header
        self.query = request.query
        self.cookie = request.cookie
        self.said = request.said
