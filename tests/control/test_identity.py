"""A proxy's certificate through time: when the wall clock says so it has a new one, by itself."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from meshctl import clock
from meshctl.control.fleet import Fleet
from meshctl.control.identity import Identity
from meshctl.proxy.messages import Identify
from meshctl.store.home import open_home
from meshctl.store.sqlite import SqliteStore

HOUR = 3600.0


@pytest.mark.parametrize("hours", [17.0, 25.0, -25.0])
def test_who_slept_is_known_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hours: float) -> None:
    """A machine that wakes up with a certificate that is due or has expired, or whose clock is set back before its
    time, gets another one without being asked, and the workers are told; one in its time is left alone."""
    home = open_home(tmp_path / "home", create=True)
    told: list[Identify] = []

    async def through_time() -> None:
        with closing(SqliteStore(home.database)) as store:
            fleet = Fleet(asyncio.get_running_loop(), 0)
            monkeypatch.setattr(fleet, "tell", lambda message, **_: told.append(message))
            identity = Identity(home, store, fleet, "orders", "orders-1")
            await identity.want("shop.mesh", ())
            await _until(_is_quiet)
            identity.look()
            assert _is_quiet()
            assert len(told) == 1
            real = clock.wall
            monkeypatch.setattr(clock, "wall", lambda: real() + hours * HOUR)
            identity.look()
            monkeypatch.setattr(clock, "wall", real)
            await _until(lambda: len(told) > 1 and _is_quiet())
            identity.look()
            assert _is_quiet()

    asyncio.run(through_time())
    first, second = told
    assert first.certificate != second.certificate
    assert first.key != second.key
    assert second.generation == first.generation + 1


def _is_quiet() -> bool:
    """Whether nothing else is under way."""
    return len(asyncio.all_tasks()) == 1


async def _until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not is_so():
            await asyncio.sleep(0.01)
