"""Which kinds of requests there are most of."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from meshctl.core.path_shape import MOST_PARTS, path_shape
from meshctl.model.tap import TapEvent
from meshctl.observe.busiest import MOST, Busiest


@pytest.mark.parametrize(
    ("path", "shape"),
    [
        ("/", "/"),
        ("/v1/orders", "/v1/orders"),
        ("/v1/orders/1042/items", "/v1/orders/*/items"),
        ("/v1/orders/1042?x=/7", "/v1/orders/*"),
        ("/u/0a1b2c3d-1111-2222-3333-444455556666/avatar.png", "/u/*/avatar.png"),
        ("/t/5f3e9ab812", "/t/*"),
        ("/t/dGhpcyBpcyBhIGtle1E", "/t/*"),
        ("/2026-11-22/report", "/*/report"),
        ("/user/ann@example.com", "/user/*"),
        ("/deadbeef", "/deadbeef"),
        ("/recommendations-for-you", "/recommendations-for-you"),
        ("/a/b/c/d/e/f/g/h", "/a/b/c/d/e/f/…"),
        ("", ""),
    ],
)
def test_kinds_of_paths(path: str, shape: str) -> None:
    """What names one thing among many is left open, what names a kind is not."""
    assert path_shape(path) == shape


@given(st.lists(st.integers(0, 10**12), min_size=1, max_size=20))
def test_numbers_make_no_kinds(numbers: list[int]) -> None:
    """However many numbers there are, the kind is one."""
    assert {path_shape(f"/orders/{number}/items") for number in numbers} == {"/orders/*/items"}


@given(st.text(max_size=400))
def test_kinds_are_bounded(path: str) -> None:
    """No path makes a long kind, and a kind is of the same kind as itself."""
    shape = path_shape(path)
    assert len(shape) <= (MOST_PARTS + 1) * 50 + 2
    assert shape.count("/") <= MOST_PARTS + 1


def event(path: str, *, status: int = 200, took: int = 1_000, proxy: str = "out") -> TapEvent:
    """A request of web to orders."""
    return TapEvent(1795336000.0, proxy, "GET", "orders", path, status, took, "id", "web", "127.0.0.1", "orders")


def test_a_kind_counts() -> None:
    """Count, best, worst, last and the share of successes are those of the kind's requests."""
    found = Busiest()
    for took, status in ((3_000, 200), (1_000, 503), (2_000, 404)):
        found.add(event(f"/orders/{took}", status=status, took=took))
    (row,) = found.rows("count")
    assert (row.source, row.destination, row.method, row.path) == ("web", "orders", "GET", "/orders/*")
    assert (row.count, row.best, row.worst, row.last) == (3, 1_000, 3_000, 2_000)
    assert row.success == pytest.approx(2 / 3)
    found.clear()
    assert found.rows("count") == []


def test_an_answer_that_was_cut_off_is_no_success() -> None:
    """Nobody got what its status promised."""
    found = Busiest()
    found.add(replace(event("/orders"), reason="upstream_cut"))
    assert found.rows("count")[0].success == 0


def test_a_request_that_was_given_up_is_no_success() -> None:
    """Of three of which one failed and one was given up, half succeeded."""
    found = Busiest()
    for status, reason in ((200, ""), (502, "upstream_connect"), (499, "client_gone")):
        found.add(replace(event("/orders", status=status), reason=reason))
    assert found.rows("count")[0].success == 0.5


def test_rows_are_sorted_and_filtered() -> None:
    """By any column, what matters most first; only those in which a text stands, wherever."""
    found = Busiest()
    found.add(event("/slow", took=9_000))
    for _ in range(3):
        found.add(event("/often"))
    found.add(event("/broken", status=500, took=500))
    first = {sort: found.rows(sort)[0].path for sort in ("count", "best", "worst", "last", "success")}
    assert first == {"count": "/often", "best": "/slow", "worst": "/slow", "last": "/slow", "success": "/broken"}
    assert [row.path for row in found.rows("count", "OFT")] == ["/often"]
    assert found.rows("count", "nothing") == []


def test_the_source_of_what_enters_is_its_client() -> None:
    """What comes in at the gateway is told apart by who sent it there."""
    found = Busiest()
    found.add(event("/a", proxy="gateway"))
    assert found.rows("count")[0].source == "127.0.0.1"


def test_kinds_are_few() -> None:
    """Of more kinds than are kept those seen longest ago are forgotten."""
    found = Busiest()
    for number in range(MOST + 5):
        found.add(event(f"/kind-{number}x"))
        found.add(event("/always"))
    assert len(found) == MOST
    assert found.rows("count")[0].count == MOST + 5
