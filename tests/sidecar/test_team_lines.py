"""Lines of many programs on one screen."""

from __future__ import annotations

import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshctl.sidecar.team_lines import LONGEST, Kind, Line, Lines, Names

# Long runs of one byte or character are what reaches the limit.
PARTS = st.one_of(
    st.binary(max_size=40),
    st.sampled_from([b"\n", b"\r\n", b"\r", "é".encode(), "€".encode(), "🦊".encode(), b"\x80", b"\xff"]),
    st.builds(lambda part, times: part * times, st.sampled_from([b"x", "€".encode(), b"\x80"]), st.integers(0, 20_000)),
)
OUTPUT = st.lists(PARTS, max_size=8).map(b"".join)
ESCAPES = re.compile(r"\x1b\[[0-9;:]*m")


def all_lines(chunks: list[bytes]) -> list[Line]:
    """What comes of a program that writes these chunks and ends."""
    lines = Lines()
    return [line for chunk in chunks for line in lines.feed(chunk)] + lines.end()


@given(OUTPUT)
def test_nothing_is_lost(output: bytes) -> None:
    """The lines, put together again, are what was written; none of their pieces is longer than the limit."""
    lines = all_lines([output])
    written = b"".join(line.data + (b"\n" if line.is_last else b"") for line in lines)
    assert written in (output, output + b"\n")
    assert all(len(line.data) <= LONGEST for line in lines)


@given(OUTPUT, st.lists(st.integers(0, 40_000), max_size=8))
def test_how_it_comes_does_not_matter(output: bytes, cuts: list[int]) -> None:
    """The same bytes give the same lines, in whatever chunks they are read."""
    places = sorted(min(cut, len(output)) for cut in cuts)
    chunks = [output[start:end] for start, end in zip([0, *places], [*places, len(output)], strict=True)]
    assert all_lines([output]) == all_lines(chunks)


def test_byte_by_byte() -> None:
    """Bytes that come one by one give the same lines."""
    output = "one\r\ntwo €\n\n".encode() + b"x" * (LONGEST + 1) + b"\nend"
    assert all_lines([output]) == all_lines([bytes([byte]) for byte in output])


def test_a_character_is_not_cut_in_two() -> None:
    """A line that is too long is cut between two characters."""
    text = "x" + "€" * LONGEST
    lines = all_lines([text.encode()])
    assert len(lines) > 2
    assert text == "".join(line.data.decode() for line in lines)


@given(st.sampled_from(["out", "error", "own"]), OUTPUT, st.booleans())
def test_every_line_stays_a_line(kind: Kind, output: bytes, is_coloured: bool) -> None:
    """Whatever is written: one line each, nothing in it moves the cursor, and no colour goes on after it."""
    names = Names(["web", "orders v1"], is_coloured=is_coloured)
    for line in all_lines([output]):
        shown = names.show("web", kind, line)
        text = shown.removesuffix("\n")
        assert shown != text
        if not is_coloured:
            assert "\x1b" not in text
        plain = ESCAPES.sub("", text)
        assert [each for each in plain if unicodedata.category(each) == "Cc" and each != "\t"] == []
        assert not ESCAPES.findall(text) or ESCAPES.findall(text)[-1] == "\x1b[0m"


@pytest.mark.parametrize(
    ("data", "plain", "coloured"),
    [
        (b"hello", "hello", "hello"),
        (b"hello\r", "hello", "hello"),
        (b"10%\r20%\r30%", "30%", "30%"),
        (b"\x1b[32mgreen\x1b[0m", "green", "\x1b[32mgreen\x1b[0m\x1b[0m"),
        (b"\x1b[2J\x07", "\\x1b[2J\\x07", "\\x1b[2J\\x07"),
        (b"\xff\x00\tend", "\\xff\\x00\tend", "\\xff\\x00\tend"),
        ("\u202eabc".encode(), "\\u202eabc", "\\u202eabc"),
    ],
)
def test_what_a_line_says(data: bytes, plain: str, coloured: str) -> None:
    """Text comes as it is, colours only where they are wanted, and bytes that are no text as escapes."""
    line = Line(data)
    assert Names(["web"], is_coloured=False).show("web", "out", line) == f"web | {plain}\n"
    assert Names(["web"], is_coloured=True).show("web", "out", line) == f"\x1b[36mweb\x1b[0m | {coloured}\n"


def test_names_are_aligned() -> None:
    """All text begins at the same column; errors and what is said about a program have another mark."""
    names = Names(["gateway", "orders v1", "web"], is_coloured=False)
    assert names.show("web", "out", Line(b"a")) == "web       | a\n"
    assert names.show("orders v1", "error", Line(b"a")) == "orders v1 ! a\n"
    assert names.show("web", "own", Line(b"ended with 0")) == "web       * ended with 0\n"
    assert names.show("web", "out", Line(b"a", is_rest=True)) == "web       | …a\n"


def test_names_keep_their_colours() -> None:
    """Each name has one colour, the next another."""
    names = Names(["gateway", "orders v1", "web"], is_coloured=True)
    first, again, other = (names.show(name, "out", Line(b"")) for name in ("web", "web", "gateway"))
    assert first == again
    assert first[:5] != other[:5]
