"""Which proxies run, and what each said to a revision: taken, or refused with the reason (as xDS has ACK and NACK).

A proxy registers and answers through the store, under its lease, so that it vanishes with its process; whoever applies
waits here for the answers. Must not know how a proxy compiles a revision or why it may refuse one.
"""

from __future__ import annotations

from collections.abc import Callable
from threading import Event
from typing import Final, Literal

import msgspec

from meshctl import clock
from meshctl.control.discovery import is_process, machine
from meshctl.control.revisions import decode
from meshctl.control.who import who
from meshctl.errors import MeshError
from meshctl.model.views import Acknowledgement, ProxyRecord
from meshctl.store.protocol import Audit, Conflict, Delete, Expect, Put, Store, Watch

_PROXIES: Final = "proxies/"
_ACKS: Final = "acks/"

# How often the store is asked for a change while answers are awaited: a few microseconds each time.
_LOOK: Final = 0.01
# How often it is looked again without one: a process that was killed changes nothing in the store.
_CENSUS: Final = 0.25

_NO_ANSWER: Final = "it has not answered"
_ENDED: Final = "it ended before it answered"


class Report(msgspec.Struct, frozen=True):
    """What the proxy with id `proxy` said to a revision. `reason` is why it refused, or why nothing was heard;
    `pending` are the settings that hold only when it is started again."""

    proxy: str
    status: Literal["accepted", "refused", "silent"]
    reason: str = ""
    pending: tuple[str, ...] = ()


def register(store: Store, record: ProxyRecord, lease: str) -> None:
    """Let everybody find the proxy, as long as its lease lives. Registering again replaces its own record; a new
    process under an old id starts without the answers of the one before.

    Raises MeshError already_running where another living process holds the id."""
    key = _PROXIES + record.id
    entry = store.get(key)
    holder = None if entry is None else decode(entry, ProxyRecord)
    if holder is not None and holder.pid != record.pid and _is_alive(holder):
        raise _taken(holder)
    changes: list[Put | Delete] = [Put(key, msgspec.json.encode(record), lease)]
    audit = None
    if holder is None or holder.pid != record.pid:
        changes.append(Delete(_ACKS + record.id))
        audit = Audit(who(), clock.wall(), f"register {record.role} {record.id}", after=f"pid {record.pid}")
    try:
        store.transact(changes, expect=[Expect(key, 0 if entry is None else entry.revision)], audit=audit)
    except Conflict as error:
        winner = store.get(key)
        if winner is None:
            raise
        raise _taken(decode(winner, ProxyRecord)) from error


def acknowledge(store: Store, acknowledgement: Acknowledgement, lease: str) -> None:
    """Write a proxy's answer to a revision, in the place of its last one."""
    store.transact([Put(_ACKS + acknowledgement.proxy, msgspec.json.encode(acknowledgement), lease)])


def proxies(store: Store) -> list[ProxyRecord]:
    """The proxies that run: their lease lives and so does their process (a killed one keeps its lease for a while)."""
    return [record for record in recorded(store) if _is_alive(record)]


def recorded(store: Store) -> list[ProxyRecord]:
    """All proxies that the store knows, those included that were killed and whose lease has not run out yet."""
    return [decode(entry, ProxyRecord) for entry in store.list(_PROXIES)]


def acknowledgements(store: Store) -> dict[str, Acknowledgement]:
    """The last answer of each proxy, by its id."""
    answers = (decode(entry, Acknowledgement) for entry in store.list(_ACKS))
    return {answer.proxy: answer for answer in answers}


def await_acks(
    store: Store, number: int, timeout: float, on_change: Callable[[list[Report]], None] | None = None
) -> list[Report]:
    """What every proxy says to revision `number` or a later one: when all have spoken, or after `timeout` seconds.

    Blocks. `on_change` is called with the reports so far, at first and whenever one has changed. A proxy that was there
    and ends without an answer is reported silent; one that starts in the meantime is waited for as well."""
    deadline = clock.monotonic() + timeout
    watch = store.watch()
    seen: set[str] = set()
    last: list[Report] = []
    try:
        while True:
            reports = _census(store, number, seen)
            if on_change is not None and reports != last:
                on_change(reports)
            last = reports
            left = deadline - clock.monotonic()
            if left <= 0 or not any(report.status == "silent" and report.reason == _NO_ANSWER for report in reports):
                return reports
            _wait(watch, min(left, _CENSUS))
    finally:
        watch.close()


def _census(store: Store, number: int, seen: set[str]) -> list[Report]:
    """One report for each proxy that lives or was `seen` alive before, in the order of their ids."""
    living = {record.id for record in proxies(store)}
    seen |= living
    answers = acknowledgements(store)
    return [_report(each, number, answers.get(each), each in living) for each in sorted(seen)]


def _report(proxy: str, number: int, answer: Acknowledgement | None, is_living: bool) -> Report:
    if answer is None or answer.revision < number:
        return Report(proxy, "silent", _NO_ANSWER if is_living else _ENDED)
    if answer.accepted:
        return Report(proxy, "accepted", pending=answer.pending)
    later = f"revision {answer.revision}: " if answer.revision > number else ""
    return Report(proxy, "refused", later + answer.reason)


def _wait(watch: Watch, longest: float) -> None:
    """Return after a change of the store, or after `longest` seconds."""
    deadline = clock.monotonic() + longest
    pause = Event()
    while not watch.changed() and clock.monotonic() < deadline:
        pause.wait(_LOOK)


def _is_alive(record: ProxyRecord) -> bool:
    # Of a process on another machine only its lease can tell.
    return record.machine not in {"", machine()} or is_process(record.pid)


def _taken(holder: ProxyRecord) -> MeshError:
    message = f"{holder.role} {holder.id} already runs in this home (pid {holder.pid})"
    return MeshError("already_running", message, hint="stop it first, or name another home with --home")
