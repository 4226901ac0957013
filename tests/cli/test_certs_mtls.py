"""certs mtls: who still comes in plain, merged over all proxies of a service."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from meshctl.model.views import PlainCallerView
from meshctl.store.home import open_home
from tests.pki.member import Member

from .conftest import Meshctl

MESH = '[mesh]\nname = "shop"\n[services.orders]\nmtls = "permissive"\n[services.web]\n'


@pytest.fixture
def members(folder: Path, meshctl: Meshctl) -> Iterator[list[Member]]:
    """Two proxies of orders and one of web, in a mesh whose configuration is applied."""
    (folder / "mesh.toml").write_text(MESH)
    meshctl("apply")
    home = open_home(folder / ".meshctl")
    started = [Member(home, "orders"), Member(home, "orders", "orders-2"), Member(home, "web")]
    yield started
    for each in started:
        each.stop()


def test_nobody(members: list[Member], meshctl: Meshctl) -> None:
    """Where nobody comes in plain, strict would refuse nobody, and that is said."""
    ended = meshctl("certs", "mtls", "--dry-run")
    assert (ended.status, ended.out, "strict would refuse nobody" in ended.err) == (0, "", True)


def test_callers(members: list[Member], meshctl: Meshctl) -> None:
    """Callers are added up over all proxies of their service, who came most first, with the last time of all."""
    now = time.time()
    members[0].plain = [
        PlainCallerView("orders", "10.0.0.1", 2, now - 5 * 3600),
        PlainCallerView("orders", "10.0.0.2", 4, now - 8 * 3600),
    ]
    members[1].plain = [PlainCallerView("orders", "10.0.0.1", 5, now - 3 * 3600)]
    ended = meshctl("certs", "mtls", "--dry-run")
    rows = [line.split() for line in ended.out.splitlines()[1:]]
    assert [(row[:3], row[3]) for row in rows] == [
        (["orders", "10.0.0.1", "7"], "3h"),
        (["orders", "10.0.0.2", "4"], "8h"),
    ]
    (first, _) = json.loads(meshctl("certs", "mtls", "--dry-run", "orders", "-o", "json").out)
    assert (first["caller"], first["count"], first["last_seen"]) == ("10.0.0.1", 7, now - 3 * 3600)
    assert json.loads(meshctl("certs", "mtls", "--dry-run", "web", "-o", "json").out) == []


def test_services(members: list[Member], meshctl: Meshctl) -> None:
    """Each service is shown with what it takes and how much of it is plain."""
    members[0].plain = [PlainCallerView("orders", "10.0.0.1", 2, 1.0), PlainCallerView("orders", "10.0.0.2", 1, 1.0)]
    members[1].plain = [PlainCallerView("orders", "10.0.0.1", 5, 1.0)]
    rows = [line.split() for line in meshctl("certs", "mtls").out.splitlines()[1:]]
    assert rows == [["orders", "permissive", "2", "8"], ["web", "strict", "0", "0"]]
    (row,) = json.loads(meshctl("certs", "mtls", "web", "-o", "json").out)
    assert row == {"service": "web", "mtls": "strict", "callers": 0, "connections": 0}
    assert meshctl("certs", "mtls", "nobody").status == 4


def test_nothing_runs(folder: Path, meshctl: Meshctl) -> None:
    """Without proxies nobody knows who calls."""
    assert meshctl("certs", "mtls", "--dry-run").status == 4
