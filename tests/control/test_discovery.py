"""Endpoints come with an announcement and leave with a withdrawal, a lease's end or their process's death."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from meshctl.control.discovery import (
    GONE,
    announce,
    bury,
    extended,
    machine,
    names,
    registrations,
    remembered,
    withdraw,
)
from meshctl.model.mesh import Mesh
from meshctl.model.registration import Registration
from meshctl.model.service import Endpoint, Service, Version
from meshctl.store.home import open_home
from meshctl.store.protocol import Store
from meshctl.store.sqlite import SqliteStore


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = SqliteStore(open_home(tmp_path / "home").database)
    yield made
    made.close()


def made(service: str = "shop", version: str = "v1", *, pid: int = 0, proxy: str = "p1", port: int = 1) -> Registration:
    """A registration of a process that lives, unless `pid` names another."""
    return Registration(service, version, "127.0.0.1", port, proxy, pid or os.getpid(), machine(), 1.0)


def dead_pid() -> int:
    """The id of a process that has ended and was waited for."""
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    return child.pid


def test_what_is_announced_is_there_until_it_is_withdrawn(store: Store) -> None:
    """Both say from which store revision on everybody knows."""
    lease = store.grant(60)
    revision = announce(store, made(), lease)
    assert (registrations(store), store.revision()) == ((made(),), revision)
    assert withdraw(store, made()) == store.revision() == revision + 1
    assert registrations(store) == ()


def test_a_sidecar_has_one_endpoint(store: Store) -> None:
    """What it announces again takes the place of what it announced before; other sidecars keep theirs."""
    lease = store.grant(60)
    for each in (made(port=1), made(proxy="p2", port=2), made(port=3)):
        announce(store, each, lease)
    assert {(each.proxy, each.port) for each in registrations(store)} == {("p1", 3), ("p2", 2)}


def test_endpoints_leave_with_their_lease(store: Store) -> None:
    """A sidecar that can no longer say that it lives is not sent to."""
    lease = store.grant(60)
    announce(store, made(), lease)
    store.release(lease)
    assert registrations(store) == ()


def test_the_dead_are_buried_and_nobody_else(store: Store) -> None:
    """Only processes of this machine can be seen to be dead; each is buried once."""
    lease = store.grant(60)
    dead = made(proxy="dead", pid=dead_pid())
    living = made(proxy="living")
    elsewhere = Registration("shop", "v1", "127.0.0.1", 1, "far", dead.pid, "another machine", 1.0)
    for each in (dead, living, elsewhere):
        announce(store, each, lease)
    known = registrations(store)
    assert bury(store, known) == [dead]
    assert bury(store, known) == []
    assert set(registrations(store)) == {living, elsewhere}
    assert "is dead" in store.audits(1)[0].before


def test_one_that_nobody_has_waited_for_is_dead(store: Store) -> None:
    """A process that has ended takes no requests, even if its parent has not looked; among many it is found in its
    turn."""
    child = subprocess.Popen([sys.executable, "-c", ""])
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    lease = store.grant(60)
    many = [made(proxy=f"p{number:02}", pid=child.pid if number == 70 else 0) for number in range(80)]
    for each in many:
        announce(store, each, lease)
    known = registrations(store)
    buried = [each.proxy for turn in range(5) for each in bury(store, known, turn)]
    assert buried == ["p70"]
    child.wait()


def test_one_that_came_back_is_not_buried(store: Store) -> None:
    """What was seen dead but has announced itself again since stays."""
    lease = store.grant(60)
    dead = made(pid=dead_pid())
    announce(store, dead, lease)
    announce(store, made(), lease)
    assert bury(store, [dead]) == []
    assert registrations(store) == (made(),)


@pytest.mark.parametrize(
    ("configured", "weights"),
    [
        pytest.param((), {"v1": 1.0, "v2": 1.0}, id="without versions they share alike"),
        pytest.param((Version("v1", (), 90.0),), {"v1": 90.0, "v2": 0.0}, id="an unlisted one takes nothing"),
        pytest.param(
            (Version("default", (Endpoint("127.0.0.1", 1),)),), {"default": 1.0, "v1": 0.0, "v2": 0.0}, id="static"
        ),
    ],
)
def test_versions_that_are_not_configured(configured: tuple[Version, ...], weights: dict[str, float]) -> None:
    """A version that appears takes traffic where nobody has said who should."""
    known = names([made(version="v1"), made(version="v2"), made("other", "v1")])
    mesh = extended(Mesh(services=(Service("shop", configured),)), known)
    assert {each.name: each.weight for each in mesh.services[0].versions} == weights
    assert [each.name for each in mesh.services] == ["shop", "other"]
    assert extended(mesh, known) == mesh


def test_the_last_that_went_are_remembered() -> None:
    """Whoever has gone is known on, as long as not too many have gone since; whoever is there always is."""
    known: tuple[tuple[str, str], ...] = ()
    lasting = ("web", "v0")
    for number in range(3 * GONE):
        known = remembered(known, frozenset({("shop", f"v{number}"), lasting}))
        assert known[-2:] == (("shop", f"v{number}"), lasting)
        assert known[:-2] == tuple(("shop", f"v{each}") for each in range(max(0, number - GONE), number))
    # One that has come back has gone last when it goes again.
    known = remembered(remembered(known, frozenset({known[0]})), frozenset())
    assert known[-1] == ("shop", f"v{2 * GONE - 1}")
    assert (len(known), len(set(known))) == (GONE, GONE)
