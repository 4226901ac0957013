"""Which sidecars take traffic: they register their endpoint in the store, under their lease, and every proxy follows.

An endpoint leaves when its sidecar withdraws it, when its lease ends, or when somebody on the same machine sees that
its process is dead. Must not know what is sent to an endpoint.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Final

import msgspec

from meshctl import clock
from meshctl.control.revisions import decode
from meshctl.control.who import who
from meshctl.model.mesh import Mesh
from meshctl.model.registration import Registration
from meshctl.model.service import Service, Version
from meshctl.store.protocol import Audit, Conflict, Delete, Expect, Put, Store

PREFIX: Final = "endpoints/"
# How many processes are looked for each time; where there are more, there are as many sidecars that look as well.
_AT_A_TURN: Final = 128
# How many of them are looked at closely, at some 10 microseconds each.
_CLOSELY: Final = 16

GONE: Final = 100
"""Services' versions without a sidecar that a proxy knows on. Where each deployment has a name of its own, there are
ever more of them."""

Registrations = tuple[Registration, ...]
Name = tuple[str, str]
"""A service and one of its versions."""


def registrations(store: Store) -> Registrations:
    """All endpoints that are registered, by service and proxy."""
    return tuple(decode(entry, Registration) for entry in store.list(PREFIX))


def announce(store: Store, registration: Registration, lease: str) -> int:
    """Register an endpoint, or put it in the place of what its proxy registered before; the store revision."""
    where = f"{registration.endpoint.address}, {registration.service} {registration.version}"
    audit = Audit(who(), clock.wall(), f"register endpoint of {registration.proxy}", after=where)
    return store.transact([Put(_key(registration), msgspec.json.encode(registration), lease)], audit=audit)


def withdraw(store: Store, registration: Registration) -> int:
    """Take an endpoint back; the store revision from which on nobody sends to it."""
    where = f"{registration.endpoint.address}, {registration.service} {registration.version}"
    audit = Audit(who(), clock.wall(), f"withdraw endpoint of {registration.proxy}", before=where)
    return store.transact([Delete(_key(registration))], audit=audit)


def bury(store: Store, known: Sequence[Registration], turn: int = 0) -> list[Registration]:
    """Withdraw those of `known` whose process was on this machine and is dead; which they were. Of many, some are
    looked at in each `turn`: fewer where it is asked whether a process that is there has ended and only waits for its
    parent, because that costs more to see."""
    here = machine()
    gone = [each for each in _some(known, turn, _AT_A_TURN) if each.machine == here and not _has_number(each.pid)]
    ended = [each for each in _some(known, turn, _CLOSELY) if each.machine == here and not is_process(each.pid)]
    dead = gone + [each for each in ended if each not in gone]
    buried = []
    for each in dead:
        entry = store.get(_key(each))
        if entry is None or decode(entry, Registration) != each:
            continue
        audit = Audit(who(), clock.wall(), f"bury endpoint of {each.proxy}", before=f"process {each.pid} is dead")
        try:
            store.transact([Delete(entry.key)], expect=[Expect(entry.key, entry.revision)], audit=audit)
        except Conflict:
            continue  # Somebody was faster, or it is back.
        buried.append(each)
    return buried


def names(found: Iterable[Registration]) -> frozenset[Name]:
    """The services and versions that endpoints are registered for."""
    return frozenset((each.service, each.version) for each in found)


def remembered(before: Iterable[Name], there: frozenset[Name]) -> tuple[Name, ...]:
    """The names that are registered, behind the last ones of those known `before` that are so no more: requests for
    these hear that there is no endpoint. The longer one has been gone, the further in front it stands."""
    gone = [name for name in before if name not in there]
    return (*gone[-GONE:], *sorted(there))


def extended(mesh: Mesh, known: Iterable[Name]) -> Mesh:
    """`mesh` with the services and versions in `known` that it does not have. A version that a configured service does
    not list takes nothing until somebody gives it a weight; those of a service without any share alike."""
    added: dict[str, list[str]] = {}
    for service, version in sorted(known):
        added.setdefault(service, []).append(version)
    services = [_with_versions(service, added.pop(service.name, ())) for service in mesh.services]
    services += [_with_versions(Service(name), versions) for name, versions in added.items()]
    return msgspec.structs.replace(mesh, services=tuple(services))


@cache
def machine() -> str:
    """What tells this machine from others for as long as its processes live: a boot, and in containers whose processes
    have numbers of their own, also which of them."""
    boot = Path("/proc/sys/kernel/random/boot_id")
    try:
        return f"{boot.read_text().strip()}/{Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return os.uname().nodename


def is_process(pid: int) -> bool:
    """Whether process `pid` lives on this machine. One that has ended does not, even if its parent has not looked."""
    if not _has_number(pid):
        return False
    try:
        # proc(5): the state follows the name, which stands in parentheses and may hold some.
        with open(f"/proc/{pid}/stat", "rb", buffering=0) as file:
            return file.read().rpartition(b")")[2].split()[0] not in {b"Z", b"X"}
    except FileNotFoundError:
        # It has just ended, or this system has no /proc.
        return _has_number(pid)
    except (OSError, IndexError):
        return True


def _has_number(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        # It lives and belongs to somebody else.
        return True
    return True


def _some(known: Sequence[Registration], turn: int, most: int) -> Sequence[Registration]:
    start = turn * most % len(known) if len(known) > most else 0
    return known[start : start + most]


def _with_versions(service: Service, versions: Iterable[str]) -> Service:
    listed = {each.name for each in service.versions}
    weight = 0.0 if listed else 1.0
    new = tuple(Version(name, (), weight) for name in versions if name not in listed)
    return msgspec.structs.replace(service, versions=service.versions + new) if new else service


def _key(registration: Registration) -> str:
    return f"{PREFIX}{registration.service}/{registration.proxy}"
