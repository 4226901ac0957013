"""What is known of registered endpoints by reading changes alone is what reading all of them tells."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meshctl.control.discovery import Name, Registrations, announce, machine, registrations, withdraw
from meshctl.control.roll import Roll
from meshctl.errors import MeshError
from meshctl.model.registration import Listed, Registration
from meshctl.store.home import open_home
from meshctl.store.protocol import Delete, Put, Store
from meshctl.store.sqlite import SqliteStore


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with closing(SqliteStore(open_home(tmp_path / "home").database)) as made:
        yield made


def made(proxy: str = "p1", service: str = "shop", version: str = "v1", port: int = 1) -> Registration:
    """A registration."""
    return Registration(service, version, "127.0.0.1", port, proxy, os.getpid(), machine(), 1.0)


def by_name(found: Registrations) -> dict[Name, list[Registration]]:
    """Registrations by service and version."""
    names = {(each.service, each.version) for each in found}
    return {name: [each for each in found if (each.service, each.version) == name] for name in names}


CHANGES = st.tuples(
    st.sampled_from(["announce", "withdraw", "release", "expire", "other", "refresh"]),
    st.sampled_from(["p1", "p2", "p3"]),
    st.sampled_from(["shop", "cart"]),
    st.sampled_from(["v1", "v2"]),
    st.integers(1, 2),
)


@settings(max_examples=150)
@given(st.lists(CHANGES, max_size=25))
def test_any_history(changes: list[tuple[str, str, str, str, int]]) -> None:
    """After every refresh the roll has what the store has, and has named each service's version that is another."""
    now = 1000.0
    with TemporaryDirectory(prefix="mx-") as folder:
        store = SqliteStore(open_home(Path(folder) / "home").database, now=lambda: now)
        with closing(store):
            leases: dict[str, str] = {}
            roll, before = Roll(), by_name(())
            for what, proxy, service, version, port in [*changes, ("refresh", "", "", "", 0)]:
                registration = made(proxy, service, version, port)
                match what:
                    case "announce":
                        lease = leases.get(proxy, "")
                        if not store.keep_alive(lease):
                            lease = leases[proxy] = store.grant(10)
                        announce(store, registration, lease)
                    case "withdraw":
                        withdraw(store, registration)
                    case "release":
                        store.release(leases.pop(proxy, "none"))
                    case "expire":
                        now += 6
                    case "other":
                        store.transact([Put("acks/p1", b"{}")])
                    case "refresh":
                        roll.refresh(store)
                        after = by_name(registrations(store))
                        assert roll.registrations == registrations(store)
                        endpoints = {name: tuple(each.endpoint for each in found) for name, found in after.items()}
                        assert {name: roll.of(name).endpoints for name in roll.names} == endpoints
                        assert {(each.service, each.version): each.endpoints for each in roll.listed} == endpoints
                        differ = {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}
                        assert roll.changed == differ
                        roll.changed.clear()
                        before = after


def test_nothing_is_named_twice(store: Store) -> None:
    """What was taken notice of is not named again, whatever else is written; announcing the same again changes
    nothing."""
    lease = store.grant(60)
    roll = Roll()
    announce(store, made(), lease)
    roll.refresh(store)
    assert roll.changed == {("shop", "v1")}
    roll.changed.clear()
    announce(store, made(), lease)
    store.transact([Put("acks/p1", b"{}")])
    roll.refresh(store)
    assert roll.changed == set()


def test_what_moves_is_named_on_both_sides(store: Store) -> None:
    """A sidecar that comes back under another version has left the one before."""
    lease = store.grant(60)
    roll = Roll()
    announce(store, made(version="v1"), lease)
    roll.refresh(store)
    roll.changed.clear()
    # Under the same key: a registration is one proxy's.
    announce(store, made(version="v2"), lease)
    roll.refresh(store)
    assert roll.changed == {("shop", "v1"), ("shop", "v2")}
    assert roll.of(("shop", "v1")) == Listed("shop", "v1", ())
    assert roll.of(("shop", "v2")) == Listed("shop", "v2", (made(version="v2").endpoint,))


def test_what_cannot_be_read_is_read_the_next_time(store: Store) -> None:
    """An entry that is none hides no other for longer than it is there."""
    lease = store.grant(60)
    roll = Roll()
    announce(store, made("p1"), lease)
    store.transact([Put("endpoints/shop/p2", b"not json")])
    announce(store, made("p3", port=3), lease)
    with pytest.raises(MeshError, match="cannot be read"):
        roll.refresh(store)
    store.transact([Delete("endpoints/shop/p2")])
    roll.refresh(store)
    assert roll.registrations == (made("p1"), made("p3", port=3))
    assert roll.changed == {("shop", "v1")}
