"""Faults and mirrors in the store, as proxies follow them, and the one door through which they change.

Every change is one transaction with an audit record and the expectation that nobody was faster. mesh.toml is never
touched, and an apply leaves them as they are. What a fault or a mirror is to do is decided by `faults` and `mirrors`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from meshctl import clock
from meshctl.control.revisions import decode
from meshctl.errors import MeshError
from meshctl.model.steering import Fault, Mirror, Steering
from meshctl.store.protocol import Audit, Conflict, Delete, Entry, Expect, Put, Store

_STEERING: Final = "traffic/steering/"
_FAULTS: Final = f"{_STEERING}fault/"
_MIRRORS: Final = f"{_STEERING}mirror/"
EVERYBODY: Final = "*"
"""The caller in the key of a fault that is for all."""


def live_steering(store: Store) -> Steering:
    """All faults, those that have ended included, and all mirrors: what proxies follow."""
    entries = store.list(_STEERING)
    return Steering(
        tuple(decode(each, Fault) for each in entries if each.key.startswith(_FAULTS)),
        tuple(decode(each, Mirror) for each in entries if each.key.startswith(_MIRRORS)),
    )


def fault_key(service: str, caller: str = "") -> str:
    """Where the fault for one caller, or for all, stands."""
    return f"{_FAULTS}{service}/{caller or EVERYBODY}"


def fault_keys(service: str) -> str:
    """What the keys of all faults of a service begin with."""
    return f"{_FAULTS}{service}/"


def mirror_key(service: str) -> str:
    """Where the mirror of a service stands."""
    return f"{_MIRRORS}{service}"


def put(store: Store, key: str, value: Fault | Mirror, before: str, after: str, what: str) -> int:
    """Have `value` hold in the place of what stands there; the store revision from which on it does. Raises MeshError
    conflict."""
    entry = store.get(key)
    changes: list[Put | Delete] = [Put(key, msgspec.json.encode(value)), *_ended(store, key)]
    return _commit(store, changes, [_expected(key, entry)], Audit(value.who, value.at, what, before, after))


def drop(store: Store, entries: Sequence[Entry], *, who: str, before: str, what: str) -> int:
    """Have nothing hold in the place of what stands in `entries`; the store revision from which on that is so. Raises
    MeshError conflict."""
    audit = Audit(who, clock.wall(), what, before, "")
    expected = [Expect(entry.key, entry.revision) for entry in entries]
    return _commit(store, [*map(Delete, (entry.key for entry in entries)), *_ended(store, "")], expected, audit)


def _ended(store: Store, apart: str) -> list[Delete]:
    """Faults that have ended are cleared away with the next change of any."""
    now = clock.wall()
    found = (entry for entry in store.list(_FAULTS) if entry.key != apart)
    return [Delete(entry.key) for entry in found if decode(entry, Fault).until <= now]


def _expected(key: str, entry: Entry | None) -> Expect:
    return Expect(key, 0 if entry is None else entry.revision)


def _commit(store: Store, changes: Sequence[Put | Delete], expected: Sequence[Expect], audit: Audit) -> int:
    try:
        return store.transact(changes, expect=expected, audit=audit)
    except Conflict as error:
        message = "somebody else has changed the same at the same time"
        raise MeshError("conflict", message, hint="look at what holds now, then try again") from error
