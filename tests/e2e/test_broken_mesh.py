"""A mesh that is broken on purpose, in seven ways: each is found by one command, and most of them by one page."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from .certificates import issue
from .conftest import StartUpstreams
from .gateway import Ended, Gateway, meshctl
from .servers import Upstreams
from .sidecar import Wrapped
from .two_apps import two_apps
from .waiting import until

MESH = """
[gateway]
listen = ["127.0.0.1:0", {{ address = "127.0.0.1:0", tls = [{{ certificate = "{certificate}", key = "{key}" }}] }}]
[[routes]]
name = "shop"
path = "/v1/shop"
service = "shop"
[[routes]]
name = "flaky"
path = "/v1/flaky"
service = "flaky"
[[routes]]
name = "web"
path = "/web"
service = "web"
rewrite = {{ prefix = "/" }}
[[allow]]
name = "checkout"
from = "gateway"
to = "orders"
[services.shop]
health = {{ path = "/healthz", interval = "200ms", timeout = "30s" }}
[services.shop.versions.v1]
endpoints = ["{v1}", "{doomed}"]
weight = 50
[services.shop.versions.v2]
endpoints = ["{v2}"]
weight = 50
[services.flaky]
endpoints = ["{flaky}"]
breaker = {{ rate = "50%", minimum = 4, open = "600s" }}
[services.web]
[services.orders]
"""


@dataclass
class Mesh:
    """A gateway, two wrapped apps of which web calls orders, and servers behind it."""

    home: Path
    folder: Path
    gateway: Gateway
    web: Wrapped
    servers: Upstreams
    doomed: Upstreams
    http: httpx.Client

    def get(self, path: str) -> httpx.Response:
        """What the gateway answers."""
        return self.http.get(f"{self.gateway.url}{path}")

    def call_orders(self) -> Any:
        """What web gets from orders."""
        return self.get("/web/call?url=http://orders/x").json()

    def page(self) -> Ended:
        """`status`, for which a proxy may take its time on a busy machine."""
        return meshctl(self.home, "status", "--timeout", "3s")

    def untold(self) -> list[str]:
        """What is missing on the page of a mesh that is broken in every way."""
        page = self.page()
        assert page.status == 1, page.err
        expected = (
            self.commands()["old revision"][1],
            r"fail +shop +1 of 3 endpoints takes no requests.*\n.*→ meshctl services show shop",
            r"fail +flaky +breaker open: .*\n.*→ meshctl services show flaky",
            r"warn +web +\d+ calls? to orders denied by checkout.*\n.*→ meshctl edges orders",
            r"fail +\S*certificate.pem .*expired.*\n.*→ meshctl certs show",
        )
        return [said for said in expected if not re.search(said, page.out)]

    def finds(self, fault: str) -> bool:
        """Whether the command for a fault tells of it."""
        words, said = self.commands()[fault]
        return re.search(said, meshctl(self.home, *words).out) is not None

    def commands(self) -> dict[str, tuple[tuple[str, ...], str]]:
        """Each fault: the one command that finds it, and what that says of it."""
        dead = re.escape(self.doomed.address("doomed"))
        certificate = str(self.folder / "certificate.pem")
        old = rf"fail +{self.web.id} .*2 is applied, and the last it has taken is revision 1"
        return {
            "dead endpoint": (("services", "show", "shop"), rf"{dead} +v1 +(unhealthy|ejected)"),
            "breaker open": (("services", "ls"), r"flaky .*open, .*left: .*requests failed"),
            "denied caller": (("edges", "orders"), r"web +orders .*denied:checkout \d+%"),
            "wrong route": (("routes", "explain", "GET", f"{self.gateway.url}/v1/shops"), r"no_route"),
            "slow version": (("stat", "shop", "--by", "version"), r"shop +v2 .* [1-9][.0-9]*s "),
            "old revision": (("status", "--timeout", "3s"), old),
            "expired certificate": (("certs", "verify", certificate), r"time +fails +.*expired"),
        }


ONLY_WRONG_QUESTION: Final = "wrong route"
"""What was never right: it is asked for a path that no route has."""


@pytest.fixture
def mesh(tmp_path: Path, start_upstreams: StartUpstreams, http: httpx.Client) -> Iterator[Mesh]:
    """The mesh while it is well."""
    servers, doomed = start_upstreams("v1", "v2", "flaky"), start_upstreams("doomed")
    certificate, key = issue(tmp_path, serial=1, days=90)
    names = {name: servers.address(name) for name in ("v1", "v2", "flaky")}
    config = MESH.format(certificate=certificate, key=key, doomed=doomed.address("doomed"), **names)
    with two_apps(tmp_path, config) as (gateway, web, _):
        made = Mesh(tmp_path / "home", tmp_path, gateway, web, servers, doomed, http)
        until(lambda: made.get("/web/x").status_code == 200, "the mesh to serve")
        yield made


def break_services(mesh: Mesh) -> None:
    """A dead endpoint, an open breaker, a caller who may not, a version that is slow."""
    mesh.doomed.process.kill()
    mesh.doomed.process.wait()
    mesh.servers.control("flaky", status=500)
    mesh.servers.control("v2", slow=1.5)
    until(lambda: mesh.get("/v1/flaky").headers.get("x-meshctl-reason") == "breaker_open", "the breaker to open")
    until(lambda: mesh.call_orders()["reason"] == "denied:checkout", "orders to deny web")
    for _ in range(10):
        mesh.get("/v1/shop")


def test_each_fault_is_found_by_one_command(mesh: Mesh) -> None:
    """A dead endpoint, an open breaker, a denied caller, a wrong route, a slow version, a proxy on an old revision and
    an expired certificate are each told of by one command, and not before; most of them are on the page of `status`."""
    well = until(lambda: (said := mesh.page()).status == 0 and said, "the mesh to be well")
    assert not re.search(r"^  (fail|warn)", well.out, re.MULTILINE), well.out
    assert [fault for fault in mesh.commands() if mesh.finds(fault)] == [ONLY_WRONG_QUESTION]

    break_services(mesh)
    for fault in ("dead endpoint", "breaker open", "denied caller", "wrong route"):
        until(lambda fault=fault: mesh.finds(fault), fault)  # type: ignore[misc]
    # One of ten answers of that version takes long.
    until(lambda: [mesh.get("/v1/shop") for _ in range(5)] and mesh.finds("slow version"), "the slow version")

    os.kill(mesh.web.process.pid, signal.SIGSTOP)
    try:
        with (mesh.folder / "mesh.toml").open("a") as file:
            file.write('[[routes]]\nname = "new"\npath = "/new"\nrespond = { status = 204 }\n')
        applied = meshctl(mesh.home, "apply", "-c", mesh.folder / "mesh.toml", "--timeout", "0.5")
        assert applied.status == 1, applied.err
        until(lambda: mesh.get("/new").status_code == 204, "the gateway to serve it")
        issue(mesh.folder, serial=2, days=-0.5)
        assert mesh.finds("expired certificate")
        # A busy machine may keep others from answering in time, too.
        until(lambda: not mesh.untold(), "all of it on one page")
    finally:
        os.kill(mesh.web.process.pid, signal.SIGCONT)
