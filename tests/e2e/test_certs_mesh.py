"""Certificates and roots replaced in a whole mesh, under load: gateway → wrapped web → wrapped orders."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import pytest

from .gateway import Ended, Gateway, meshctl_process
from .load import Load
from .sidecar import Wrapped
from .waiting import until

MESH = """
[mesh]
name = "shop"
[[routes]]
path = "/"
service = "web"
[services.web]
[services.orders]
"""
APP = [sys.executable, Path(__file__).with_name("wrapped_app.py")]
# The gateway asks web, which asks orders: two hops in mutual TLS, and on each of them connections that are kept.
HOPS = "/call?url=http://orders/x"


class Mesh:
    """A gateway and two sidecars in one home."""

    def __init__(self, gateway: Gateway, web: Wrapped, orders: Wrapped) -> None:
        self.gateway, self.web, self.orders = gateway, web, orders

    @property
    def ids(self) -> set[str]:
        """The proxies of the mesh."""
        return {"gateway", self.web.id, self.orders.id}

    def load(self) -> Load:
        """Traffic over both hops."""
        return Load(self.gateway.url + HOPS, kept=3, fresh=2)

    def rotate(self, *arguments: object) -> Ended:
        """`certs rotate …`."""
        return self.gateway.meshctl("certs", "rotate", *arguments)

    def users(self) -> dict[str, str]:
        """Which certificate each proxy uses now."""

        def told() -> dict[str, str] | None:
            rows: list[dict[str, Any]] = self.gateway.meshctl("certs", "ls", "-o", "json").json()
            found = {proxy: row["serial"] for row in rows for proxy in row["used_by"]}
            # On a busy machine one of them may be too late with its answer.
            return found if found.keys() == self.ids else None

        return until(told, "all to answer") or {}

    def root(self) -> dict[str, Any]:
        """The one root that is trusted."""
        (found,) = self.gateway.meshctl("certs", "bundle", "-o", "json").json()["roots"]
        return dict(found)


@pytest.fixture(scope="module")
def mesh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mesh]:
    """A mesh that serves, shared by the module's tests. At the end each part must end cleanly and have nothing to
    complain of."""
    folder = tmp_path_factory.mktemp("mesh")
    file = folder / "mesh.toml"
    file.write_text(MESH)
    gateway = Gateway(folder / "home", folder / "gateway", ["-c", file, "--listen", "127.0.0.1:0"])
    started: list[Wrapped] = []
    try:
        gateway.until_ready()
        started += [Wrapped(gateway.home, folder / name, ["--service", name], APP) for name in ("web", "orders")]
        for each in started:
            each.until_registered()
        found = Mesh(gateway, *started)
        until(lambda: httpx.get(gateway.url + HOPS, timeout=30).status_code == 200, "the way through the mesh")
        # The first question to each of them takes longest: it loads what answers.
        found.users()
        yield found
        for part in (*started, gateway):
            part.check()
    finally:
        for part in (*started, gateway):
            part.kill()


def test_rotating_a_mesh_under_load(mesh: Mesh) -> None:
    """All proxies get new keys and certificates, again and again, and no request fails."""
    with mesh.load() as load:
        seen = [mesh.users()]
        for arguments in ([], ["orders"], ["--all"]):
            ended = mesh.rotate(*arguments)
            assert ended.status == 0, ended.err
            seen.append(mesh.users())
            load.more(50)
    assert load.failures == []
    assert [set(each) for each in seen] == [mesh.ids] * 4
    changed = [{proxy for proxy in mesh.ids if one[proxy] != other[proxy]} for one, other in pairwise(seen)]
    assert changed == [mesh.ids, {mesh.orders.id}, mesh.ids]


def test_another_root_for_a_mesh_under_load(mesh: Mesh) -> None:
    """The whole mesh goes over to another root, and no request fails."""
    before = mesh.root()
    with mesh.load() as load:
        ended = mesh.rotate("--root")
        assert ended.status == 0, ended.err
        load.more(50)
    assert load.failures == []
    assert mesh.root()["number"] > before["number"]
    for each in mesh.ids:
        assert ended.err.count(f"  {each}  ") >= 4


@pytest.mark.parametrize("way", ["--resume", "--abort"])
def test_a_root_rotation_that_is_killed(mesh: Mesh, way: str) -> None:
    """Killed in the middle of a rotation, with a proxy that hangs, nothing is lost: it names that proxy, and goes on or
    back when it answers again. No request fails all the while."""
    before = mesh.root()
    with mesh.load() as load:
        driver = meshctl_process(mesh.gateway.home, "certs", "rotate", "--root", stderr=subprocess.PIPE, text=True)
        with driver:
            assert driver.stderr is not None
            assert any(line.startswith("trusting") for line in driver.stderr)
            driver.kill()
        # The supervisor of orders hangs; its worker goes on serving.
        os.kill(mesh.orders.process.pid, signal.SIGSTOP)
        try:
            ended = mesh.rotate("--root", "--resume", "--timeout", "3")
            assert (ended.status, f"for {mesh.orders.id}" in ended.err) == (1, True), ended.err
            assert mesh.orders.id in mesh.rotate("--root", "--status").out
        finally:
            os.kill(mesh.orders.process.pid, signal.SIGCONT)
        ended = mesh.rotate("--root", way)
        # An abort may come too late, and then the way forward is open.
        if ended.status and "too late" in ended.err:
            ended = mesh.rotate("--root", "--resume")
        assert ended.status == 0, ended.err
        load.more(50)
    assert load.failures == []
    assert (mesh.root() == before) == ("old root again" in ended.err)


def test_revoking_a_sidecars_certificate(mesh: Mesh) -> None:
    """A sidecar whose certificate is revoked has another one soon, and is reached again."""
    before = mesh.users()
    ended = mesh.gateway.meshctl("certs", "revoke", before[mesh.web.id])
    assert ended.status == 0, ended.err
    until(lambda: mesh.users().get(mesh.web.id, before[mesh.web.id]) != before[mesh.web.id], "another certificate")
    until(lambda: httpx.get(mesh.gateway.url + HOPS, timeout=30).status_code == 200, "the way through the mesh")
