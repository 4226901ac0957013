"""Faults and mirrors in the store: one door, an audit record for each change, and nothing left of what has ended."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from meshctl.control import faults, mirrors
from meshctl.control.apply import apply
from meshctl.control.comparing import MOST_EXAMPLES, merged
from meshctl.control.steered import live_steering
from meshctl.core.faults import fault
from meshctl.errors import MeshError
from meshctl.model.mesh import Mesh
from meshctl.model.service import Endpoint, Service, Version
from meshctl.model.steering import Example, Mirror, MirrorTally
from meshctl.store.home import open_home
from meshctl.store.protocol import Store
from meshctl.store.sqlite import SqliteStore


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = SqliteStore(open_home(tmp_path / "home").database)
    versions = (Version("v1", (Endpoint("127.0.0.1", 9001),)), Version("v2", (Endpoint("127.0.0.1", 9002),)))
    mesh = Mesh(services=(Service("orders", versions), Service("order", versions)))
    apply(made, mesh, source="mesh.toml", who="ann")
    yield made
    made.close()


def test_audit(store: Store) -> None:
    """Each change says who did it, and what held before and after."""
    now = 2e9
    faults.inject(store, fault("orders", delay="1s", who="ann", now=now))
    faults.inject(store, fault("orders", abort="503@5%", lasting="2m", who="bob", now=now))
    faults.clear(store, "orders", "", who="cid")
    mirrors.begin(store, Mirror("orders", "v2", 0.5, at=now, who="ann"))
    mirrors.stop(store, "orders", who="bob")
    said = [(each.who, each.what, each.before, each.after) for each in reversed(store.audits(5))]
    assert said == [
        ("ann", "orders: fault delay 1s, ends in 10m", "", "delay 1s, ends in 10m"),
        ("bob", "orders: fault abort 503@5%, ends in 2m", "delay 1s", "abort 503@5%, ends in 2m"),
        ("cid", "orders: faults cleared", "abort 503@5%", ""),
        ("ann", "orders: mirror 50% to v2", "", "50% to v2"),
        ("bob", "orders: mirror stopped", "50% to v2", ""),
    ]


def test_what_has_ended(store: Store) -> None:
    """A fault that has ended is shown to nobody, and is cleared away with the next change of any."""
    faults.inject(store, fault("orders", delay="1s", now=1000.0))
    assert faults.faults(store) == ()
    assert len(live_steering(store).faults) == 1
    made = fault("orders", delay="1s", caller="gateway", now=2e9)
    faults.inject(store, made)
    assert live_steering(store).faults == (made,)


def test_services_with_one_beginning(store: Store) -> None:
    """The faults of a service are not those of another whose name begins alike."""
    for name in ("order", "orders"):
        faults.inject(store, fault(name, delay="1s", now=2e9))
    faults.clear(store, "order", "", who="ann")
    assert [each.service for each in faults.faults(store)] == ["orders"]


def test_unknown(store: Store) -> None:
    """Neither an unknown service nor an unknown version gets anything."""
    with pytest.raises(MeshError, match="there is no service"):
        faults.inject(store, fault("nothing", delay="1s", now=2e9))
    with pytest.raises(MeshError, match="there is no version"):
        mirrors.begin(store, Mirror("orders", "v3"))
    assert live_steering(store).faults == live_steering(store).mirrors == ()


def test_merged() -> None:
    """What several proxies have seen of a mirror adds up, with the earliest examples; what is told of another one of
    the service, or of another service, is left out."""

    def example(at: float) -> Example:
        return Example("GET", "/", at, ())

    one = MirrorTally("s", 1.0, 10, 1, 2, 7, 3, 4, tuple(map(example, range(0, 20, 2))))
    other = MirrorTally("s", 1.0, 5, 0, 0, 5, 0, 8, tuple(map(example, range(1, 21, 2))))
    strangers = [MirrorTally("s", 2.0, 100), MirrorTally("t", 1.0, 100)]
    expected = tuple(map(example, range(MOST_EXAMPLES)))
    assert merged("s", 1.0, [one, *strangers, other]) == MirrorTally("s", 1.0, 15, 1, 2, 12, 3, 12, expected)
