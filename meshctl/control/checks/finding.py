"""What a check is and what it may say: pass, warn or fail, with what was seen and what to do. Looks at nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

import msgspec

if TYPE_CHECKING:
    from meshctl.control.checks.facts import Facts

Status = Literal["pass", "warn", "fail"]

_GRAVITY: Final[dict[Status, int]] = {"pass": 0, "warn": 1, "fail": 2}
_TOLD: Final = 4
"""How many of several findings are told in full."""


class Finding(msgspec.Struct, frozen=True):
    """What a check found: `detail` is what was seen, `hint` what to do, with the command where one helps."""

    status: Status
    detail: str
    hint: str = ""


class Check(NamedTuple):
    """One question. `run` looks and judges; it may raise whatever it likes."""

    group: str
    name: str
    run: Callable[[Facts], Finding]


class Result(msgspec.Struct, frozen=True):
    """A check with its finding, as `doctor -o json` has it."""

    group: str
    name: str
    status: Status
    detail: str
    hint: str = ""


class Unknown(Exception):  # noqa: N818 - not a failure of the check: there is nothing to judge, or no way to see it
    """A check has nothing to judge, which is fine ("pass"), or cannot see what it should ("warn")."""

    def __init__(self, detail: str, *, status: Status = "pass", hint: str = "") -> None:
        super().__init__(detail)
        self.finding = Finding(status, detail, hint)


def passed(detail: str, hint: str = "") -> Finding:
    """All is well; `hint` may tell what else could be done."""
    return Finding("pass", detail, hint)


def warned(detail: str, hint: str) -> Finding:
    """It works, but not for long or not as somebody would expect."""
    return Finding("warn", detail, hint)


def failed(detail: str, hint: str) -> Finding:
    """Something does not work."""
    return Finding("fail", detail, hint)


def worst(findings: Iterable[Finding], well: str) -> Finding:
    """One finding out of several about like things: as grave as the gravest, with its hint, the gravest told first;
    `well` is what to say where none is more than pass."""
    bad = sorted((each for each in findings if each.status != "pass"), key=lambda each: -_GRAVITY[each.status])
    if not bad:
        return passed(well)
    rest = f"; and {len(bad) - _TOLD} more" if len(bad) > _TOLD else ""
    return Finding(bad[0].status, "; ".join(each.detail for each in bad[:_TOLD]) + rest, bad[0].hint)


def counted(count: int, word: str, words: str = "") -> str:
    """A number of things: "1 service", "2 services"; `words` where the plural is another than with an "s"."""
    return f"{count} {word if count == 1 else words or word + 's'}"
