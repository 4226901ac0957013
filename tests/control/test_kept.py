"""What thousands of changes leave in the store: a number of each kind, and a file that no longer grows."""

from __future__ import annotations

import os
import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from meshctl.control import apply, issued, outlived, weights
from meshctl.control.discovery import announce, machine
from meshctl.control.issued import ISSUED, Issued, Kind
from meshctl.model.mesh import Mesh
from meshctl.model.registration import Registration
from meshctl.model.route import Route
from meshctl.model.service import Endpoint, Service, Version
from meshctl.store import sqlite
from meshctl.store.protocol import Audit, Delete, Put, Store
from meshctl.store.sqlite import SqliteStore

DAY = 86400.0
ORDERS = Service("orders", tuple(Version(name, (Endpoint("127.0.0.1", 9),)) for name in ("v1", "v2")))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    with closing(SqliteStore(tmp_path / "mesh.db")) as made:
        yield made


def kinds(store: Store) -> Counter[str]:
    """How many entries there are, by the beginning of their keys."""
    return Counter("/".join(each.key.split("/")[:2]) for each in store.list(""))


def certificate(number: int, at: float, *, life: float = DAY, kind: Kind = "workload") -> Issued:
    """The record of one."""
    return Issued(f"{number:x}", kind, "orders", "", "orders", (), at, at + life, "root", number, "orders-v1", "ada")


def issue(store: Store, each: Issued, now: float) -> None:
    """Record a new certificate as the authority does."""
    changes: list[Put | Delete] = [issued.record(each), *issued.forgotten(store, each.serial, now)]
    store.transact(changes, audit=Audit("ada", now, "issue", after=each.serial))


def pages(path: Path) -> int:
    """How many pages of the file are in use."""
    with closing(sqlite3.connect(path)) as file:
        (total,), (free,) = (file.execute(f"PRAGMA {name}").fetchone() for name in ("page_count", "freelist_count"))
        return int(total) - int(free)


def test_changes(store: SqliteStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of applies, shifts and leases as many stay as are promised, however many there were, and the file stays as large
    as it was when there were that many."""
    monkeypatch.setattr(sqlite, "_KEPT_AUDITS", 30)
    monkeypatch.setattr(weights, "KEPT", 12)
    monkeypatch.setattr(weights, "BACK", 5)
    monkeypatch.setattr(apply, "KEPT", 5)

    def change(number: int) -> None:
        routes = (Route(f"r{number % 7}", service="orders"),)
        apply.apply(store, Mesh(routes=routes, services=(ORDERS,)), source="mesh.toml", who="ada")
        new = {"v1": 99.0 - number % 97, "v2": 1.0 + number % 97}
        weights.change(store, "orders", lambda _before, _declared: new, who="ada", what="shift")
        lease = store.grant(30)
        store.transact([Put(f"proxies/p{number}", b"x" * 500, lease)], audit=Audit("ada", 1.0, "register"))
        store.release(lease)

    for number in range(25):
        change(number)
    found, size = kinds(store), pages(tmp_path / "mesh.db")
    assert found == {
        "config/current": 1, "config/meshes": 5, "config/revisions": 5, "traffic/history": 12, "traffic/weights": 1,
    }  # fmt: skip
    assert len(store.audits(1000)) == 30
    for number in range(25, 80):
        change(number)
    assert kinds(store) == found
    assert len(store.audits(1000)) == 30
    assert pages(tmp_path / "mesh.db") <= size + 4


def test_certificates(store: SqliteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the mesh's own certificates the newest are remembered, so many of them; those that a user has asked for all as
    long as they hold, and nothing much longer than it holds."""
    monkeypatch.setattr(issued, "MOST", 40)
    monkeypatch.setattr(issued, "FEW", 20)
    mine = [certificate(number, 0.0, life=90 * DAY, kind="server") for number in (1, 2, 3)]
    for each in mine:
        issue(store, each, 0.0)
    for number in range(16, 272):
        issue(store, certificate(number, float(number)), float(number))
    found = issued.issued(store)
    # As many come before the next look.
    assert 40 <= len(found) - len(mine) <= 40 + 16
    assert [each for each in found if each.kind == "server"] == mine[::-1]
    newest = {each.serial for each in found if each.kind == "workload"}
    assert newest >= {f"{number:x}" for number in range(232, 272)}
    for number in range(1024, 1034):
        issue(store, certificate(number, 3 * DAY), 3 * DAY)
    assert len(issued.issued(store)) <= len(mine) + 17
    issue(store, certificate(2048, 100 * DAY), 100 * DAY)
    assert [each.serial for each in issued.issued(store)] == ["800"]


def test_looking_at_few(store: SqliteStore) -> None:
    """As long as there are few, what is over goes with the next certificate, whatever its number."""
    issue(store, certificate(1, 0.0), 0.0)
    issue(store, certificate(3, 3 * DAY), 3 * DAY)
    assert store.count(ISSUED) == 1


def test_services_that_have_gone(store: SqliteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of services that have gone the last ones whose weights were changed are kept, with their history; of those that
    are there, by the configuration or by a sidecar, all are."""
    monkeypatch.setattr(outlived, "MOST", 3)
    new = {"v1": 40.0, "v2": 60.0}

    def changed(name: str) -> None:
        for number in range(2):
            share = new if number else {"v1": 50.0, "v2": 50.0}
            weights.change(store, name, lambda _before, _declared: share, who="ada", what="shift")  # noqa: B023

    def kept() -> set[str]:
        assert kinds(store)["traffic/history"] == 2 * kinds(store)["traffic/weights"]
        return set(weights.live_weights(store))

    named = {name: msgspec.structs.replace(ORDERS, name=name) for name in ("a", "b", "c", "d", "e", "stays", "called")}
    apply.apply(store, Mesh(services=tuple(named.values())), source="mesh.toml", who="ada")
    for name in ("stays", "called", *"edcba"):
        changed(name)
    lease = store.grant(600)
    announce(store, Registration("called", "v1", "127.0.0.1", 1, "p", os.getpid(), machine(), 1.0), lease)
    apply.apply(store, Mesh(services=(named["stays"], named["e"])), source="mesh.toml", who="ada")
    assert kept() == {"stays", "called", "e", "a", "b", "c"}
    store.release(lease)
    apply.apply(store, Mesh(services=(named["stays"],)), source="mesh.toml", who="ada")
    assert kept() == {"stays", "a", "b", "c"}
