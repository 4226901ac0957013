"""Have all running proxies acted on a change of the store? For commands that return only when it is live everywhere."""

from __future__ import annotations

from threading import Event
from typing import Final, Literal

import msgspec

from meshctl import clock
from meshctl.control.acks import proxies
from meshctl.control.client import ask_all
from meshctl.store.protocol import Store

# What the admin API itself waits for at most, and some time on the way.
_AT_A_TIME: Final = 6.0
# Before asking again who did not answer: it may be starting.
_PAUSE: Final = 0.05


class Follower(msgspec.Struct, frozen=True):
    """A running proxy, whether it has acted on the change, and why that is not known."""

    proxy: str
    status: Literal["live", "silent"]
    reason: str = ""


class _Synced(msgspec.Struct):
    revision: int


def await_followers(store: Store, revision: int, timeout: float) -> list[Follower]:
    """Every running proxy, once all have acted on store revision `revision`, or after `timeout` seconds. Blocks.

    A proxy that ends meanwhile is not waited for."""
    deadline = clock.monotonic() + timeout
    waiting = {record.id: record for record in proxies(store)}
    found = {name: Follower(name, "silent", "it has not answered") for name in waiting}
    pause = Event()
    while waiting and (left := deadline - clock.monotonic()) > 0:
        target = f"/v1/synced?revision={revision}"
        for answer in ask_all(list(waiting.values()), target, timeout=min(left, _AT_A_TIME)):
            name = answer.record.id
            if answer.error:
                found[name] = Follower(name, "silent", answer.error.message)
            elif (reached := msgspec.json.decode(answer.body, type=_Synced).revision) < revision:
                found[name] = Follower(name, "silent", f"it is at store revision {reached}")
            else:
                found[name] = Follower(name, "live")
                del waiting[name]
        running = {record.id for record in proxies(store)}
        for name in waiting.keys() - running:
            del waiting[name], found[name]
        if waiting:
            pause.wait(_PAUSE)
    return [found[name] for name in sorted(found)]
