"""Keeping a running sidecar from taking requests, and putting it back: a word in the store, under the sidecar's own
lease, that it follows. Its app runs on."""

from __future__ import annotations

from collections.abc import Sequence
from threading import Event
from typing import Final

from meshctl import clock
from meshctl.control.discovery import registrations
from meshctl.control.following import Follower, await_followers
from meshctl.control.who import who
from meshctl.errors import MeshError
from meshctl.model.views import ProxyRecord
from meshctl.sidecar.presence import DRAINS
from meshctl.store.protocol import Audit, Delete, Put, Store

_LOOK: Final = 0.02


def find(records: Sequence[ProxyRecord], name: str) -> list[ProxyRecord]:
    """The sidecars that `name` means: the one with this id, or all of this service. Raises MeshError not_found."""
    sidecars = [each for each in records if each.role == "sidecar"]
    found = [each for each in sidecars if name in (each.id, each.service)]
    if not found:
        known = ", ".join(sorted(each.id for each in sidecars))
        raise MeshError("not_found", f'no sidecar is called "{name}"', hint=f"there are {known}" if known else "")
    return found


def drain(store: Store, records: Sequence[ProxyRecord], *, undo: bool) -> None:
    """Keep these sidecars from taking requests, or have them take requests again."""
    changes: list[Put | Delete] = []
    for record in records:
        entry = store.get(f"proxies/{record.id}")
        if undo:
            changes.append(Delete(DRAINS + record.id))
        elif entry is not None:
            changes.append(Put(DRAINS + record.id, b"{}", entry.lease))
    word = "undrain" if undo else "drain"
    store.transact(changes, audit=Audit(who(), clock.wall(), f"{word} {', '.join(each.id for each in records)}"))


def await_drained(store: Store, records: Sequence[ProxyRecord], timeout: float, *, undo: bool) -> list[Follower]:
    """Every running proxy, once the sidecars have obeyed and all proxies have seen it, or after `timeout` seconds.
    Blocks. A sidecar whose app does not take requests yet is not waited for when it is put back."""
    deadline = clock.monotonic() + timeout
    pause = Event()
    awaited = {each.id for each in records if not undo or (each.app and each.app.state == "drained")}
    while clock.monotonic() < deadline:
        registered = {each.proxy for each in registrations(store)}
        if awaited <= registered if undo else not awaited & registered:
            break
        pause.wait(_LOOK)
    return await_followers(store, store.revision(), max(0.0, deadline - clock.monotonic()))
