"""The store: whether its file is whole and private, whether one can write, and what it holds of what is long dead."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Final

from meshctl.control import issued, trust_state
from meshctl.control.acks import acknowledgements, recorded
from meshctl.control.checks.facts import MEND, NO_STORE, UNREADABLE, Facts
from meshctl.control.checks.finding import Finding, Unknown, counted, failed, passed, warned, worst
from meshctl.control.discovery import is_process, machine, registrations
from meshctl.control.revisions import current, history
from meshctl.control.rollout_state import unfinished
from meshctl.control.rotation import rotation
from meshctl.control.steered import live_steering
from meshctl.control.weights import live_weights
from meshctl.errors import MeshError
from meshctl.store.protocol import Store

_MIB: Final = 1024 * 1024
_LARGE: Final = 512 * _MIB
_LONG: Final = 64 * _MIB
_AUDITS: Final = 20

# Every kind of record, by what people call it.
_CONTENTS: Final[dict[str, Callable[[Store], object]]] = {
    "proxies": recorded,
    "answers of proxies": acknowledgements,
    "endpoints": registrations,
    "the applied configuration": lambda store: (found := current(store)) and found.mesh(),
    "revisions": history,
    "live weights": live_weights,
    "rollouts": unfinished,
    "faults and mirrors": live_steering,
    "the trust bundle": trust_state.bundle,
    "issued certificates": issued.issued,
    "revoked certificates": issued.revoked,
    "the rotation of the root": rotation,
}


def opens(facts: Facts) -> Finding:
    """The store can be opened and read."""
    return passed(f"{facts.home.database}, store revision {facts.store().revision()}")


def private(facts: Facts) -> Finding:
    """The database and the files beside it are the owner's alone."""
    found = [path for path in _files(facts) if path.exists()]
    if not found:
        raise Unknown(NO_STORE)
    return worst((_judge_private(path, path.stat()) for path in found), "mode 0600")


def _judge_private(path: Path, found: os.stat_result) -> Finding:
    bits = stat.S_IMODE(found.st_mode)
    if found.st_uid != os.geteuid():
        return failed(f"{path} belongs to user {found.st_uid}", f"sudo chown $(id -u) {path}")
    if bits & 0o077:
        return failed(f"{path} is open to other users (mode {bits:04o})", f"chmod 600 {path}")
    return passed(path.name)


def whole(facts: Facts) -> Finding:
    """SQLite finds nothing broken in the whole file."""
    path, found = facts.home.database, facts.examined()
    if found.problems:
        hint = (
            f'stop all proxies, move "{path}" and the files beside it away, and apply mesh.toml again; '
            "`sqlite3 FILE .recover` on the moved file may bring its history back"
        )
        return failed(f"the store is damaged: {'; '.join(found.problems)}", hint)
    return passed("quick check: ok")


def schema(facts: Facts) -> Finding:
    """The store has the form that this version of meshctl knows, and is shared as it should be."""
    facts.read()
    try:
        found = facts.examined()
    except MeshError as error:
        raise Unknown(UNREADABLE, status="warn", hint=MEND) from error
    if not found.is_logged:
        hint = f"stop all proxies, then: sqlite3 {facts.home.database} 'PRAGMA journal_mode = WAL'"
        return warned("the store has no write-ahead log: readers and writers wait for each other", hint)
    if found.schema < found.newest:
        return warned(f"schema {found.schema}, this version writes {found.newest}", "apply mesh.toml again")
    return passed(f"schema {found.schema}")


def writes(facts: Facts) -> Finding:
    """Nobody keeps the store to himself, and it can be written."""
    from meshctl.store.examining import try_writing

    facts.read()
    try_writing(facts.home.database)
    return passed("a transaction begins at once")


def log(facts: Facts) -> Finding:
    """The write-ahead log is folded back into the file from time to time."""
    size = _size(Path(f"{_path(facts)}-wal"))
    if size > _LONG:
        hint = "a process holds an old read open: see who with `fuser`, and end it"
        return warned(f"the write-ahead log has grown to {size // _MIB} MiB", hint)
    return passed(f"{size // 1024} KiB")


def size(facts: Facts) -> Finding:
    """The store has not grown beyond what a mesh needs."""
    found = _size(_path(facts))
    if found > _LARGE:
        hint = f"stop all proxies, then: sqlite3 {facts.home.database} VACUUM"
        return warned(f"the store has grown to {found // _MIB} MiB", hint)
    return passed(f"{found // 1024} KiB")


def contents(facts: Facts) -> Finding:
    """Every record in the store can be understood."""
    store = facts.read()
    findings = []
    for name, read in _CONTENTS.items():
        try:
            read(store)
        except MeshError as error:
            findings.append(failed(f"{name}: {error.message}", error.hint))
    return worst(findings, f"{counted(len(_CONTENTS), 'kind')} of records")


def dead_proxies(facts: Facts) -> Finding:
    """No record is left of a proxy whose process is gone."""
    living = {record.id for record in facts.living()}
    dead = [record for record in facts.records() if record.id not in living]
    if dead:
        names = ", ".join(f"{each.id} (process {each.pid})" for each in dead)
        hint = "it was killed; its record goes within 30 s by itself. Its log may say why: meshctl gateway logs"
        return warned(f"recorded, but not running: {names}", hint)
    return passed("none")


def dead_endpoints(facts: Facts) -> Finding:
    """No endpoint is registered whose sidecar is gone: requests to it fail until another proxy has buried it."""
    here = machine()
    dead = [each for each in facts.registered() if each.machine == here and not is_process(each.pid)]
    if dead:
        names = ", ".join(f"{each.service} {each.version} at {each.endpoint.address}" for each in dead)
        hint = "its sidecar was killed; any running proxy takes it out at once, and its lease ends within 30 s"
        return warned(f"registered, but its sidecar is dead: {names}", hint)
    return passed(f"{counted(len(facts.registered()), 'endpoint')} registered")


def history_kept(facts: Facts) -> Finding:
    """Who changed what is on record."""
    found = facts.read().audits(_AUDITS)
    if not found:
        raise Unknown("nothing was ever changed")
    return passed(f"last: {found[0].what}, by {found[0].who}")


def _path(facts: Facts) -> Path:
    if not facts.home.database.exists():
        raise Unknown(NO_STORE)
    return facts.home.database


def _files(facts: Facts) -> list[Path]:
    return [Path(f"{facts.home.database}{ending}") for ending in ("", "-wal", "-shm")]


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
