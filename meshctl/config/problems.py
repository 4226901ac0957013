"""What is wrong with a configuration, as values: a `Finding` knows its key, a `Problem` also its place in the file.

It knows nothing of TOML, pydantic or the meaning of any key. A problem's text is one line that an editor can follow:

    mesh.toml:12:3: routes[0].servce: unknown key; did you mean "service"?
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from functools import lru_cache
from typing import Final, Literal

import msgspec

from meshctl.errors import MeshError

Path = tuple[str | int, ...]
"""Where a key is: names of tables and keys, numbers of array elements."""
Severity = Literal["error", "warning"]

_BARE: Final = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)
_SHORT_LIST: Final = 100
_LONGEST_SHOWN: Final = 60
_LONGEST_WORD: Final = 128


class Wrong(ValueError):  # noqa: N818 - reads as `raise Wrong`; the validators of this package share it
    """Raised by validators: what is wrong, what was expected, the way out. Without a message the value is quoted."""

    def __init__(self, message: str = "", *, expected: str = "", hint: str = "") -> None:
        super().__init__(message or f"expected {expected}")
        self.message = message
        self.expected = expected
        self.hint = hint


class Finding(msgspec.Struct, frozen=True):
    """Something wrong at a key, not yet looked up in the file."""

    path: Path
    message: str
    expected: str = ""
    hint: str = ""
    severity: Severity = "error"


class Problem(msgspec.Struct, frozen=True):
    """Something wrong at a place in a file. Lines and columns count from 1, columns in characters."""

    file: str
    line: int
    column: int
    path: str
    message: str
    expected: str = ""
    hint: str = ""
    severity: Severity = "error"

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}:{self.column}: "
        return where + "; ".join(filter(None, (self._what(), self.expected and f"expected {self.expected}", self.hint)))

    def _what(self) -> str:
        kind = "" if self.severity == "error" else "warning: "
        return f"{kind}{self.path}: {self.message}" if self.path else f"{kind}{self.message}"


class ConfigInvalid(MeshError):  # noqa: N818 - named after its code, like the other MeshErrors
    """A configuration with errors. `problems` has all of them and the warnings, in the file's order."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("config_invalid", "\n".join(map(str, problems)))
        self.problems = tuple(problems)


def path_text(path: Path) -> str:
    """The path as a person writes it: `("routes", 0, "path")` → `routes[0].path`."""
    out = ""
    for step in path:
        if isinstance(step, int):
            out += f"[{step}]"
        else:
            out += ("." if out else "") + (step if _BARE.fullmatch(step) else quoted(step))
    return out


def quoted(value: object) -> str:
    """A value in quotes, on one line and cut where it is long."""
    text = value if isinstance(value, str) else str(value)
    shown = text if len(text) <= _LONGEST_SHOWN else text[: _LONGEST_SHOWN - 1] + "…"
    return '"' + "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in shown) + '"'


def one_of(names: Iterable[str]) -> str:
    """`one of "a", "b"`; empty where the list would be too long to read."""
    listed = ", ".join(map(quoted, names))
    return f"one of {listed}" if listed and len(listed) <= _SHORT_LIST else ""


def did_you_mean(word: str, names: Iterable[str]) -> str:
    """`did you mean "orders"?` for the name nearest to `word`, or nothing."""
    return _did_you_mean(word, tuple(names)) if len(word) <= _LONGEST_WORD else ""


# Files repeat their mistakes, and comparing words is slow: without memory it takes a third of a bad file's time.
@lru_cache(maxsize=64)
def _did_you_mean(word: str, names: tuple[str, ...]) -> str:
    near = get_close_matches(word.lower(), names, n=1, cutoff=0.6)
    return f"did you mean {quoted(near[0])}?" if near else ""
