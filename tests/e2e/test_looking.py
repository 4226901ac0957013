"""A mesh seen from outside: `stat`, `edges`, `tap` and `top` over a gateway, two wrapped apps and a service that is
down."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from .gateway import Ended, Gateway, meshctl, meshctl_process
from .sidecar import Wrapped
from .two_apps import two_apps
from .waiting import until

MESH = """
    gateway.listen = ["127.0.0.1:0"]
    gateway.workers = 2
    gateway.access_log = "off"
    routes = [
        {{ name = "broken", path = "/broken", service = "broken" }},
        {{ name = "nothing", path = "/nothing", respond = {{ status = 204 }} }},
        {{ name = "web", path = "/web", service = "web", rewrite = {{ prefix = "/" }} }},
    ]
    [services.web]
    [services.orders]
    [services.broken]
    endpoints = ["127.0.0.1:{port}"]
"""


@dataclass
class Shop:
    """The mesh of this module's tests."""

    home: Path
    gateway: Gateway
    web: Wrapped
    orders: Wrapped
    http: httpx.Client

    def get(self, path: str, **headers: str) -> int:
        """Ask the gateway; the status it answers with."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.http.get(f"{self.gateway.url}{path}", headers=sent).status_code

    def call(self, url: str) -> int:
        """Have web ask another service; what that answers."""
        return int(self.http.get(f"{self.gateway.url}/web/call?url={url}").json()["status"])

    def rows(self, *arguments: str, key: str = "rows") -> list[dict[str, Any]]:
        """The rows of a reading command."""

        def told() -> Any:
            ended = meshctl(self.home, *arguments, "-o", "json")
            # On a busy machine one of them may be too late with its answer.
            assert ended.status == 0 or ended.json()["silent"], ended.err
            return ended.json() if ended.status == 0 else None

        document = until(told, "all proxies to answer")
        assert document["silent"] == []
        return document[key]  # type: ignore[no-any-return]

    def row(self, *arguments: str, key: str = "rows", **name: str) -> dict[str, Any]:
        """One row, by its name; an empty one where there is none."""
        rows = self.rows(*arguments, key=key)
        return next((row for row in rows if name.items() <= row.items()), {"requests": 0})


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """The mesh, all ready, with a few requests behind it."""
    folder = tmp_path_factory.mktemp("looking")
    with socket.socket() as taken, httpx.Client(timeout=30, trust_env=False) as http:
        taken.bind(("127.0.0.1", 0))  # and nobody listens
        with two_apps(folder, MESH.format(port=taken.getsockname()[1])) as running:
            made = Shop(folder / "home", *running, http)
            until(
                lambda: made.get("/web/x") == 200 and made.call("http://orders/x") == 200,
                "the mesh to serve",
                every=0.5,
            )
            yield made


def test_each_request_counts_once(shop: Shop) -> None:
    """What passes gateway, caller's sidecar and callee's is one request to the caller's service and one to the
    callee's; the newest are told at once."""
    before = {name: shop.row("stat", service=name)["requests"] for name in ("web", "orders")}
    for _ in range(5):
        assert shop.call("http://orders/x") == 200

    def counted() -> dict[str, dict[str, Any]] | None:
        rows = {name: shop.row("stat", "--window", "15m", service=name) for name in ("web", "orders")}
        more = {name: row["requests"] - before[name] for name, row in rows.items()}
        return rows if more == {"web": 5, "orders": 5} else None

    after = until(counted, "each to be counted once") or {}
    orders = after["orders"]
    assert (orders["meshed"], orders["endpoints"], orders["in_flight"]) == (1, 1, 0)
    assert 0 < orders["p50"] <= orders["p95"] <= orders["p99"] <= after["web"]["p99"] * 1.2
    assert orders["connections"] >= 1
    assert orders["sent_per_second"] > 0
    maps = Path(f"/proc/{shop.gateway.pid}/maps")
    # It would cost each of many proxies half a second before it could answer.
    assert not maps.exists() or "aiohttp" not in maps.read_text()


def test_what_never_arrives_is_a_failure(shop: Shop) -> None:
    """A service that cannot be reached has no success, and the table says why; what no route took stands apart."""
    assert shop.get("/broken/x") in {502, 503}
    assert shop.get("/nothing") == 204
    row = shop.row("stat", "broken", service="broken")
    assert row["success"] == 0
    assert row["reasons"]
    assert (row["meshed"], row["endpoints"]) == (0, 1)
    table = meshctl(shop.home, "stat").out
    line = next(line for line in table.splitlines() if line.startswith("broken"))
    assert "0.00%" in line
    assert next(iter(row["reasons"])) in line
    assert "(none)" in table.splitlines()[-1]
    assert shop.row("stat", "--by", "route", route="broken")["errors"] == row["errors"]
    web = ("stat", "--by", "version")
    before = shop.row(*web, service="web", version="default").get("errors", 0)
    assert shop.get("/web/x") == 200
    # What was asked before the gateway knew of it may be among the figures.
    after = until(lambda: (row := shop.row(*web, service="web", version="default"))["requests"] and row, "its row")
    assert (after["errors"], after["success"] > 0) == (before, True)
    assert meshctl(shop.home, "stat", "brken").status == 4


def test_edges_tell_who_calls_whom(shop: Shop) -> None:
    """Callers and callees are told with the identities they proved over mutual TLS; what is spoken in the clear is told
    as that."""
    shop.get("/broken/x")

    def told() -> dict[tuple[str, str], dict[str, Any]]:
        assert shop.call("http://orders/x") == 200
        return {(each["from"], each["service"]): each for each in shop.rows("edges", key="edges")}

    # What was asked before web's proxy knew of orders may be among the figures.
    before = until(lambda: (found := told()).get(("web", "orders")) and found, "the edge")
    edges = told()
    assert {("gateway", "web"), ("web", "orders"), ("gateway", "broken")} <= edges.keys()
    called = edges["web", "orders"]
    assert (called["tls"], called["errors"]) == ("mtls", before["web", "orders"]["errors"])
    assert called["success"] == pytest.approx(1 - called["errors"] / called["requests"])
    assert called["requests"] > before["web", "orders"]["requests"]
    domain = called["identity"].removesuffix("/service/orders")
    assert domain.startswith("spiffe://")
    assert called["from_identity"] == f"{domain}/service/web"
    assert (edges["gateway", "broken"]["tls"], edges["gateway", "broken"]["identity"]) == ("plain", "")
    assert ("gateway", "orders") not in edges
    assert {each["service"] for each in shop.rows("edges", "orders", key="edges")} == {"orders"}


def test_who_does_not_answer_is_named(shop: Shop) -> None:
    """With a proxy that is stopped the others are told, it is named, its callers' counts come from those it calls, and
    the command ends with 1."""
    assert shop.call("http://orders/x") == 200
    proxy = shop.web.process.pid
    os.kill(proxy, signal.SIGSTOP)

    def told() -> Ended | None:
        ended = meshctl(shop.home, "stat", "-o", "json")
        # On a busy machine others may be too late, too.
        return ended if len(ended.json()["silent"]) == 1 else None

    try:
        ended = until(told, "the others to answer")
    finally:
        os.kill(proxy, signal.SIGCONT)
    assert ended is not None
    assert ended.status == 1
    assert ended.json()["silent"] == [shop.web.id]
    assert shop.web.id in ended.err
    assert next(row for row in ended.json()["rows"] if row["service"] == "orders")["requests"] > 0


def until_tapped(shop: Shop, tap: subprocess.Popen[bytes], out: Path, path: str) -> None:
    """Return when a tap shows requests: it takes a moment until every proxy knows of it."""

    def shows() -> bool:
        assert tap.poll() is None, out.read_text()
        assert shop.get(path) == 200
        return path.rpartition("/")[2] in out.read_text()

    until(shows, "the tap to show requests", every=0.1)


def test_tap_shows_what_is_wanted(shop: Shop, tmp_path: Path) -> None:
    """Each request that passes the filter is one line with whom it went to and how, at the proxy that sent it; nothing
    that a client must keep to itself is in any; it ends when as many were shown as were asked for."""
    out = tmp_path / "out"
    with out.open("wb") as sink:
        tap = meshctl_process(
            shop.home, "tap", "orders", "--path", "/wanted", "-n", "3", "-o", "json", stdout=sink, stderr=sink
        )
    try:
        url = f"{shop.gateway.url}/web/call?url=http://orders/wanted/7?card=hunter1"

        def ended() -> bool:
            shop.http.get(url, headers={"Cookie": "a=hunter2"})
            shop.call("http://orders/unwanted")
            return tap.poll() is not None

        until(ended, "the tap to end", every=0.1)
    finally:
        tap.kill()
        status = tap.wait()
    assert status == 0, out.read_text()
    lines = [json.loads(line) for line in out.read_text().splitlines()]
    assert len(lines) == 3
    assert "hunter" not in out.read_text()
    for line in lines:
        assert (line["source"], line["destination"], line["tls"], line["proxy"]) == ("web", "orders", "mtls", "out")
        assert (line["path"], line["status"], line["id"]) == ("/wanted/7?…", 200, shop.web.id)
        assert line["request_headers"]["accept-encoding"]
        assert line["response_headers"]["x-served-by"] == shop.orders.id


def test_a_killed_tap_costs_nothing(shop: Shop, tmp_path: Path) -> None:
    """Within seconds of kill -9 no proxy shows anything any more."""
    out = tmp_path / "out"
    with out.open("wb") as sink:
        tap = meshctl_process(shop.home, "tap", "--max-rate", "100000", stdout=sink, stderr=sink)
    try:
        until_tapped(shop, tap, out, "/web/here")
        assert taps(shop) >= 2
    finally:
        tap.kill()
        tap.wait()
    line = next(line for line in out.read_text().splitlines() if "/here" in line)
    for word in ("req id=", "proxy=gateway", "dst=web@", "tls=mtls", ":method=GET", ":status=200", "duration="):
        assert f" {word}" in line
    until(lambda: not taps(shop), "the proxies to stop")


def taps(shop: Shop) -> int:
    """How many clients look on at the gateway and at web's proxy: the connections that their admin sockets have."""
    count = 0
    for pid in (shop.gateway.pid, shop.web.process.pid):
        for process in (psutil.Process(pid), *psutil.Process(pid).children(recursive=True)):
            ends: list[str] = []
            with contextlib.suppress(psutil.NoSuchProcess):
                ends = [each.laddr for each in process.net_connections("unix") if each.laddr.endswith(".sock")]
            # One of them waits for clients.
            count += sum(number - 1 for number in Counter(ends).values())
    return count


def test_top_counts_kinds_of_requests(shop: Shop, tmp_path: Path) -> None:
    """Requests that differ in a number alone are of one kind; each kind has its count, latencies and success."""
    out = tmp_path / "out"
    with out.open("wb") as sink:
        top = meshctl_process(shop.home, "top", "web", "--for", "4s", "-o", "json", stdout=sink, stderr=sink)
    number = 0
    while top.poll() is None:
        number += 1
        assert shop.get(f"/web/item/{number}") == 200
    assert top.wait() == 0, out.read_text()
    rows = json.loads(out.read_text())["rows"]
    (row,) = [row for row in rows if row["path"] == "/web/item/*"]
    assert row["destination"] == "web"
    assert 0 < row["count"] <= number
    assert 0 < row["best"] <= row["last"] <= row["worst"]
    assert row["success"] == 1
