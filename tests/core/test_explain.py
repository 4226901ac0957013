"""What `routes explain` says of each route, word for word."""

from __future__ import annotations

from typing import Any

import pytest

from meshctl.core.explain import Explanation
from meshctl.core.route_table import RouteTable
from meshctl.model.route import Match, PathMatch, ValueMatch

from .request import Request

X_USER = ValueMatch("x-user", "exact", "alice")


def rule(path: str = "/", kind: Any = "prefix", **rest: Any) -> Match:
    return Match(path=PathMatch(kind, path), **rest)


def explain(request: Request, **routes: Match) -> Explanation:
    return RouteTable([(match, name) for name, match in routes.items()]).explain(request)


@pytest.mark.parametrize(
    ("match", "reason"),
    [
        (rule(hosts=("api.localhost",)), 'host "a" is not "api.localhost"'),
        (rule(hosts=("b", "*.c")), 'host "a" is neither "b" nor "*.c"'),
        (rule(hosts=("b", "c", "d")), 'host "a" is none of "b", "c", "d"'),
        (rule(hosts=("b", "c", "d", "e", "f")), 'host "a" is none of "b", "c", "d" and 2 more'),
        (rule(hosts=("*.a",)), 'host "a" is not "*.a" (a wildcard needs a label before the dot)'),
        (rule("/v1/orders"), 'path "/v1" is not under "/v1/orders"'),
        (rule("/v"), 'path "/v1" is not under "/v" (a prefix ends where a segment ends)'),
        (rule("/v1/", "exact"), 'path "/v1" is not "/v1/"'),
        (rule("/v[2-9]", "regex"), 'path "/v1" does not match "/v[2-9]"'),
        (rule(methods=("GET",)), "method POST is not GET"),
        (rule(methods=("GET", "PUT")), "method POST is neither GET nor PUT"),
        (rule(headers=(X_USER,)), "header x-user is missing"),
        (rule(headers=(ValueMatch("x-b", "exact", "2"),)), 'header x-b "1" is not "2"'),
        (rule(headers=(ValueMatch("x-b", "regex", "[2-9]"),)), 'header x-b "1" does not match "[2-9]"'),
        (rule(query=(ValueMatch("debug", "present"),)), "query parameter debug is missing"),
        (rule(query=(ValueMatch("page", "exact", "2"),)), 'query parameter page "1" is not "2"'),
        (rule(methods=("GET",), headers=(X_USER,)), "method POST is not GET, header x-user is missing"),
        (rule("/v2", hosts=("b",), methods=("GET",)), 'host "a" is not "b"'),
        (rule("/v2", methods=("GET",)), 'path "/v1" is not under "/v2"'),
    ],
)
def test_misses(match: Match, reason: str) -> None:
    """A route that does not take the request says which condition failed, with what was found and what was asked."""
    request = Request("POST", "a", "/v1", {"x-b": "1"}, {"page": "1"})
    assert explain(request, route=match) == Explanation(None, ((0, reason),))


@pytest.mark.parametrize(
    ("winner", "loser", "reason"),
    [
        (rule(hosts=("a.b",)), rule(hosts=("*.b",)), 'has a more specific host ("a.b" over "*.b")'),
        (rule(hosts=("*.b",)), rule(), 'has a more specific host ("*.b" over any host)'),
        (rule("/v1", "exact"), rule("/v1"), 'has a more specific path (exact "/v1" over prefix "/v1")'),
        (rule("/v.", "regex"), rule("/v1"), 'has a more specific path (regex "/v." over prefix "/v1")'),
        (rule("/v1"), rule("/"), 'has a longer prefix ("/v1" over "/")'),
        (rule(methods=("POST", "GET")), rule(), "has a method condition (POST, GET)"),
        (rule(headers=(ValueMatch("x-b", "present"),)), rule(), "has more header conditions (1 over 0)"),
        (rule(cookies=(ValueMatch("beta", "present"),)), rule(), "has more header conditions (1 over 0)"),
        (rule(query=(ValueMatch("page", "present"),)), rule(), "has more query conditions (1 over 0)"),
        (rule(), rule(), "comes first"),
    ],
)
def test_beaten(winner: Match, loser: Match, reason: str) -> None:
    """A route that would take the request says what the winner has over it."""
    request = Request("POST", "a.b", "/v1", {"x-b": "1"}, {"page": "1"}, {"beta": "1"})
    assert explain(request, best=winner, other=loser) == Explanation(0, ((1, f'matches, but "best" {reason}'),))


def test_longer_wildcard() -> None:
    """Of two wildcards the longer one is named as the reason."""
    explanation = explain(Request(host="x.a.b"), short=rule(hosts=("*.b",)), long=rule(hosts=("*.a.b",)))
    assert explanation == Explanation(1, ((0, 'matches, but "long" has a longer wildcard ("*.a.b" over "*.b")'),))


def test_losers_come_best_first() -> None:
    """After the winner come those that match by score, then the misses, those nearest to a match first."""
    explanation = explain(
        Request("GET", "api.localhost", "/v1/orders"),
        other_host=rule("/v1/orders", hosts=("b",)),
        other_everything=rule("/v2", hosts=("b",)),
        far_path=rule("/x"),
        near_path=rule("/v1/orderlines"),
        two_missing=rule("/v1/orders", methods=("PUT",), headers=(X_USER,)),
        one_missing=rule("/v1/orders", methods=("PUT",)),
        root=rule("/"),
        v1=rule("/v1"),
        orders=rule("/v1/orders"),
    )
    names = [
        "other_host",
        "other_everything",
        "far_path",
        "near_path",
        "two_missing",
        "one_missing",
        "root",
        "v1",
        "orders",
    ]
    assert explanation.winner == names.index("orders")
    assert [names[position] for position, _ in explanation.losers] == (
        ["v1", "root", "one_missing", "two_missing", "near_path", "far_path", "other_host", "other_everything"]
    )


def test_names_come_from_the_targets() -> None:
    """The caller says how a target is called."""
    table = RouteTable([(rule("/"), {"name": "all"}), (rule("/v1"), {"name": "one"})])
    explanation = table.explain(Request(path="/v1"), name=lambda target: target["name"])
    assert explanation.losers == ((0, 'matches, but "one" has a longer prefix ("/v1" over "/")'),)
