"""Faults that people set: who gets which, how they end, and which hold now. Each has an end that needs nobody: proxies
judge it by themselves, so here it is only told.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from meshctl import clock
from meshctl.control.revisions import decode
from meshctl.control.steered import drop, fault_key, fault_keys, live_steering, put
from meshctl.control.weights import known_service
from meshctl.core.faults import active, check_fits, described, told
from meshctl.errors import MeshError
from meshctl.model.steering import Fault
from meshctl.store.protocol import Store


class FaultView(msgspec.Struct, frozen=True):
    """A fault that holds: the words for it, how long it has, who set it, and every number of it."""

    service: str
    caller: str
    """"" for all callers."""
    faults: str
    """`delay 300ms@20%, abort 503@5%`."""
    left: float
    """Seconds until it ends."""
    who: str
    at: float
    fault: Fault


def inject(store: Store, fault: Fault) -> int:
    """Have a fault hold, in the place of the one for the same caller; the store revision from which on it does.

    Raises MeshError: not_found for no such service, refused where it cannot have such a fault, conflict."""
    service = known_service(store, fault.service)
    check_fits(fault, service.protocol)
    if fault.caller and fault.caller != "gateway":
        known_service(store, fault.caller)
    key = fault_key(fault.service, fault.caller)
    entry = store.get(key)
    before = active([decode(entry, Fault)], fault.at) if entry is not None else ()
    after = told(fault, fault.at)
    said = described(before[0]) if before else ""
    return put(store, key, fault, said, after, f"{fault.service}: fault {after}")


def clear(store: Store, service: str, caller: str, *, who: str) -> tuple[int, tuple[Fault, ...]]:
    """End the faults of a service, or that for one caller, at once: the store revision from which on they are gone, 0
    where there were none; and which. Raises MeshError not_found, conflict."""
    entries = [each for each in store.list(fault_keys(service)) if not caller or decode(each, Fault).caller == caller]
    if not entries:
        # One that the configuration no longer has may still have faults; a wrong name must not pass for done.
        known_service(store, service)
        if caller and caller != "gateway":
            known_service(store, caller)
        return 0, ()
    found = active([decode(each, Fault) for each in entries], clock.wall())
    before = "; ".join(map(described, found))
    return drop(store, entries, who=who, before=before, what=f"{service}: faults cleared"), found


def faults(store: Store, service: str = "") -> tuple[Fault, ...]:
    """The faults that hold now, of one service or of all."""
    found = active(live_steering(store).faults, clock.wall())
    return tuple(each for each in found if not service or each.service == service)


def views(found: Sequence[Fault]) -> list[FaultView]:
    """Faults as they are shown."""
    now = clock.wall()
    return [
        FaultView(
            each.service,
            each.caller,
            described(msgspec.structs.replace(each, caller="")),
            max(0.0, each.until - now),
            each.who,
            each.at,
            each,
        )
        for each in found
    ]


def check_named(service: str | None) -> str:
    """The service's name. Raises MeshError usage where a change names none."""
    if service is None:
        raise MeshError("usage", "which service?", hint="meshctl traffic fault orders --delay 300ms@20%")
    return service
