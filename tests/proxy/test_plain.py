"""Who is remembered of those that came in the clear."""

from __future__ import annotations

import pytest

from meshctl import clock
from meshctl.proxy.plain import MOST_CALLERS, PlainCallers


def seen(callers: PlainCallers) -> dict[str, tuple[int, float]]:
    """Count and moment of each address."""
    return {view.caller: (view.count, view.last_seen) for view in callers.views("orders")}


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The wall clock, to be set."""
    value = [1000.0]
    monkeypatch.setattr(clock, "wall", lambda: value[0])
    return value


def test_last_seen_is_the_end(now: list[float]) -> None:
    """An address is there as long as one of its connections is, and was last there when the last of them ended."""
    callers = PlainCallers()
    callers.came("a")
    now[0] = 1010.0
    callers.came("a")
    now[0] = 1020.0
    callers.left("a")
    now[0] = 1030.0
    assert seen(callers) == {"a": (2, 1030.0)}
    callers.left("a")
    now[0] = 1040.0
    assert seen(callers) == {"a": (2, 1030.0)}


def test_those_seen_last_are_kept(now: list[float]) -> None:
    """However many addresses come, a bounded number is remembered: those that were seen last."""
    callers = PlainCallers()
    for number in range(MOST_CALLERS):
        callers.came(f"a{number}")
        callers.left(f"a{number}")
    callers.came("a0")
    callers.left("a0")
    callers.came("new")
    found = seen(callers)
    assert len(found) == MOST_CALLERS
    assert found["a0"] == (2, 1000.0)
    assert "a1" not in found
    callers.left("new")
    assert seen(callers)["new"] == (1, 1000.0)


def test_forgotten_while_it_is_there(now: list[float]) -> None:
    """An address that was crowded out while it was connected leaves without a trace."""
    callers = PlainCallers()
    callers.came("a")
    for number in range(MOST_CALLERS):
        callers.came(f"b{number}")
    assert "a" not in seen(callers)
    callers.left("a")
    assert "a" not in seen(callers)
