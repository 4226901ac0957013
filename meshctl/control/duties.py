"""Long-lived duties: work that one proxy at a time does for the whole mesh, such as driving a rollout.

Whoever has a duty holds `duties/<name>` under a lease of a few seconds and keeps it alive by asking for it again and
again. Where the holder dies the next one that asks takes over: at once when its process is seen to be dead, else when
the lease ends. What the duty is about stands in the store, so that nothing starts from zero.
"""

from __future__ import annotations

from typing import Final

import msgspec

from meshctl.control.discovery import is_process, machine
from meshctl.control.revisions import decode
from meshctl.store.protocol import Conflict, Entry, Expect, LeaseEnded, Put, Store

_DUTIES: Final = "duties/"

LIFE: Final = 3.0
"""Seconds that a duty outlives its holder where nobody can see that it died."""
RENEW: Final = 1.0
"""Seconds between two signs of life."""


class Holder(msgspec.Struct, frozen=True):
    """Who has a duty: a proxy, and its process on a machine."""

    proxy: str
    pid: int
    machine: str


class Duty:
    """One duty, as one proxy sees it."""

    def __init__(self, store: Store, name: str, proxy: str, pid: int) -> None:
        self._store = store
        self._key = _DUTIES + name
        self._holder = Holder(proxy, pid, machine())
        self._lease = ""
        self._renewed = 0.0

    def __repr__(self) -> str:
        return f"<Duty {self._key} {'held' if self._lease else 'not held'} by {self._holder.proxy}>"

    def take(self, now: float) -> bool:
        """Whether this proxy has the duty; takes it where nobody has. To be asked at least every second. `now` is a
        monotonic time. Raises MeshError where the store cannot be used."""
        if self._lease and now - self._renewed < RENEW:
            return True
        if self._lease and self._store.keep_alive(self._lease):
            self._renewed = now
            return True
        self._lease = ""
        entry = self._store.get(self._key)
        if entry is not None and not self._is_free(entry):
            return False
        return self._claim(entry, now)

    def renew(self, now: float) -> None:
        """Keep the duty, where this proxy has it, without taking it anew."""
        if self._lease and self._store.keep_alive(self._lease):
            self._renewed = now

    def release(self) -> None:
        """Give it back."""
        lease, self._lease = self._lease, ""
        if lease:
            self._store.release(lease)

    def _is_free(self, entry: Entry) -> bool:
        holder = decode(entry, Holder)
        # Of a process on another machine only its lease can tell.
        return holder == self._holder or (holder.machine == self._holder.machine and not is_process(holder.pid))

    def _claim(self, entry: Entry | None, now: float) -> bool:
        lease = self._store.grant(LIFE)
        put = Put(self._key, msgspec.json.encode(self._holder), lease)
        try:
            self._store.transact([put], expect=[Expect(self._key, entry.revision if entry else 0)])
        except (Conflict, LeaseEnded):
            self._store.release(lease)
            return False
        self._lease, self._renewed = lease, now
        return True


def holder(store: Store, name: str) -> Holder | None:
    """Who has a duty now."""
    entry = store.get(_DUTIES + name)
    return None if entry is None else decode(entry, Holder)
