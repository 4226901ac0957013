"""What a lookup costs, counted in bytecode instructions: unlike seconds they are the same on a busy machine."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest

from meshctl.core.route_table import RouteTable, never_wins
from meshctl.model.route import Match, PathMatch

from .request import Request

Make = Callable[[int], tuple[Match, Request]]

MIXES: dict[str, Make] = {
    "prefix": lambda n: (Match(path=PathMatch("prefix", f"/v1/s{n}")), Request(path=f"/v1/s{n}/12/items")),
    "nested prefix": lambda n: (
        Match(path=PathMatch("prefix", f"/{n % 7}/" * (n % 3 + 1) + f"s{n}")),
        Request(path="/3/x"),
    ),
    "exact": lambda n: (Match(path=PathMatch("exact", f"/v1/s{n}")), Request(path=f"/v1/s{n}")),
    "regex": lambda n: (Match(path=PathMatch("regex", rf"/v1/s{n}/\d+")), Request(path=f"/v1/s{n}/12")),
    "hosts": lambda n: (Match(hosts=(f"s{n}.example",)), Request(host=f"s{n}.example", path="/v1/x")),
    "wildcards": lambda n: (Match(hosts=(f"*.s{n}.example",)), Request(host=f"a.s{n}.example", path="/v1/x")),
}


def instructions(function: Callable[[Request], Any], request: Request) -> int:
    """How many bytecode instructions `function(request)` executes."""
    count = 0

    def trace(frame: FrameType, event: str, argument: Any) -> Any:
        nonlocal count
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        count += event == "opcode"
        return trace

    previous = sys.gettrace()
    sys.settrace(trace)
    try:
        function(request)
    finally:
        sys.settrace(previous)
    return count


def table_of(make: Make, count: int) -> RouteTable[int]:
    return RouteTable([(make(number)[0], number) for number in range(count)])


@pytest.mark.parametrize("mix", MIXES.values(), ids=MIXES.keys())
def test_ten_thousand_routes_cost_what_ten_do(mix: Make) -> None:
    """A lookup among 10,000 routes executes at most 1.15 times the instructions of one among ten."""
    few, many = table_of(mix, 10), table_of(mix, 10_000)
    requests = [mix(number)[1] for number in range(10)]
    small = sum(instructions(few.find, request) for request in requests)
    large = sum(instructions(many.find, request) for request in requests)
    assert small > 100
    assert large <= 1.15 * small


@pytest.mark.parametrize(
    "request_",
    [
        Request(path="/" * 8000),
        Request(path="/a" * 4000),
        Request(path="/v1" * 2500),
        Request(host="." * 8000),
        Request(host="a." * 4000 + "s1.example"),
    ],
    ids=["slashes", "segments", "prefixes", "dots", "labels"],
)
def test_hostile_requests_cost_little(request_: Request) -> None:
    """A path of thousands of segments or a host of thousands of labels costs no more than a few ordinary ones."""
    routes = [(make(number)[0], number) for make in MIXES.values() for number in range(100)]
    assert instructions(RouteTable(routes).find, request_) < 2000


def test_a_long_prefix_keeps_hostile_paths_linear() -> None:
    """Even where one route has a prefix of thousands of segments, the cost of a path grows with its length only."""
    table = RouteTable([(Match(path=PathMatch("prefix", "/a" * 4000)), 1), (Match(path=PathMatch("prefix", "/b")), 2)])
    half = instructions(table.find, Request(path="/c" * 2000))
    assert instructions(table.find, Request(path="/c" * 4000)) < 2.5 * half


def test_the_overlap_check_is_near_linear() -> None:
    """Checking twice as many routes costs about twice as much."""
    costs = []
    for count in (500, 1000):
        routes = [MIXES["prefix"](number)[0] for number in range(count)]
        costs.append(instructions(lambda _, routes=routes: never_wins(routes), Request()))
    assert costs[1] < 2.2 * costs[0]
