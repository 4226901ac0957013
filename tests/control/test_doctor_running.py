"""Checks run by themselves: what breaks, hangs or cannot look spoils nothing else, and is told as what it is."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from pathlib import Path
from threading import Event
from typing import NoReturn

import pytest

from meshctl import clock
from meshctl.control.checks import running
from meshctl.control.checks.facts import Facts, Once
from meshctl.control.checks.finding import Check, Finding, Unknown, failed, passed, warned, worst
from meshctl.control.checks.requirements import parsed, requirements
from meshctl.control.checks.running import examine
from meshctl.control.checks.table import CHECKS, GROUPS
from meshctl.errors import MeshError


@pytest.fixture
def facts(tmp_path: Path) -> Facts:
    """Of a home that is not there."""
    return Facts(tmp_path / "none", folder=tmp_path, environ={})


def raising(error: Exception) -> Callable[[Facts], Finding]:
    """A check that breaks."""

    def run(_facts: Facts) -> NoReturn:
        raise error

    return run


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (ValueError("odd\nvalue"), ("fail", "unexpected ValueError: odd value")),
        (MeshError("authority_unusable", "it is damaged", hint="mend it"), ("fail", "it is damaged")),
        (MeshError("store_corrupt", "it is damaged"), ("warn", "not looked at, because the store cannot be read")),
        (Unknown("nothing to see"), ("pass", "nothing to see")),
        (Unknown("no way to see", status="warn"), ("warn", "no way to see")),
        (PermissionError(13, "Not yours", "/root/x"), ("fail", '"/root/x": not yours')),
        (OSError(), ("fail", "")),
        (RecursionError(), ("fail", "unexpected RecursionError")),
    ],
    ids=lambda each: type(each).__name__ if isinstance(each, Exception) else "",
)
def test_a_check_that_raises(facts: Facts, error: Exception, expected: tuple[str, str]) -> None:
    """Whatever a check raises becomes its finding, and those beside it are as they would be."""
    found = examine(facts, [Check("g", "bad", raising(error)), Check("g", "good", lambda _: passed("fine"))])
    assert (found[0].status, found[0].detail) == expected
    assert (found[1].name, found[1].status, found[1].detail) == ("good", "pass", "fine")


def test_a_check_that_hangs(facts: Facts, monkeypatch: pytest.MonkeyPatch) -> None:
    """A check without an end fails when the time is over, and all others have run meanwhile."""
    release = Event()

    def hang(_facts: Facts) -> Finding:
        release.wait(60)
        return passed("late")

    # Those after one that hung get less time: here as much, for a machine that stands still for a moment.
    monkeypatch.setattr(running, "IMPATIENCE", 3.0)
    start = clock.monotonic()
    try:
        found = examine(facts, [Check("g", "slow", hang), Check("g", "good", lambda _: passed("fine"))], patience=3.0)
        assert clock.monotonic() - start < 30
        assert [each.status for each in found] == ["fail", "pass"]
        assert "no answer within 3 s" in found[0].detail
    finally:
        release.set()


def test_one_at_a_time(facts: Facts) -> None:
    """No two checks run at the same time: what they decode must not be met by two threads at once."""
    under_way: list[str] = []
    most = []

    def run(_facts: Facts) -> Finding:
        under_way.append("")
        most.append(len(under_way))
        Event().wait(0.005)
        under_way.pop()
        return passed("")

    examine(facts, [Check("g", str(number), run) for number in range(10)])
    assert most == [1] * 10


def test_a_fact_is_read_once() -> None:
    """A fact is read by the first who asks; its failure is kept like its value."""
    read: list[int] = []

    def count() -> int:
        read.append(1)
        return len(read)

    def fail() -> int:
        read.append(1)
        raise MeshError("failed", "no")

    value, broken = Once(count), Once(fail)
    assert (value(), value()) == (1, 1)
    for _ in range(2):
        with pytest.raises(MeshError):
            broken()
    assert len(read) == 2


def test_the_worst_of_several() -> None:
    """Of several findings the gravest decides, is told first and gives the hint; many are counted, not listed."""
    assert worst([passed("a"), passed("b")], "well") == passed("well")
    assert worst([warned("w", "1"), passed("a"), failed("f", "2")], "well") == Finding("fail", "f; w", "2")
    assert worst([failed(str(number), "") for number in range(9)], "").detail == "0; 1; 2; 3; and 5 more"


def test_the_table() -> None:
    """There are at least forty checks, each once, each with a sentence that says what holds where it passes."""
    assert len(CHECKS) >= 40
    assert len({(check.group, check.name) for check in CHECKS}) == len(CHECKS)
    assert all(check.run.__doc__ for check in CHECKS)
    assert [check.group for check in CHECKS] == [group for group in GROUPS for c in CHECKS if c.group == group]


def test_the_libraries_are_those_of_the_package() -> None:
    """Doctor looks for exactly the libraries that the package depends on."""
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    assert {each.name for each in requirements()} == {parsed(line).name for line in project["dependencies"]}


@pytest.mark.parametrize(
    ("line", "version", "is_admitted"),
    [
        ("typer>=0.26,<0.29", "0.28.0", True),
        ("typer>=0.26,<0.29", "0.29.0", False),
        ("typer>=0.26,<0.29", "0.25.9", False),
        ("aiohttp (>=3.10)", "3.10.0rc1", True),
        ("rich", "1", True),
    ],
)
def test_versions_of_libraries(line: str, version: str, is_admitted: bool) -> None:
    """A version is admitted where it lies within the bounds that the package gives."""
    assert parsed(line).admits(version) is is_admitted
