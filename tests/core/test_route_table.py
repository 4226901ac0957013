"""Lookup by the precedence of the Gateway API: tables for each rule, and a naive search as the reference."""

from __future__ import annotations

import re
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meshctl.core.match import Matchable, Score, host_fits, path_fits, score, value_fits
from meshctl.core.path_index import literal_segments
from meshctl.core.route_table import RouteTable
from meshctl.model.route import Match, PathMatch, ValueMatch

from . import random_routes
from .request import Request


def prefix(path: str = "/", **rest: Any) -> Match:
    return Match(path=PathMatch("prefix", path), **rest)


def exact(path: str, **rest: Any) -> Match:
    return Match(path=PathMatch("exact", path), **rest)


def regex(path: str, **rest: Any) -> Match:
    return Match(path=PathMatch("regex", path), **rest)


HEADER = (ValueMatch("x-a", "exact", "1"),)
HEADERS = (*HEADER, ValueMatch("x-b", "present"))
QUERY = (ValueMatch("q", "regex", "[0-9]+"),)

# Pairs where the first beats the second for GET http://api.localhost/v1/orders/7?q=7 with x-a: 1 and x-b: 2,
# whichever is declared first.
PRECEDENCE = {
    "exact host over wildcard": (prefix(hosts=("api.localhost",)), prefix("/v1", hosts=("*.localhost",))),
    "exact host over none": (prefix(hosts=("api.localhost",)), exact("/v1/orders/7")),
    "wildcard over none": (prefix(hosts=("*.localhost",)), exact("/v1/orders/7")),
    "best of several hosts": (
        prefix(hosts=("b", "api.localhost", "*.localhost")),
        exact("/v1/orders/7", hosts=("*.localhost",)),
    ),
    "exact path over regex": (exact("/v1/orders/7"), regex("/v1/orders/.*", methods=("GET",), headers=HEADERS)),
    "exact path over prefix": (exact("/v1/orders/7"), prefix("/v1/orders/7", methods=("GET",), headers=HEADERS)),
    "regex over prefix": (regex("/.*"), prefix("/v1/orders/7", methods=("GET",))),
    "longer prefix": (prefix("/v1/orders"), prefix("/v1", methods=("GET",), headers=HEADERS, query=QUERY)),
    "any prefix over root": (prefix("/v1"), prefix("/", methods=("GET",))),
    "method over headers": (prefix("/v1", methods=("GET",)), prefix("/v1", headers=HEADERS, query=QUERY)),
    "two headers over one": (prefix("/v1", headers=HEADERS), prefix("/v1", headers=HEADER, query=QUERY)),
    "a header over a query": (prefix("/v1", headers=HEADER), prefix("/v1", query=QUERY)),
    "a query over nothing": (prefix("/v1", query=QUERY), prefix("/v1/")),
    "method among regexes, the deeper first": (regex("/v1/orders/.*", methods=("GET",)), regex("/.*")),
    "method among regexes": (regex("/v1/.*", methods=("GET",)), regex("/v1/orders/.*", headers=HEADERS)),
}
ORDERS = Request(path="/v1/orders/7", headers={"x-a": "1", "x-b": "2"}, parameters={"q": "7"})


@pytest.mark.parametrize("pair", PRECEDENCE.values(), ids=PRECEDENCE.keys())
def test_precedence(pair: tuple[Match, Match]) -> None:
    """The more specific of two matching routes wins, whichever is declared first."""
    better, worse = pair
    assert RouteTable([(worse, "worse")]).find(ORDERS) == "worse"
    assert RouteTable([(better, "better"), (worse, "worse")]).find(ORDERS) == "better"
    assert RouteTable([(worse, "worse"), (better, "better")]).find(ORDERS) == "better"


@pytest.mark.parametrize(
    "match", [prefix("/v1"), exact("/v1/orders/7"), regex("/v1.*"), prefix(methods=("GET", "POST"))]
)
def test_order_breaks_ties(match: Match) -> None:
    """Of two equally specific routes the one declared first wins."""
    assert RouteTable([(match, "first"), (match, "second")]).find(ORDERS) == "first"


@pytest.mark.parametrize(
    ("pattern", "hits", "misses"),
    [
        ("/a", ["/a", "/a/", "/a/b", "/a//b"], ["/ab", "/", "/b/a", "/A"]),
        ("/a/", ["/a", "/a/", "/a/b"], ["/ab"]),
        ("/a/b", ["/a/b", "/a/b/c/d"], ["/a", "/a/bc", "/a//b"]),
        ("/", ["/", "/x", "//", "*"], []),
        ("/a//b", ["/a//b", "/a//b/c"], ["/a/b"]),
    ],
)
def test_prefixes_end_on_segments(pattern: str, hits: list[str], misses: list[str]) -> None:
    """A prefix takes its own path and what lies under it, and nothing that merely begins alike."""
    table = RouteTable([(prefix(pattern), "hit")])
    assert dict.fromkeys(hits, "hit") | dict.fromkeys(misses) == {
        path: table.find(Request(path=path)) for path in hits + misses
    }


@pytest.mark.parametrize(
    ("pattern", "hits", "misses"),
    [
        ("api.localhost", ["api.localhost"], ["localhost", "x.api.localhost", "api.localhosts"]),
        ("*.b.c", ["a.b.c", "x.a.b.c", "a..b.c"], ["b.c", ".b.c", "ab.c", "b.c.d", "xb.c"]),
    ],
)
def test_hosts(pattern: str, hits: list[str], misses: list[str]) -> None:
    """An exact host matches itself; a wildcard matches one label or more before its dot, never none."""
    table = RouteTable([(prefix(hosts=(pattern,)), "hit")])
    assert [host for host in hits + misses if table.explain(Request(host=host)).winner == 0] == hits
    assert dict.fromkeys(hits, "hit") | dict.fromkeys(misses) == {
        host: table.find(Request(host=host)) for host in hits + misses
    }


def test_longest_wildcard_wins() -> None:
    """Of two wildcards that match, the longer one wins, and the shorter takes what the longer leaves."""
    table = RouteTable([(prefix(hosts=("*.c",)), "short"), (prefix("/x", hosts=("*.b.c",)), "long")])
    found = [table.find(Request(host="a.b.c", path=path)) for path in ("/x", "/y")]
    assert found == ["long", "short"]
    # An empty label is no label: the longer wildcard does not match, the shorter one does.
    table = RouteTable([(prefix(hosts=("*.c",)), "short"), (prefix(hosts=("*.b.c",)), "long")])
    assert table.find(Request(host=".b.c")) == "short"


def test_falls_through_where_conditions_fail() -> None:
    """A request that fails a specific route's conditions is taken by the next specific one, over paths and hosts."""
    table = RouteTable(
        [
            (prefix("/"), "anywhere"),
            (prefix("/v1", hosts=("*.localhost",)), "wildcard"),
            (prefix("/v1/orders", hosts=("api.localhost",), methods=("GET",)), "get"),
            (exact("/v1/orders", hosts=("api.localhost",), headers=HEADER), "header"),
        ]
    )
    requests = [
        Request("GET", "api.localhost", "/v1/orders", {"x-a": "1"}),
        Request("GET", "api.localhost", "/v1/orders", {"x-a": "2"}),
        Request("POST", "api.localhost", "/v1/orders"),
        Request("GET", "api.localhost", "/v2"),
    ]
    assert [table.find(request) for request in requests] == ["header", "get", "wildcard", "anywhere"]


@pytest.mark.parametrize(
    ("condition", "value", "expected"),
    [
        (ValueMatch("x-a", "exact", "1"), "1", True),
        (ValueMatch("x-a", "exact", "1"), "11", False),
        (ValueMatch("x-a", "exact", ""), None, False),
        (ValueMatch("x-a", "present"), "", True),
        (ValueMatch("x-a", "present"), None, False),
        (ValueMatch("x-a", "regex", "a|b"), "b", True),
        (ValueMatch("x-a", "regex", "a|b"), "bc", False),
        (ValueMatch("x-a", "regex", ".*"), None, False),
    ],
)
def test_value_conditions(condition: ValueMatch, value: str | None, expected: bool) -> None:
    """A header or query condition compares the whole value, and an absent one meets none."""
    given = {} if value is None else {"x-a": value}
    by_header = RouteTable([(prefix(headers=(condition,)), "hit")]).find(Request(headers=given))
    by_query = RouteTable([(prefix(query=(condition,)), "hit")]).find(Request(parameters=given))
    assert ("hit" if expected else None,) * 2 == (by_header, by_query)


def test_asks_for_values_only_when_needed() -> None:
    """A lookup that no conditional rule can win asks for neither headers nor query."""
    table = RouteTable([(prefix("/v1"), "plain"), (prefix("/v2", headers=HEADER, query=QUERY), "asking")])
    request = Request(path="/v1/x")
    assert table.find(request) == "plain"
    assert request.asked == 0


def test_empty_table_finds_nothing() -> None:
    """A table without routes answers None."""
    assert RouteTable[str]([]).find(ORDERS) is None


def test_a_bad_regex_is_refused_when_built() -> None:
    """A regex that does not compile fails the build, not a request."""
    with pytest.raises(re.error):
        RouteTable([(regex("/("), "x")])


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        (r"/v1/users/\d+", "/v1/users"),
        (r"/v1/users", "/v1"),
        (r"/v1/users?", "/v1"),
        (r"/v1/a*", "/v1"),
        (r"/v1/?", ""),
        (r"/v1/{2}x", ""),
        (r"/v1/+x", "/v1"),
        (r"/a\.b/c\-d/.*", "/a.b/c-d"),
        (r"/v1/(a|b)/c", "/v1"),
        (r"/v1/a|/v2/b", ""),
        (r"/v1/[a|b]/c", "/v1"),
        (r"/v1/[]|]x|/b/c", ""),
        (r"/v1/[^]|(]x|/b/c", ""),
        (r"/v1/[\](]x|/b/c", ""),
        (r"/v1/\||/b/c", ""),
        (r"/v1/(?#()x|/b/c", ""),
        (r"(?i)/v1/a", ""),
        (r".*", ""),
        (r"", ""),
        (r"\/v1\/x", "/v1"),
        (r"/v1/\bx", "/v1"),
    ],
)
def test_literal_segments(pattern: str, expected: str) -> None:
    """The literal segments of a regex are those that every path it matches begins with."""
    assert expected == literal_segments(pattern)


# --- against a naive search -------------------------------------------------------------------------------------------


def naive_scores(routes: list[Match], request: Matchable) -> list[Score]:
    """The score of every way in which a route takes the request, by asking everything of every route."""
    return [
        score(match, host, position)
        for position, match in enumerate(routes)
        for host in match.hosts or ("",)
        if (not host or host_fits(request.host, host))
        and path_fits(request.path, match.path)
        and (not match.methods or request.method in match.methods)
        and all(value_fits(request.header(each.name), each) for each in match.headers)
        and all(value_fits(request.query(each.name), each) for each in match.query)
        and all(value_fits(request.cookie(each.name), each) for each in match.cookies)
    ]


@settings(max_examples=250)
@given(st.integers(0, 2**32))
def test_find_equals_a_naive_search(seed: int) -> None:
    """The indexed lookup finds what sorting all matching routes by score finds."""
    random = Random(seed)
    routes = random_routes.routes(random)
    table = RouteTable([(match, position) for position, match in enumerate(routes)])
    for _ in range(30):
        request = random_routes.request(random)
        found = naive_scores(routes, request)
        assert (-max(found).order if found else None) == table.find(request), (routes, request)


@settings(max_examples=120)
@given(st.integers(0, 2**32))
def test_a_table_in_another_ones_place(seed: int) -> None:
    """A table that was made with the one before it finds what one made from nothing finds, whatever came, went, moved
    or leads elsewhere."""
    random = Random(seed)
    before = [(match, f"route {at}") for at, match in enumerate(random_routes.routes(random))]
    after = [route for route in before if random.random() < 0.8]
    after += [(match, "new") for match in random_routes.routes(random)[:3]]
    after = [(match, "elsewhere" if random.random() < 0.1 else target) for match, target in after]
    if random.random() < 0.5:
        random.shuffle(after)
    table, again = RouteTable(after, RouteTable(before)), RouteTable(after)
    for _ in range(20):
        request = random_routes.request(random)
        assert table.find(request) == again.find(request), (before, after, request)


@settings(max_examples=80)
@given(st.integers(0, 2**32))
def test_explain_agrees_with_find(seed: int) -> None:
    """The explanation names the winner of the lookup, and every other route exactly once with a reason."""
    random = Random(seed)
    routes = random_routes.routes(random)
    table = RouteTable([(match, position) for position, match in enumerate(routes)])
    for _ in range(10):
        request = random_routes.request(random)
        explanation = table.explain(request)
        assert table.find(request) == explanation.winner, (routes, request)
        others = sorted(set(range(len(routes))) - {explanation.winner})
        assert others == sorted(position for position, _ in explanation.losers)
        assert all(reason for _, reason in explanation.losers)
