"""Limits and quotas in whole gateways: exact over workers, over restarts and, with Redis, over gateways."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest

from meshctl.store.sqlite import SqliteStore

from .conftest import StartGateway
from .gateway import Gateway, meshctl
from .servers import Upstreams
from .waiting import until

TEXT = """\
[mesh]
name = "shop"
[gateway]
listen = ["127.0.0.1:0"]
workers = {workers}
access_log = "off"
{gateway}
[[routes]]
name = "all"
service = "s"
{route}
[services.s]
endpoints = ["{address}"]
"""


def written(file: Path, upstreams: Upstreams, route: str, *, workers: int = 1, gateway: str = "") -> Path:
    """A configuration with one route, which has these keys."""
    address = upstreams.url_of("a").removeprefix("http://")
    file.write_text(TEXT.format(workers=workers, gateway=gateway, route=route, address=address))
    return file


def ask(gateway: Gateway, count: int = 1, clients: int = 1) -> Counter[int]:
    """The statuses of so many requests, by so many clients at once, each on a connection of its own."""
    found: Counter[int] = Counter()

    def some() -> None:
        with httpx.Client(timeout=30, trust_env=False) as client:
            for _ in range(count // clients):
                found[client.get(gateway.url).status_code] += 1

    with ThreadPoolExecutor(clients) as pool:
        for each in [pool.submit(some) for _ in range(clients)]:
            each.result()
    return found


def test_workers_share_a_limit(start_gateway: StartGateway, upstreams: Upstreams, tmp_path: Path) -> None:
    """Two workers together let in what one would, within 5 %, however connections fall to them; and one that was killed
    comes back knowing what was counted."""
    route = 'rate_limits = { limit = "400/d", by = "route" }'
    gateway = start_gateway("-c", written(tmp_path / "mesh.toml", upstreams, route, workers=2), listen="")
    found = ask(gateway, 600, clients=12)
    assert found.keys() == {200, 429}
    assert found[200] == pytest.approx(400, rel=0.05)
    told = meshctl(gateway.home, "routes", "explain", "GET", "/").out
    assert "rate limit per-route: 400/d, 400 at once, by route; rate_limited:per-route, the next one in" in told
    gateway.forgiven.add("worker_ended")
    killed = gateway.workers()
    for pid in killed:
        os.kill(pid, signal.SIGKILL)
    until(lambda: len(gateway.workers()) == 2 and not set(killed) & set(gateway.workers()), "new workers")

    def statuses() -> Counter[int]:
        try:
            return ask(gateway, 8, clients=4)
        except httpx.TransportError:
            return Counter()

    # A day is long: what comes back meanwhile is a request in some minutes.
    again = until(statuses, "the new workers to answer")
    assert again[429] >= 5


def test_quotas_outlive_the_gateway(start_gateway: StartGateway, upstreams: Upstreams, tmp_path: Path) -> None:
    """What was used is written down within a second or so, holds after the gateway was killed, is shown, and can be
    given back while the gateway runs."""
    file = written(tmp_path / "mesh.toml", upstreams, 'quotas = { limit = 5, per = "month" }')
    gateway = start_gateway("-c", file, listen="")
    assert ask(gateway, 3) == {200: 3}
    home = gateway.home

    def used(expected: int) -> bool:
        rows = meshctl(home, "limits", "ls", "-o", "json").json()
        return [(each["route"], each["quota"], each["key"], each["used"], each["left"]) for each in rows] == [
            ("all", "month-per-client", "127.0.0.1", expected, 5 - expected)
        ]

    until(lambda: used(3), "the use to be written")
    gateway.kill()
    gateway = start_gateway("-c", file, listen="", home=home)
    assert ask(gateway, 4) == {200: 2, 429: 2}
    with httpx.Client(timeout=30, trust_env=False) as client:
        refused = client.get(gateway.url)
    assert refused.headers["x-meshctl-reason"] == "quota_exceeded:month-per-client"
    assert 0 < int(refused.headers["retry-after"]) <= 31 * 86_400
    assert refused.headers["ratelimit"].startswith('"month-per-client";r=0;t=')
    until(lambda: used(5), "the rest to be written")
    told = meshctl(home, "routes", "explain", "GET", "/").out
    assert "quota month-per-client: 5 in a month, by client address; quota_exceeded:month-per-client" in told
    assert "month-per-client" in meshctl(home, "limits", "ls").out
    assert meshctl(home, "limits", "reset", "all").status == 2
    assert meshctl(home, "limits", "reset", "nobody", "--all").status == 4
    reset = meshctl(home, "limits", "reset", "all", "--key", "127.0.0.1", "-o", "json")
    assert [each["used"] for each in reset.json()] == [5]
    with closing(SqliteStore(home / "mesh.db")) as store:
        assert store.audits(1)[0].what == "all: quotas given back"
    until(lambda: ask(gateway)[200], "the gateway to follow")
    assert gateway.end() == 0
    # What was counted last was written at the end.
    assert used(1)


class Redis:
    """A Redis server on a socket in `folder`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.socket = folder / "redis.sock"
        self.url = f"unix://{self.socket}"
        self.process: subprocess.Popen[bytes] | None = None
        self.come()

    def come(self) -> None:
        """Start it, empty."""
        command = ["redis-server", "--port", "0", "--unixsocket", str(self.socket), "--save", "", "--dir", self._folder]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        until(self.socket.exists, "Redis to listen")

    def go(self) -> None:
        """Kill it."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()
        self.socket.unlink(missing_ok=True)


@pytest.fixture
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Redis]:
    """A Redis server."""
    made = Redis(tmp_path_factory.mktemp("r"))
    yield made
    made.go()


def metric(gateway: Gateway) -> Callable[[], Any]:
    """What the gateway's metrics say of Redis."""

    def value() -> str:
        lines = httpx.get(f"{gateway.admin}/metrics", trust_env=False, timeout=30).text.splitlines()
        return next(line.rpartition(" ")[2] for line in lines if line.startswith("meshctl_limits_backend_up "))

    return value


def is_lost(gateway: Gateway) -> bool:
    """Whether a gateway was ever without Redis."""
    return "limits_backend_lost" in gateway.events()


def let_in(one: Gateway, other: Gateway) -> int:
    """How many requests two gateways let in, the second when it knows of the first one's."""
    for each in (one, other):
        until(lambda each=each: metric(each)() == "1.0", "Redis to be there")  # type: ignore[misc]
    assert ask(one, 60) == {200: 60}

    def left() -> int:
        answer = httpx.get(other.url, trust_env=False, timeout=30)
        return int(answer.headers["ratelimit"].partition("r=")[2].partition(";")[0])

    asked = 1
    while left() > 50 and not is_lost(one) and not is_lost(other):
        asked += 1
        assert asked < 30
        threading.Event().wait(0.5)
    # Each asks for all there is; what the two let in at the same moment is all that may be too much.
    return 60 + asked + ask(other, 60)[200]


def test_gateways_share_a_limit(
    start_gateway: StartGateway, upstreams: Upstreams, tmp_path: Path, redis: Redis
) -> None:
    """Two gateways with one Redis let in together what one would; while it is away each keeps the limit by itself, and
    says so; when it returns they share again."""
    route = 'rate_limits = { limit = "100/h", by = "route" }'
    shared = f'rate_limit = {{ backend = "{redis.url}" }}'
    file = written(tmp_path / "mesh.toml", upstreams, route, gateway=shared)
    for turn in range(5):
        one, other = (start_gateway("-c", file, listen="", home=tmp_path / f"h{turn}{name}") for name in "ab")
        passed = let_in(one, other)
        if not is_lost(one) and not is_lost(other):
            break
        # Redis has half a second to answer, which a machine that stalls may not give it: they did not share.
        for each in (one, other):
            each.check()
        redis.go()
        redis.come()
    assert passed == pytest.approx(100, abs=5)
    until(lambda: ask(one)[429], "the first to hear of it")
    redis.go()
    ask(one), ask(other)
    for each in (one, other):
        each.until_told("limits_backend_lost")
        assert metric(each)() == "0.0"
        assert ask(each, 5)[429] >= 4
    redis.come()
    for each in (one, other):
        each.until_told("limits_backend_back")
        until(lambda each=each: metric(each)() == "1.0", "Redis to be back")  # type: ignore[misc]
