"""A gateway, a wrapped app and another behind it in two versions, under load: what is changed while it flows is not
noticed."""

from __future__ import annotations

import os
import signal
import socket
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from .gateway import Gateway, is_alive, meshctl
from .load import Load
from .sidecar import Wrapped
from .waiting import until

APP = Path(__file__).with_name("wrapped_app.py")
MESH = """
    gateway.listen = ["127.0.0.1:0"]
    gateway.access_log = "off"
    routes = [{ path = "/orders", service = "orders" }, { path = "/", service = "web" }]
    [services.web]
    [services.orders.versions]
    v1 = { weight = 50 }
    v2 = { weight = 50 }
"""


@dataclass
class Shop:
    """The mesh of a test."""

    home: Path
    file: Path
    gateway: Gateway
    wrapped: dict[str, Wrapped]

    def wrap(self, service: str, version: str = "", *, words: tuple[str, ...] = ()) -> Wrapped:
        """Wrap one more app, which is told `words`."""
        arguments = ("--service", service, *(("--version", version) if version else ()))
        name = f"{service}{version}"
        made = Wrapped(self.home, self.file.parent / name, arguments, (sys.executable, APP, *words))
        self.wrapped[name] = made
        return made

    def apply(self, more: str) -> None:
        """Apply the configuration with `more` behind it."""
        self.file.write_text(MESH + more)
        ended = meshctl(self.home, "apply", "-c", self.file)
        assert ended.status == 0, ended.err


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    """The gateway, web, and orders as v1 and v2; all ready."""
    file = tmp_path / "mesh.toml"
    file.write_text(MESH)
    home = tmp_path / "home"
    made = Shop(home, file, Gateway(home, tmp_path / "gateway", ["-c", file]), {})
    try:
        made.gateway.until_ready()
        for service, version in (("web", ""), ("orders", "v1"), ("orders", "v2")):
            made.wrap(service, version)
        for each in made.wrapped.values():
            each.until_registered()
        yield made
        for each in made.wrapped.values():
            if each.process.poll() is None:
                each.check()
        made.gateway.check()
    finally:
        for each in made.wrapped.values():
            each.kill()
        made.gateway.kill()


def through_web(shop: Shop) -> str:
    """A URL by which a request passes the gateway, web, its proxy and orders' proxy."""
    return f"{shop.gateway.url}/call?url=http://orders/x"


def until_reached(shop: Shop, url: str) -> None:
    """Return when requests arrive at both versions: the store knows of them before the gateway does."""
    seen: set[str] = set()

    def both() -> bool:
        answer = httpx.get(url, trust_env=False, timeout=30)
        if answer.status_code == 200:
            seen.add(answer.json().get("body", answer.json())["app"])
        return {shop.wrapped["ordersv1"].id, shop.wrapped["ordersv2"].id} <= seen

    until(both, "both versions to answer")


def test_who_dies_is_not_missed(shop: Shop) -> None:
    """A wrapper that is killed leaves neither its app nor its endpoint behind, and no request is lost: what was under
    way, and what came while nobody knew of it yet, is asked again elsewhere."""
    url = f"{shop.gateway.url}/orders"
    doomed = shop.wrapped["ordersv2"]
    app = doomed.app
    until_reached(shop, url)
    with Load(url, kept=4, fresh=2) as load:
        until(lambda: set(load.served) >= {shop.wrapped["ordersv1"].id, doomed.id}, "both to serve")
        os.kill(doomed.process.pid, signal.SIGKILL)
        until(lambda: doomed.registration() is None, "its endpoint to be gone")
        load.more(100)
    # What it had was cut, whoever comes is turned away at once, and either is asked of the other version.
    assert load.failures == []
    until(lambda: not is_alive(app), "its app to be gone")


def test_rules_hold_from_the_moment_they_are_applied(shop: Shop) -> None:
    """With a rule only those it names are let in, each refusal names it, and shadow rules refuse nobody."""
    url = through_web(shop)
    until_reached(shop, url)
    rule = '[[allow]]\nname = "checkout"\nfrom = "gateway"\nto = "orders"\n'
    shop.apply(f'[mesh]\npolicy = "shadow"\n{rule}')
    assert httpx.get(url, trust_env=False, timeout=30).json()["status"] == 200
    shop.apply(rule)
    refused = until(
        lambda: (found := httpx.get(url, trust_env=False, timeout=30).json()) and found["status"] == 403 and found,
        "a refusal",
    )
    assert "denied:checkout" in str(refused)
    assert httpx.get(f"{shop.gateway.url}/orders", trust_env=False, timeout=30).status_code == 200


def test_time_shrinks_on_its_way(shop: Shop) -> None:
    """The app behind two proxies sees what is left of its caller's time, callers that say nothing have as long as the
    service allows, and whoever has no time left hears that it was theirs."""
    shop.apply('[services.orders]\ntimeout = "7s"\n')
    url = f"{shop.gateway.url}/headers"
    seen = httpx.get(url, headers={"x-request-timeout": "9000ms"}, trust_env=False, timeout=30).json()
    assert 0 < int(seen["x-request-timeout"].removesuffix("ms")) <= 9000
    assert "x-request-timeout" not in httpx.get(url, trust_env=False, timeout=30).json()
    through = f"{shop.gateway.url}/call?url=http://orders/headers"

    def left() -> str:
        answer = httpx.get(through, trust_env=False, timeout=30).json()["body"] or {}
        return str(answer.get("x-request-timeout", ""))

    assert 0 < int(until(left, "web's proxy to allow so long").removesuffix("ms")) <= 7000
    # The app finds nobody to answer any more, of which Python's own server makes much.
    shop.wrapped["web"].forgiven.add("Traceback")
    late = httpx.get(
        f"{shop.gateway.url}/held/late", headers={"x-request-timeout": "300ms"}, trust_env=False, timeout=30
    )
    assert (late.status_code, late.headers["x-meshctl-reason"]) == (504, "deadline_exceeded")
    assert httpx.get(f"{shop.gateway.url}/release/late", trust_env=False, timeout=30).status_code == 200


def test_nobody_is_let_in_once_a_wrapper_is_gone(shop: Shop) -> None:
    """As soon as a wrapper was killed its proxy accepts no more for the app, which may still call others for as long
    as it takes to end; the proxy goes with it."""
    left = shop.wrap("left", "", words=("stubborn",)).until_registered()
    app, inbound = left.app, left.address("inbound")
    os.kill(left.process.pid, signal.SIGKILL)
    until(lambda: not accepts(inbound), "its listener to be closed")
    assert is_alive(app)
    answer = httpx.get("http://orders/x", proxy=f"http://{left.address('proxy')}", trust_env=False, timeout=30)
    assert answer.status_code == 200, answer.text
    until(lambda: not is_alive(app), "its app to be gone")
    until(lambda: not accepts(left.address("proxy")), "its proxy to be gone")


def accepts(address: str) -> bool:
    """Whether somebody listens there."""
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), 30).close()
    except ConnectionError:
        return False
    return True
