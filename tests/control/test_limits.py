"""What a proxy holds of the counts that it writes down stays bounded: however many callers there seem to be, and
however long the home cannot be written."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, cast

import pytest

from meshctl import clock
from meshctl.control.limits import LiveLimits
from meshctl.core.calendar import day
from meshctl.errors import MeshError
from meshctl.model.limits import By, Quota
from meshctl.model.mesh import Mesh
from meshctl.model.route import Route
from meshctl.proxy.messages import Spent
from meshctl.proxy.meters import Meters
from meshctl.store import usage as module
from meshctl.store.home import Home
from meshctl.store.usage import Usage

MESH = Mesh(routes=(Route("r", service="s", quotas=(Quota("q", 1_000, "day", By("header", "x-tenant")),)),))


@pytest.fixture
def limits(home: Home, monkeypatch: pytest.MonkeyPatch) -> Iterator[LiveLimits]:
    """Those of a proxy that keeps a hundred callers at most."""
    monkeypatch.setattr(module, "MOST", 100)
    loop = asyncio.new_event_loop()
    made = LiveLimits(loop, home, cast(Any, SimpleNamespace(on={}, meters=Meters())))
    made.adopt(MESH)
    yield made
    made.close()
    loop.close()


@pytest.fixture
def number() -> int:
    """Today, which may end while a test runs."""
    return day(clock.wall()).number


def _spent(number: int, keys: range, count: int = 1) -> Spent:
    return Spent(tuple(("r", "q", f"t{key}", number, count) for key in keys))


def test_many_callers(limits: LiveLimits, home: Home, number: int) -> None:
    """Thousands of callers leave as many behind as are kept, in the file and in memory, and the busiest is there."""
    limits.take(_spent(number, range(1), 50))
    for turn in range(30):
        limits.take(_spent(number, range(turn * 90, turn * 90 + 90)))
        limits._write()
        assert len(limits._known) <= 100
    usage = Usage(home.path)
    (row,) = [each for each in usage.of("day", number) if each.key == "t0"]
    usage.close()
    assert row.count == 51


def test_a_home_that_cannot_be_written(
    limits: LiveLimits, home: Home, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What waits to be written is bounded, and what waits of the busiest is written when that is possible again."""

    def full(*_: object) -> None:
        raise MeshError("store_full", "no space left")

    with monkeypatch.context() as patch:
        patch.setattr(Usage, "add", full)
        for turn in range(40):
            limits.take(_spent(number, range(1), 5))
            limits.take(_spent(number, range(turn * 90 + 1, turn * 90 + 90)))
            limits._write()
            assert len(limits._pending) <= 200
    limits._write()
    usage = Usage(home.path)
    (row,) = [each for each in usage.of("day", number) if each.key == "t0"]
    usage.close()
    assert row.count == 200
