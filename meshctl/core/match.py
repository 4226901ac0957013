"""How well does one rule fit one request? The ordered score of a match, and the parts a match is compiled to.

The order is the precedence of the Kubernetes Gateway API's HTTPRoute. The route table sorts by these scores and
`explain` compares by them, so that what is explained is what happens. Knows neither the table's indexes nor what a rule
leads to.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Final, Literal, NamedTuple, Protocol

from meshctl.core.api_version import told_by, version_test
from meshctl.core.path_template import pattern, written_out
from meshctl.model.api import ApiMatch
from meshctl.model.route import Match, PathMatch, ValueMatch

WILDCARD, EXACT_HOST = 1, 2
PREFIX, REGEX, TEMPLATE, EXACT = 0, 1, 2, 3
PathTest = Callable[[str], object]
PATTERNS: Final = frozenset(("regex", "template"))
"""The kinds of paths that are regular expressions underneath."""
PATH_RANK: Final[dict[str, int]] = {"prefix": PREFIX, "regex": REGEX, "template": TEMPLATE, "exact": EXACT}


class Matchable(Protocol):
    """What a request must tell of itself. What costs something to find is a method, asked only when a rule needs it."""

    @property
    def method(self) -> str:
        """The method as sent; methods are case-sensitive (RFC 9110 §9.1)."""

    @property
    def host(self) -> str:
        """The host in lower case, without port."""

    @property
    def path(self) -> str:
        """The normalised path, without query."""

    def header(self, name: str) -> str | None:
        """The value of the header with this lower-case name, or None."""

    def query(self, name: str) -> str | None:
        """The decoded value of the query parameter, or None."""

    def cookie(self, name: str) -> str | None:
        """The value of the cookie, or None."""

    def said(self, name: str) -> str | None:
        """What the version of an API is told by: "path", "header NAME", "query NAME", or "media_type", which is Accept
        and Content-Type on two lines; None where it is not there."""


class Score(NamedTuple):
    """How specific a match is; the greatest score wins. Compared field by field, in this order."""

    host: int
    """2 for an exact host, 1 for a wildcard, 0 where no host is asked."""
    host_length: int
    path: int
    """3 for an exact path, 2 for a template, 1 for a regex, 0 for a prefix."""
    path_length: int
    """Characters of a prefix, or of a template without its names; nothing else competes by length."""
    method: int
    """1 where methods are asked."""
    headers: int
    """Conditions on headers, of which cookies and versions of an API are a part."""
    query: int
    order: int
    """The negative position in the file: earlier rules are greater."""


def score(match: Match, host: str, position: int) -> Score:
    """The score of `match` at `position` of the file by `host`, one of its hosts, or "" where it asks for none."""
    kind = PATH_RANK[match.path.kind]
    return Score(
        host=0 if not host else WILDCARD if host.startswith("*.") else EXACT_HOST,
        host_length=len(host),
        path=kind,
        path_length=_path_length(match.path),
        method=1 if match.methods else 0,
        headers=len(match.headers) + len(match.cookies) + (match.api is not None and match.api.kind != "query"),
        query=len(match.query) + (match.api is not None and match.api.kind == "query"),
        order=-position,
    )


def _path_length(condition: PathMatch) -> int:
    if condition.kind == "template":
        return written_out(condition.value)
    return len(prefix_key(condition.value)) if condition.kind == "prefix" else 0


def path_pattern(condition: PathMatch) -> str:
    """The regular expression that a regex or template is."""
    return pattern(condition.value) if condition.kind == "template" else condition.value


def prefix_key(value: str) -> str:
    """A prefix without its final slash: "/a/" and "/a" are one, "/" is the empty prefix of everything."""
    return value.removesuffix("/")


def is_under(path: str, prefix: str) -> bool:
    """True where `path` is `prefix` or lies under it: "/a" holds "/a" and "/a/b", not "/ab"; "/" holds everything."""
    key = prefix_key(prefix)
    return not key or path == key or path.startswith(key + "/")


def host_fits(host: str, pattern: str) -> bool:
    """True where `host` is `pattern`, or has one label or more before the rest of a "*." pattern."""
    if pattern.startswith("*."):
        return len(host) > len(pattern) - 1 and host.endswith(pattern[1:])
    return host == pattern


def path_fits(path: str, condition: PathMatch) -> bool:
    """True where the normalised `path` meets `condition`."""
    return bool(path_test(condition)(path))


def path_test(condition: PathMatch) -> PathTest:
    """The same as `path_fits` for one condition, compiled."""
    value = condition.value
    if condition.kind == "exact":
        return value.__eq__
    if condition.kind in PATTERNS:
        return re.compile(path_pattern(condition)).fullmatch
    return lambda path: is_under(path, value)


def api_fits(condition: ApiMatch | None, request: Matchable) -> bool:
    """True where the version of an API that `request` asks for meets `condition`."""
    if condition is None:
        return True
    said = request.said(told_by(condition))
    return said is not None and bool(version_test(condition)(said))


def value_fits(value: str | None, condition: ValueMatch) -> bool:
    """True where a header's or parameter's `value`, None where it is absent, meets `condition`."""
    if value is None:
        return False
    test = value_test(condition)
    return test is None or bool(test(value))


def value_test(condition: ValueMatch) -> Callable[[str], object] | None:
    """`condition` as a function of a present value, whose result counts by its truth; None asks for presence alone."""
    if condition.kind == "present":
        return None
    if condition.kind == "exact":
        return condition.value.__eq__
    return re.compile(condition.value).fullmatch


# (what carries the value, its name, the test of its value)
Condition = tuple[Literal["header", "query", "cookie", "said"], str, Callable[[str], object] | None]


def compile_conditions(match: Match) -> tuple[Condition, ...] | None:
    """The header, cookie and query conditions of `match`, ready to be asked; None where there is none."""
    headers: Iterable[Condition] = (("header", each.name, value_test(each)) for each in match.headers)
    cookies: Iterable[Condition] = (("cookie", each.name, value_test(each)) for each in match.cookies)
    query: Iterable[Condition] = (("query", each.name, value_test(each)) for each in match.query)
    api: Iterable[Condition] = (("said", told_by(match.api), version_test(match.api)),) if match.api is not None else ()
    return (*headers, *cookies, *query, *api) or None


def hold(conditions: tuple[Condition, ...], request: Matchable) -> bool:
    """True where every one of `conditions` holds for `request`."""
    for kind, name, test in conditions:
        value: str | None = getattr(request, kind)(name)
        if value is None or (test is not None and not test(value)):
            return False
    return True
