"""Which requests a tap wants."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshctl.core.tap_filter import Wanted, parse_header, parse_status
from meshctl.model.tap import TapFilter

CALL = {"source": "web", "client": "10.0.0.9", "destination": "orders", "version": "v2"}


@pytest.mark.parametrize(
    ("told", "takes"),
    [
        (TapFilter(), True),
        (TapFilter(services=("orders",)), True),
        (TapFilter(services=("web",)), True),
        (TapFilter(services=("cart", "web")), True),
        (TapFilter(services=("cart",)), False),
        (TapFilter(sources=("web",)), True),
        (TapFilter(sources=("10.0.0.9",)), True),
        (TapFilter(sources=("orders",)), False),
        (TapFilter(destinations=("orders",)), True),
        (TapFilter(destinations=("orders/v2",)), True),
        (TapFilter(destinations=("orders/v1",)), False),
        (TapFilter(destinations=("web",)), False),
        (TapFilter(sources=("web",), destinations=("cart",)), False),
    ],
)
def test_who_calls_whom(told: TapFilter, takes: bool) -> None:
    """Callers are known by service or address, callees by service or version; all that is asked for must hold."""
    assert Wanted(told).takes(**CALL) is takes


@pytest.mark.parametrize(
    ("told", "takes"),
    [
        (TapFilter(methods=("get",)), True),
        (TapFilter(methods=("POST", "PUT")), False),
        (TapFilter(paths=("/v1",)), True),
        (TapFilter(paths=("/v1/orders/7/",)), True),
        (TapFilter(paths=("/v1/ord",)), False),
        (TapFilter(paths=("/v1/*/7",)), True),
        (TapFilter(paths=("/v1/*/8", "/v1")), True),
        (TapFilter(paths=("/v1.orders*",)), False),
        (TapFilter(paths=("/",)), True),
        (TapFilter(statuses=((500, 599),)), True),
        (TapFilter(statuses=((200, 299), (404, 404))), False),
        (TapFilter(slow=0.2), True),
        (TapFilter(slow=0.201), False),
    ],
)
def test_what_was_asked(told: TapFilter, takes: bool) -> None:
    """Methods in any case, paths by whole segments or patterns, statuses by range, and how long it took."""
    assert Wanted(told).takes_request("GET", "/v1/orders/7", 503, 0.2) is takes


@pytest.mark.parametrize(
    ("text", "found"),
    [("503", ((503, 503),)), ("5xx", ((500, 599),)), ("400-404,2XX", ((400, 404), (200, 299)))],
)
def test_statuses_as_they_are_typed(text: str, found: tuple[tuple[int, int], ...]) -> None:
    """A status, a class, a range, or several of these."""
    assert parse_status(text) == found


@pytest.mark.parametrize("text", ["", "5", "6xx", "500-400", "abc", "500,"])
def test_what_is_no_status(text: str) -> None:
    """Anything else is told."""
    with pytest.raises(ValueError, match=r"no status|ends before"):
        parse_status(text)


@pytest.mark.parametrize(
    ("text", "value", "takes"),
    [("X-User: alice", "alice", True), ("x-user:al*", "alice", True), ("x-user", "anybody", True),
     ("x-user: alice", "alice2", False), ("x-user: a.ice", "alice", False)],
)  # fmt: skip
def test_headers(text: str, value: str, takes: bool) -> None:
    """A header has its value, something like it, or is there at all."""
    told = parse_header(text)
    assert told[0] == "x-user"
    ((_, pattern),) = Wanted(TapFilter(headers=(told,))).headers
    assert (pattern.fullmatch(value) is not None) is takes


@pytest.mark.parametrize("text", ["", ": x", "a b: c"])
def test_what_is_no_header(text: str) -> None:
    """Anything else is told."""
    with pytest.raises(ValueError, match="not a header"):
        parse_header(text)


@given(st.text(max_size=20), st.text(max_size=20))
def test_a_path_is_no_expression(pattern: str, path: str) -> None:
    """Whatever is typed is compared as it stands, but for the star."""
    takes = Wanted(TapFilter(paths=(pattern,))).takes_request("GET", path, 200, 0.0)
    if "*" not in pattern:
        head = pattern.rstrip("/")
        assert takes is (path == head or path.startswith(f"{head}/"))
