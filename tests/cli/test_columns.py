"""How columns share a narrow terminal: what is short stays whole, what is spare goes, none gets more than it needs."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshctl.cli.columns import GAP, folded, kept, widths

LINES = [
    ["SIDECAR", "STATE", "INBOUND", "RESTARTS"],
    ["orders-v1-1b2522", "ready", "127.0.0.1:38401", "0"],
    ["web-default-bdb0fc", "draining", "127.0.0.1:42083", "12"],
]


def test_what_fits_is_left_alone() -> None:
    """Where all fits nothing is decided and nothing is left out; one character less, and it is."""
    whole = 18 + 8 + 15 + 8 + 3 * GAP
    assert (widths(LINES, whole), kept(LINES, ("INBOUND",), whole)) == (None, [0, 1, 2, 3])
    assert widths(LINES, whole - 1) == [17, 8, 15, 8]
    assert kept(LINES, ("RESTARTS", "INBOUND"), whole - 1) == [0, 1, 2]


def test_short_ones_stay_whole() -> None:
    """States, numbers and headings are not broken, as long as the long ones have room to fold."""
    for width in range(40, 55):
        found = widths(LINES, width)
        assert found is not None
        assert (found[1], found[3]) == (8, 8)


def test_half_a_number_is_another_number() -> None:
    """Columns of numbers keep them whole, blanks and all, while names give way; where nothing else helps spare ones go,
    and one that the table does not have is no matter."""
    lines = [["SUBJECT", "LEFT", "USED BY"], ["intermediate 1", "3649d 23h", "orders-v2-8d8e98"]]
    assert widths(lines, 37, solid=[1]) == [14, 9, 10]
    assert widths(lines, 30, solid=[1]) == [8, 9, 9]
    assert kept(lines, ("NOWHERE", "LEFT"), 32) == [0, 2]


@pytest.mark.parametrize(
    ("text", "width", "lines"),
    [
        ("v1 90% v2 10%", 9, ["v1 90% v2", "10%"]),
        ("orders-v1-0397bb", 12, ["orders-v1-", "0397bb"]),
        ("/v1/orders/*", 8, ["/v1/", "orders/*"]),
        ("spiffe://demo.mesh/service/web", 18, ["spiffe://demo.", "mesh/service/web"]),
        ("127.0.0.1:38401", 12, ["127.0.0.1:", "38401"]),
        ("0123456789", 4, ["0123", "4567", "89"]),
        ("client_gone 17.9%", 11, ["client_gone", "17.9%"]),
    ],
)
def test_folds_where_names_have_joints(text: str, width: int, lines: list[str]) -> None:
    """Long texts end at blanks, or behind what joins the parts of a name, before any part is broken."""
    assert folded(text, width).split("\n") == lines


@given(st.text(st.sampled_from("ab1 /.-"), max_size=30), st.integers(1, 12))
def test_folding_loses_nothing(text: str, width: int) -> None:
    """No line is too long, and but for blanks all of the text is there."""
    lines = folded(text, width).split("\n")
    assert all(len(line) <= width for line in lines)
    assert "".join(lines).replace(" ", "") == text.replace(" ", "")


def test_hopeless() -> None:
    """With no room even for the headings the terminal's own way has to do; spare columns all go."""
    assert widths(LINES, 12) is None
    assert kept(LINES, ("RESTARTS", "INBOUND"), 12) == [0, 1]


TEXTS = st.text(st.sampled_from("ab c"), max_size=12)


@given(
    st.integers(1, 6).flatmap(
        lambda count: st.lists(st.lists(TEXTS, min_size=count, max_size=count), min_size=1, max_size=4)
    ),
    st.integers(1, 90),
)
def test_never_too_wide(lines: list[list[str]], width: int) -> None:
    """Whatever is in it, a table that is given widths fits, and no column gets more than it needs."""
    found = widths(lines, width)
    if found is not None:
        assert sum(found) + GAP * (len(found) - 1) <= width
        assert all(each <= max(len(line[at]) for line in lines) for at, each in enumerate(found))
