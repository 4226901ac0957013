"""What `status` tells of a mesh from its store: what people have set beside the file, and certificates on record."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from meshctl.control import faults, mirrors, rollout_state, weights
from meshctl.control.apply import apply
from meshctl.control.glance import glance
from meshctl.core.faults import fault
from meshctl.model.mesh import Certificate, Gateway, Listener, Mesh
from meshctl.model.rollout import Plan
from meshctl.model.service import Endpoint, Service, Version
from meshctl.model.steering import Mirror
from meshctl.store.home import open_home
from meshctl.store.protocol import Store
from meshctl.store.sqlite import SqliteStore
from tests.e2e.certificates import issue


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """A mesh of two services, whose gateway has a certificate in a file."""
    made = SqliteStore(open_home(tmp_path / "home").database)
    versions = (Version("v1", (Endpoint("h", 1),)), Version("v2", (Endpoint("h", 2),), 0.0))
    certificate, key = map(str, issue(tmp_path, serial=1, days=90))
    gateway = Gateway(listeners=(Listener("", 1, (Certificate(certificate, key),)),))
    services = (Service("orders", versions), Service("web", versions), Service("shop", versions))
    apply(made, Mesh(gateway=gateway, services=services), source="mesh.toml", who="ann")
    yield made
    made.close()


def notes(store: Store) -> list[tuple[str, str, str, str]]:
    """The lines that say more than that all is well."""
    lines = glance(store, []).lines
    return [(line.state, line.name, line.detail, line.command) for line in lines if line.state != "pass"]


def test_what_people_have_set(store: Store) -> None:
    """Live weights, rollouts, faults and mirrors are told of with the command for each, and make nothing fail."""
    assert (notes(store), glance(store, []).state) == ([], "pass")
    weights.change(store, "web", lambda *_: {"v1": 60.0, "v2": 40.0}, who="ann", what="shift v2=40")
    rollout_state.begin(store, "orders", Plan("v2", steps=(10.0, 100.0)), who="bob")
    faults.inject(store, fault("shop", abort="503@5%", now=2e9))
    mirrors.begin(store, Mirror("shop", "v2", 0.5, who="ann"))
    assert glance(store, []).state == "note"
    found = {command: detail for _, _, detail, command in notes(store)}
    assert found.keys() == {
        "meshctl traffic rollout orders",
        "meshctl traffic split web",
        "meshctl traffic fault shop",
        "meshctl traffic mirror shop",
    }
    assert found["meshctl traffic rollout orders"] == "rollout 1 to v2 is running at 10%"
    assert found["meshctl traffic split web"] == "live weights in the place of the file's: v1 60%, v2 40%, by ann"
    assert found["meshctl traffic fault shop"].startswith("fault: abort 503@5%, ends in ")
    assert found["meshctl traffic mirror shop"] == "mirror: 50% to v2"


@pytest.mark.parametrize(("days", "state"), [(90, "pass"), (5, "warn"), (-0.5, "fail")])
def test_a_certificate_in_a_file(store: Store, tmp_path: Path, days: float, state: str) -> None:
    """The certificate of a listener is told of from thirty days before its end."""
    issue(tmp_path, serial=2, days=days)
    assert glance(store, []).state == state
    file = str(tmp_path / "certificate.pem")
    assert [line[1] for line in notes(store)] == ([] if state == "pass" else [file])
