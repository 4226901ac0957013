"""One holder at a time, and soon another where that one dies."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from meshctl.control.duties import LIFE, Duty, holder
from meshctl.store.home import open_home
from meshctl.store.sqlite import SqliteStore


class Time:
    """A clock that is set by hand, for the leases of a store."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def store(tmp_path: Path, time: Time) -> Iterator[SqliteStore]:
    made = SqliteStore(open_home(tmp_path / "home").database, now=time)
    yield made
    made.close()


def test_one_holder_at_a_time(store: SqliteStore, time: Time) -> None:
    """Of two that ask the first has it, and keeps it as long as it goes on asking."""
    one, two = (Duty(store, "rollout/orders", name, os.getpid()) for name in ("one", "two"))
    for _ in range(20):
        assert (one.take(time.now), two.take(time.now)) == (True, False)
        time.now += 1.0
    found = holder(store, "rollout/orders")
    assert found is not None
    assert (found.proxy, found.pid) == ("one", os.getpid())
    assert Duty(store, "rollout/other", "two", os.getpid()).take(time.now)


def test_given_back(store: SqliteStore, time: Time) -> None:
    """Who gives it back lets the next one have it at once."""
    one, two = (Duty(store, "rollout/orders", name, os.getpid()) for name in ("one", "two"))
    assert one.take(time.now)
    one.release()
    assert (two.take(time.now), one.take(time.now)) == (True, False)


def test_who_says_nothing_loses_it(store: SqliteStore, time: Time) -> None:
    """A holder that is not heard of for a few seconds is replaced, and learns of it when it asks again."""
    one, two = (Duty(store, "rollout/orders", name, os.getpid()) for name in ("one", "two"))
    assert one.take(time.now)
    time.now += LIFE - 0.1
    assert not two.take(time.now)
    time.now += 0.2
    assert two.take(time.now)
    assert not one.take(time.now)


def test_the_dead_are_replaced_at_once(store: SqliteStore, time: Time) -> None:
    """Nobody waits for the lease of a process that is seen to be dead."""
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    assert Duty(store, "rollout/orders", "dead", child.pid).take(time.now)
    assert Duty(store, "rollout/orders", "one", os.getpid()).take(time.now)


def test_a_restart_goes_on(store: SqliteStore, time: Time) -> None:
    """A proxy that has forgotten that it holds a duty has it again."""
    assert Duty(store, "rollout/orders", "one", os.getpid()).take(time.now)
    assert Duty(store, "rollout/orders", "one", os.getpid()).take(time.now)
