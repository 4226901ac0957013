"""Whether a rollout may go on to a version: not to one that nobody is left of."""

from __future__ import annotations

import os

from meshctl.control.apply import apply
from meshctl.control.discovery import announce, withdraw
from meshctl.control.rollouts import has_endpoint
from meshctl.model.mesh import Mesh
from meshctl.model.registration import Registration
from meshctl.model.service import Endpoint, Service, Version
from meshctl.store.sqlite import SqliteStore


def test_an_endpoint_that_registered(store: SqliteStore) -> None:
    """A version has an endpoint from its registration until it is withdrawn; another version's is none of it."""
    registration = Registration("orders", "v2", "127.0.0.1", 1, "orders-v2-1", os.getpid(), "", 0.0)
    assert not has_endpoint(store, "orders", "v2")
    announce(store, registration, store.grant(60))
    assert has_endpoint(store, "orders", "v2")
    assert not has_endpoint(store, "orders", "v1")
    assert not has_endpoint(store, "web", "v2")
    withdraw(store, registration)
    assert not has_endpoint(store, "orders", "v2")


def test_an_endpoint_that_is_configured(store: SqliteStore) -> None:
    """What mesh.toml lists is there without anybody registering."""
    versions = (Version("v1", (Endpoint("127.0.0.1", 1),)), Version("v2", ()))
    apply(store, Mesh(services=(Service("orders", versions=versions),)), source="f", who="w")
    assert [has_endpoint(store, "orders", each) for each in ("v1", "v2", "v3")] == [True, False, False]
