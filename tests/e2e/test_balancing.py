"""How traffic is spread, seen from outside: by policy, by weight, by key, and as endpoints come."""

from __future__ import annotations

import socket
import time
from collections import Counter
from pathlib import Path

import httpx
import pytest

from .conftest import StartGateway
from .gateway import Gateway
from .servers import Upstreams
from .waiting import until


class Shop:
    """A gateway whose one service is rewritten as a test needs it."""

    def __init__(self, gateway: Gateway, file: Path, http: httpx.Client) -> None:
        self.gateway = gateway
        self._file = file
        self._http = http

    def configure(self, service: str) -> None:
        """Apply `service`, the lines under [services.s]."""
        self._file.write_text(text(service))
        self.gateway.apply(self._file)

    def served_by(self, **request: object) -> str:
        """The name of the server that took a request."""
        return str(self._http.get(self.gateway.url, **request).json()["name"])  # type: ignore[arg-type]

    def shares(self, count: int) -> Counter[str]:
        """How many of so many requests each server took."""
        return Counter(self.served_by() for _ in range(count))


def text(service: str) -> str:
    """A mesh.toml with one service."""
    return f'gateway.listen = ["127.0.0.1:0"]\nroutes = [{{ service = "s" }}]\n[services.s]\n{service}\n'


@pytest.fixture
def shop(upstreams: Upstreams, start_gateway: StartGateway, tmp_path: Path, http: httpx.Client) -> Shop:
    """See `Shop`."""
    file = tmp_path / "mesh.toml"
    file.write_text(text(f'endpoints = ["{upstreams.address("a")}"]'))
    return Shop(start_gateway("-c", file, listen=""), file, http)


def endpoints(upstreams: Upstreams, names: str) -> str:
    """The `endpoints` line for some servers."""
    return f"endpoints = {[upstreams.address(name) for name in names]!r}"


def test_policies_spread_requests(shop: Shop, upstreams: Upstreams) -> None:
    """round_robin takes turns exactly, random gives each of three its share, least_load uses all, weights divide as
    written, and an endpoint that is added takes part at once."""
    shop.configure(f'balance = "round_robin"\n{endpoints(upstreams, "abc")}')
    turns = [shop.served_by() for _ in range(9)]
    assert turns[:3] * 3 == turns
    assert sorted(turns[:3]) == ["a", "b", "c"]
    shop.configure(f'balance = "random"\n{endpoints(upstreams, "abc")}')
    shares = shop.shares(300)
    # 300 draws of 1/3: outside 60 to 140 once in a million.
    assert all(60 <= shares[name] <= 140 for name in "abc"), shares
    shop.configure(f'balance = "least_load"\n{endpoints(upstreams, "abc")}')
    # It avoids one that was slow a moment ago, and forgets nobody.
    met: Counter[str] = Counter()
    until(lambda: met.update(shop.shares(30)) or set(met) == {"a", "b", "c"}, "least_load to use all")
    weighted = f'endpoints = ["{upstreams.address("a")}", {{ address = "{upstreams.address("b")}", weight = 3 }}]'
    shop.configure(f'balance = "round_robin"\n{weighted}')
    assert shop.shares(40) == {"a": 10, "b": 30}
    shop.configure(f'balance = "round_robin"\n{endpoints(upstreams, "ab")}')
    assert "c" not in shop.shares(10)
    shop.configure(f'balance = "round_robin"\n{endpoints(upstreams, "abc")}')
    assert shop.shares(9) == {"a": 3, "b": 3, "c": 3}


def test_a_hash_keeps_a_key_where_it_was(shop: Shop, upstreams: Upstreams) -> None:
    """Each key has one endpoint; with a third one added about a third of the keys move, and all of those to it."""
    keys = [f"user-{number}" for number in range(120)]
    balance = 'balance = { hash = { header = "x-user" } }'

    def placed() -> dict[str, str]:
        found = {key: {shop.served_by(headers={"x-user": key}) for _ in range(2)} for key in keys}
        assert all(len(servers) == 1 for servers in found.values())
        return {key: servers.pop() for key, servers in found.items()}

    shop.configure(f"{balance}\n{endpoints(upstreams, 'ab')}")
    before = placed()
    assert set(before.values()) == {"a", "b"}
    shop.configure(f"{balance}\n{endpoints(upstreams, 'abc')}")
    moved = {after for key, after in placed().items() if after != before[key]}
    assert moved == {"c"}
    assert 15 <= sum(after == "c" for after in placed().values()) <= 70


def test_versions_share_by_weight_and_users_stick(shop: Shop, upstreams: Upstreams) -> None:
    """Of two versions 90 to 10 the smaller gets about a tenth, and `services show` tells the same; with a sticky key a
    user stays on one version; with a weight of 0 nobody meets it."""
    split = """sticky = {{ header = "x-user" }}
        versions.v1 = {{ endpoints = ["{0}"], weight = {2} }}
        versions.v2 = {{ endpoints = ["{1}"], weight = {3} }}
    """
    a, b = upstreams.address("a"), upstreams.address("b")
    shop.configure(split.format(a, b, 90, 10))
    shares = shop.shares(400)
    # 400 draws of 0.1: outside 12 to 80 less than once in a million.
    assert 12 <= shares["b"] <= 80, shares

    def counted() -> dict[str, int]:
        return {version["name"]: version["requests"] for version in shop.gateway.service("s")["versions"]}

    until(lambda: counted() == {"v1": shares["a"], "v2": shares["b"]}, "the same to be told")
    for user in range(40):
        assert len({shop.served_by(headers={"x-user": f"user-{user}"}) for _ in range(3)}) == 1
    shop.configure(split.format(a, b, 1, 0))
    assert shop.shares(50) == {"a": 50}


def test_slow_start_warms_an_endpoint_up(shop: Shop, upstreams: Upstreams) -> None:
    """An endpoint that is added to a service with slow_start begins with a tenth of its share and grows to the
    whole."""
    b = upstreams.address("b")
    policy = 'balance = "round_robin"\nslow_start = "4s"'
    shop.configure(f"{policy}\n{endpoints(upstreams, 'a')}")
    until(lambda: shop.gateway.service("s")["endpoints"][0]["weight"] == 1, "a to be warm")

    def begun() -> tuple[float, Counter[str]] | None:
        """The new endpoint's weight and the shares, where all of it came to pass in the first three seconds."""
        shop.configure(f"{policy}\n{endpoints(upstreams, 'a')}")
        start = time.monotonic()
        shop.configure(f"{policy}\n{endpoints(upstreams, 'ab')}")
        found = shop.gateway.endpoint("s", b)["weight"], shop.shares(20)
        return found if time.monotonic() - start < 3 else None

    weight, cold = until(begun, "a machine that is quick enough") or (1.0, Counter())
    assert weight < 0.8
    assert cold["b"] < cold["a"]
    until(lambda: shop.gateway.endpoint("s", b)["weight"] == 1, "b to be warm")
    assert shop.shares(20) == {"a": 10, "b": 10}


def test_a_name_is_used_with_all_its_addresses(shop: Shop, upstreams: Upstreams) -> None:
    """An endpoint called localhost is reached, whichever of its addresses the server listens on."""
    port = upstreams.said["a"]
    shop.configure(f'endpoints = ["localhost:{port}"]')
    assert shop.shares(5) == {"a": 5}
    assert shop.gateway.endpoint("s", f"localhost:{port}")["state"] == "healthy"


def test_a_dead_version_costs_no_request(shop: Shop, upstreams: Upstreams) -> None:
    """Requests meant for a version whose only endpoint refuses connections are taken by another one, which is the one
    retry that is on by default; without retries the client hears of it."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and nobody listens
        check_dead_version(shop, upstreams, taken.getsockname()[1])


def check_dead_version(shop: Shop, upstreams: Upstreams, gone: int) -> None:
    """See the test; nobody listens on the port `gone`."""
    versions = f"""
        versions.v1 = {{ endpoints = ["{upstreams.address("a")}"], weight = 50 }}
        versions.v2 = {{ endpoints = ["127.0.0.1:{gone}"], weight = 50 }}
        ejection = {{ enabled = false }}
    """
    shop.configure(versions)
    assert shop.shares(60) == {"a": 60}
    shown = shop.gateway.service("s")
    assert next(each for each in shown["endpoints"] if each["version"] == "v2")["failures"] > 0
