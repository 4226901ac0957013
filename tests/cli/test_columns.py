"""How columns share a narrow terminal: what is short stays whole, what is spare goes, none gets more than it needs."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from meshctl.cli.columns import GAP, kept, widths

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
