"""How a rollout is driven: what counts as evidence, when it may go on, and what does not end it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest

from meshctl.control import rollouts
from meshctl.control.acks import register
from meshctl.control.apply import apply
from meshctl.control.discovery import announce, machine, withdraw
from meshctl.control.rollout_state import begin, rollout
from meshctl.control.rollouts import Driver, has_endpoint
from meshctl.model.mesh import Mesh
from meshctl.model.registration import Registration
from meshctl.model.rollout import Plan
from meshctl.model.service import Endpoint, Service, Version
from meshctl.model.views import ProxyRecord
from meshctl.observe.tally import Tally, VersionTally
from meshctl.store.sqlite import SqliteStore

SERVICE = Service("orders", versions=(
    Version("v1", (Endpoint("127.0.0.1", 1),), weight=100.0),
    Version("v2", (Endpoint("127.0.0.1", 2),), weight=0.0),
))  # fmt: skip
PLAN = Plan("v2", steps=(50.0,), every=0.2, min_requests=20, failures=1)


class Answering:
    """The admin socket of a proxy that has counted `done` requests of v2, of which `failed` did, and `more` good ones
    each time it is asked."""

    def __init__(self, path: Path, done: int = 0, failed: int = 0) -> None:
        self.path = path
        self.done = done
        self.failed = failed
        self.more = 10
        self.asked = 0
        self.is_garbled = False

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Answer."""
        async with await asyncio.start_unix_server(self._answer, self.path):
            yield

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        body = b"{}"
        if b"/v1/versions" in head:
            self.asked += 1
            self.done += self.more
            body = msgspec.json.encode([VersionTally("v2", Tally(self.done, self.failed))])
            body = b"[oops" if self.is_garbled else body
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
        await writer.drain()
        writer.close()


def prepared(store: SqliteStore, *proxies: Answering) -> Driver:
    """Who drives the rollout that has just begun of orders, whose proxies are these."""
    apply(store, Mesh(services=(SERVICE,)), source="f", who="w")
    for proxy in proxies:
        record = ProxyRecord(proxy.path.name, "gateway", os.getpid(), 1.0, str(proxy.path), machine=machine())
        register(store, record, store.grant(600))
    begin(store, "orders", PLAN, who="ann")
    return Driver(store, "orders", "one", os.getpid(), "/")


def test_the_past_of_a_proxy_that_was_silent(store: SqliteStore, tmp_path: Path) -> None:
    """One that did not answer when counting began brings what it had counted before when it does: that is no evidence
    against the version."""
    one, two = Answering(tmp_path / "one"), Answering(tmp_path / "two", done=5000, failed=4000)
    # Nothing is decided before the other one has been heard.
    one.more = two.more = 0

    async def drive() -> None:
        driver = asyncio.create_task(prepared(store, one, two).run())
        async with asyncio.timeout(60), one.open():
            while not (found := rollout(store, "orders")) or not found.since:
                await asyncio.sleep(0.01)
            async with two.open():
                while not two.asked:
                    await asyncio.sleep(0.01)
                one.more = 10
                await driver

    asyncio.run(drive())
    found = rollout(store, "orders")
    assert found is not None
    assert found.phase == "promoted", found.log


def test_what_nobody_expected_ends_no_rollout(
    store: SqliteStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A proxy's answer that nobody understands is told of once, however often it comes; the rollout stays where it
    is, and goes on when all is well again."""
    monkeypatch.setattr(rollouts, "AFTER_DEFECT", 0.01)
    one = Answering(tmp_path / "one")
    one.is_garbled = True

    async def drive() -> None:
        driver = asyncio.create_task(prepared(store, one).run())
        async with asyncio.timeout(60), one.open():
            while one.asked < 5:
                await asyncio.sleep(0.01)
            found = rollout(store, "orders")
            assert found is not None
            assert (found.phase, driver.done()) == ("running", False)
            one.is_garbled = False
            await driver

    asyncio.run(drive())
    found = rollout(store, "orders")
    assert found is not None
    assert found.phase == "promoted", found.log
    assert [record.message for record in caplog.records].count("rollout_failed") == 1


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
