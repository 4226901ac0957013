"""Routes that can never win."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshctl.core.route_table import RouteTable, never_wins
from meshctl.model.route import Match, PathMatch, ValueMatch

from . import random_routes

A, B = ValueMatch("a", "exact", "1"), ValueMatch("b", "present")


def rule(path: str = "/v1", kind: Any = "prefix", **rest: Any) -> Match:
    return Match(path=PathMatch(kind, path), **rest)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (rule(), rule()),
        (rule("/v1/"), rule("/v1")),
        (rule("/v1", "exact"), rule("/v1", "exact")),
        (rule("/v.", "regex"), rule("/v.", "regex")),
        (rule(hosts=("a", "b")), rule(hosts=("b",))),
        (rule(hosts=("a", "b")), rule(hosts=("b", "a", "b"))),
        (rule(methods=("GET", "POST")), rule(methods=("POST",))),
        (rule(headers=(A, B)), rule(headers=(B, A))),
        (rule(query=(A, B)), rule(query=(B, A))),
    ],
)
def test_covered(first: Match, second: Match) -> None:
    """A later route that asks for nothing an earlier one does not take can never win."""
    assert never_wins([rule("/other"), first, second]) == [(2, 1)]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (rule("/v1"), rule("/v1", "exact")),
        (rule("/v1", "exact"), rule("/v1")),
        (rule("/v1/", "exact"), rule("/v1", "exact")),
        (rule("/"), rule("/v1")),
        (rule("/v1"), rule("/")),
        (rule(), rule(methods=("GET",))),
        (rule(methods=("GET",)), rule()),
        (rule(methods=("GET",)), rule(methods=("GET", "PUT"))),
        (rule(hosts=("a",)), rule()),
        (rule(), rule(hosts=("a",))),
        (rule(hosts=("a",)), rule(hosts=("a", "b"))),
        (rule(hosts=("*.a",)), rule(hosts=("b.a",))),
        (rule(headers=(A,)), rule(headers=(A, B))),
        (rule(headers=(A,)), rule(query=(A,))),
        (rule(query=(A,)), rule()),
    ],
)
def test_not_covered(first: Match, second: Match) -> None:
    """A route that takes some request before or beside the other is no loser."""
    assert never_wins([first, second]) == []


def test_covered_by_several() -> None:
    """A route whose methods or hosts are taken by several others together is reported with one of them."""
    get, put, both = rule(methods=("GET",)), rule(methods=("PUT",)), rule(methods=("GET", "PUT"))
    assert never_wins([get, put, both]) == [(2, 0)]
    assert never_wins([rule(hosts=("a",)), rule(hosts=("b",)), rule(hosts=("b", "a"))]) == [(2, 1)]


@given(st.integers(0, 2**32))
def test_losers_never_win(seed: int) -> None:
    """No request is taken by a route that is said never to win, and leaving such routes out changes no lookup."""
    random = Random(seed)
    routes = random_routes.routes(random, most=40)
    routes += random.sample(routes, len(routes) // 4)
    losers = {loser for loser, _ in never_wins(routes)}
    table = RouteTable([(match, position) for position, match in enumerate(routes)])
    rest = RouteTable([(match, position) for position, match in enumerate(routes) if position not in losers])
    for _ in range(10):
        request = random_routes.request(random)
        winner = table.find(request)
        assert winner not in losers, (routes, request)
        assert winner == rest.find(request), (routes, request)
