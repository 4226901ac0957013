"""The output of many programs on one screen: bytes cut into lines, each shown with the name of who wrote it.

Whatever a program writes, a line of it stays a line of its own: too long ones come in pieces, what would move the
cursor is escaped, colours end where the line does. Pure: bytes in, text out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final, Literal, NamedTuple

from meshctl.observe.quoting import DECEIVING

LONGEST: Final = 16_384
"""Bytes of a line that are kept waiting for its end."""

Kind = Literal["out", "error", "own"]
"""What a program wrote to stdout, to stderr, and what is said about it."""
_BARS: Final[dict[Kind, str]] = {"out": "|", "error": "!", "own": "*"}
_WIDEST_NAME: Final = 24

_RESET: Final = "\x1b[0m"
_RED: Final = "\x1b[31m"
_BOLD: Final = "\x1b[1m"
# Red is for trouble, black and white for the text itself.
_COLOURS: Final = tuple(f"\x1b[{number}m" for number in (36, 33, 32, 35, 34, 96, 93, 92, 95, 94))

_STYLE: Final = re.compile(r"\x1b\[[0-9;:]*m")
# What ends a line, speaks to a terminal or turns the writing direction; tabs and the beginning of a style may stay.
_UNSAFE: Final = re.compile(rf"[\x00-\x08\x0a-\x1a\x1c-\x1f\x7f-\x9f{DECEIVING}]|\x1b(?!\[[0-9;:]*m)")


class Line(NamedTuple):
    """A line without its end, or a piece of one: all but the first are `is_rest`, all but the last not `is_last`."""

    data: bytes
    is_rest: bool = False
    is_last: bool = True


class Lines:
    """What one program writes, put together to lines."""

    def __init__(self) -> None:
        self._waiting = b""
        self._is_rest = False

    def __repr__(self) -> str:
        return f"<Lines {len(self._waiting)} bytes waiting>"

    def feed(self, data: bytes) -> list[Line]:
        """The lines that `data` completes."""
        *whole, rest = (self._waiting + data).split(b"\n")
        self._waiting = b""
        lines = [piece for line in whole for piece in self._pieces(line, is_ended=True)]
        return [*lines, *self._pieces(rest, is_ended=False)]

    def end(self) -> list[Line]:
        """The line that was never ended, where there is one: nothing more will come."""
        waiting, self._waiting = self._waiting, b""
        return [self._line(waiting, is_last=True)] if waiting or self._is_rest else []

    def _pieces(self, line: bytes, *, is_ended: bool) -> Iterator[Line]:
        """A line in pieces that are not too long; the last of one that has not ended waits."""
        while len(line) > LONGEST:
            end = _boundary(line, LONGEST)
            yield self._line(line[:end], is_last=False)
            line = line[end:]
        if is_ended:
            yield self._line(line, is_last=True)
        else:
            self._waiting = line

    def _line(self, data: bytes, *, is_last: bool) -> Line:
        is_rest, self._is_rest = self._is_rest, not is_last
        return Line(data, is_rest, is_last)


class Names:
    """How the lines of each name look: all begin at one column, each name has a colour of its own."""

    def __init__(self, names: Sequence[str], *, is_coloured: bool) -> None:
        self._is_coloured = is_coloured
        self._width = min(_WIDEST_NAME, max(map(len, names), default=0))
        self._colours = {name: _COLOURS[at % len(_COLOURS)] for at, name in enumerate(dict.fromkeys(names))}

    def __repr__(self) -> str:
        return f"<Names {', '.join(self._colours)}>"

    def show(self, name: str, kind: Kind, line: Line) -> str:
        """The line as it is written, with its end."""
        text = _text(line, may_style=self._is_coloured)
        bar = _BARS[kind]
        if not self._is_coloured:
            return f"{name:<{self._width}} {bar} {text}".rstrip() + "\n"
        colour = self._colours.get(name, "") if kind != "own" else _BOLD
        shown = f"{colour}{name:<{self._width}}{_RESET}"
        return f"{shown} {_RED}{bar}{_RESET} {text}\n" if kind == "error" else f"{shown} {bar} {text}\n"


def _text(line: Line, *, may_style: bool) -> str:
    text = line.data.decode("utf-8", "backslashreplace")
    # A progress bar returns to the line's beginning: what it wrote last is what a screen would show.
    text = text.rstrip("\r").rpartition("\r")[2]
    text = _UNSAFE.sub(_escape, text)
    if not may_style:
        text = _STYLE.sub("", text)
    elif "\x1b" in text:
        text += _RESET
    return ("…" if line.is_rest else "") + text


def _escape(found: re.Match[str]) -> str:
    code = ord(found[0])
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}"


def _boundary(line: bytes, at: int) -> int:
    """Where to cut near `at` without cutting a character in two (UTF-8 continuation bytes are 10xxxxxx)."""
    for end in range(at, at - 4, -1):
        if line[end] & 0xC0 != 0x80:
            return end
    return at
