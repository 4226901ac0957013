"""An app's place in the mesh: when it may be ended."""

from __future__ import annotations

import asyncio
import os
from typing import Any, cast

import msgspec
import pytest

from meshctl.control.discovery import announce, registrations, withdraw
from meshctl.errors import MeshError
from meshctl.model.registration import Registration
from meshctl.model.views import ProxyRecord, ServiceView
from meshctl.sidecar import presence
from meshctl.sidecar.presence import Presence
from meshctl.sidecar.role import SidecarRole
from meshctl.store.sqlite import SqliteStore

ROLE = SidecarRole("orders", "v1", 8123)
RECORD = ProxyRecord("orders-v1-1", "sidecar", os.getpid(), 1.0, "/nowhere")
REGISTRATION = Registration("orders", "v1", "127.0.0.1", 1, RECORD.id, RECORD.pid, "", 0.0)


class Keeping:
    """As much of a supervisor as there is to a presence, with a store that is out of order for as long as it is told
    to be, and no request in flight."""

    def __init__(self, store: SqliteStore) -> None:
        self.store = store
        self.record = RECORD
        self.loop = asyncio.get_running_loop()
        self.changing = self.fleet = self
        self.is_broken = False
        self.failures = 0
        self._lease = store.grant(600)

    def announce(self, _registration: Registration) -> int:
        """See `Supervisor`."""
        return announce(self.store, REGISTRATION, self._lease)

    def withdraw(self) -> int:
        """See `Supervisor`."""
        if self.is_broken:
            raise MeshError("store_failed", "the disk is full")
        return withdraw(self.store, REGISTRATION)

    def store_failed(self, _error: MeshError) -> None:
        """See `Changing`."""
        self.failures += 1

    async def synced(self, revision: int, _timeout: float) -> int:
        """See `Changing`."""
        return revision

    async def ask(self, _what: str) -> list[tuple[int, bytes]]:
        """See `Fleet`."""
        return [(1, msgspec.msgpack.encode(list[ServiceView]()))]


class Present(Presence):
    """One whose listener is none of the test's business."""

    def _registration(self) -> Registration:
        return REGISTRATION


def test_an_app_stays_until_others_can_know_that_it_leaves(store: SqliteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the store fails for a moment, so that all others still send requests, the app is not ended before it could
    be told, although none is in flight just then."""
    monkeypatch.setattr(presence, "AGAIN_AFTER", 0.01)
    monkeypatch.setattr(presence, "SEEN_WITHIN", 60.0)

    async def main() -> None:
        keeping = Keeping(store)
        present = Present(cast("Any", keeping), ROLE)
        present.open()
        assert [each.proxy for each in registrations(store)] == [RECORD.id]
        keeping.is_broken = True
        leaving = asyncio.create_task(present.leave(60.0))
        async with asyncio.timeout(60):
            while keeping.failures < 5:
                await asyncio.sleep(0.01)
            assert not leaving.done()
            keeping.is_broken = False
            await leaving
        assert registrations(store) == ()

    asyncio.run(main())


def test_a_store_that_stays_broken_holds_up_nobody_for_ever(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After the time that others get to hear of it the app is ended all the same, once it has nothing to do."""
    monkeypatch.setattr(presence, "SEEN_WITHIN", 0.05)

    async def main() -> None:
        keeping = Keeping(store)
        present = Present(cast("Any", keeping), ROLE)
        present.open()
        keeping.is_broken = True
        async with asyncio.timeout(60):
            await present.leave(600.0)
        assert keeping.failures

    asyncio.run(main())
