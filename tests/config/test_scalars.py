"""Units and addresses: what is written is what is read."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshctl.model.address import overlap, parse_address
from meshctl.model.units import (
    format_duration,
    format_percent,
    format_size,
    in_a_row,
    parse_duration,
    parse_percent,
    parse_rate,
    parse_size,
)


@given(st.integers(0, 10_000_000_000).map(lambda micros: micros / 1e6))
def test_durations_survive(seconds: float) -> None:
    """A duration to the microsecond, written and read, is the same."""
    assert parse_duration(format_duration(seconds)) == pytest.approx(seconds, rel=1e-9, abs=1e-12)


@given(st.integers(0, 2**50))
def test_sizes_survive(count: int) -> None:
    """A size, written and read, is the same to the byte."""
    assert parse_size(format_size(count)) == count


@given(st.integers(0, 1000))
def test_percentages_survive(tenths: int) -> None:
    """A percentage, written and read, is the same."""
    assert parse_percent(format_percent(tenths / 1000)) == pytest.approx(tenths / 1000)


@pytest.mark.parametrize("text", ["", "s", "1", "1 s", "-1s", "1s1", "1.s", "1e3s", "٣s", "1s ", "9" * 400 + "s"])
def test_no_durations(text: str) -> None:
    """What is no duration is refused with what was expected."""
    with pytest.raises(ValueError, match="expected a duration"):
        parse_duration(text)


@pytest.mark.parametrize("text", ["", "1", "1kb", "1 KiB B", "-1B", "KiB", "9" * 400 + "B", "5000TiB"])
def test_no_sizes(text: str) -> None:
    """What is no size, or more than any machine has, is refused with what was expected."""
    with pytest.raises(ValueError, match="expected a size"):
        parse_size(text)


def test_rates() -> None:
    """A rate is events per second, whatever its unit."""
    assert parse_rate("100/s") == parse_rate("6000/m") == 100
    with pytest.raises(ValueError, match="expected a rate"):
        parse_rate("100")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("127.0.0.1:80", ("127.0.0.1", 80)),
        (":0", ("", 0)),
        ("[::1]:80", ("::1", 80)),
        ("[0:0:0::1]:80", ("::1", 80)),
        ("Shop.Example.:80", ("shop.example.", 80)),
        ("my_app:65535", ("my_app", 65535)),
    ],
)
def test_addresses(text: str, expected: tuple[str, int]) -> None:
    """An address is host:port, the host in its one form."""
    assert parse_address(text) == expected


@pytest.mark.parametrize(
    "text",
    ["", "80", "h", "h:", "h:x", "h:65536", "::1:80", "[::1]", "[h]:1", "1.2.3:80", "[1.2.3.4]:1", "a..b:1"],
)
def test_no_addresses(text: str) -> None:
    """What is no address is refused with what was expected."""
    with pytest.raises(ValueError, match="expected "):
        parse_address(text)


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("127.0.0.1", "127.0.0.1", True),
        ("127.0.0.1", "127.0.0.2", False),
        ("", "127.0.0.1", True),
        ("", "::1", True),
        ("0.0.0.0", "127.0.0.1", True),
        ("0.0.0.0", "::1", False),
        ("::", "::1", True),
        ("::", "0.0.0.0", False),
        ("localhost", "127.0.0.1", True),
        ("localhost", "::1", True),
        ("localhost", "0.0.0.0", True),
        ("localhost", "127.0.0.2", False),
        ("a.example", "b.example", False),
        ("a.example", "", True),
    ],
)
def test_overlap(one: str, other: str, expected: bool) -> None:
    """Two hosts overlap where one port cannot be taken on both, in either order."""
    assert overlap(one, other) is overlap(other, one) is expected


def test_one_is_no_row() -> None:
    """A single failure is told without a plural; more of them are so many in a row."""
    assert [in_a_row(1, "failure"), in_a_row(3, "failed check")] == ["1 failure", "3 failed checks in a row"]
