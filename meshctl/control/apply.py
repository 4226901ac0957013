"""The one door through which a configuration becomes current: one transaction with an expected revision and an audit.

Answers what an apply or a rollback changed, or who was faster. Writes only the store: which proxies take the revision
is their decision (`acks`), and where the configuration was read is the caller's business. Reads are in `revisions`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from meshctl import clock
from meshctl.control.acks import acknowledgements
from meshctl.control.revisions import (
    CURRENT,
    Pointer,
    Revision,
    Summary,
    current,
    decode,
    digest,
    history,
    keys,
    pointer,
    puts,
    revision,
)
from meshctl.errors import MeshError
from meshctl.model.mesh import Mesh, encode
from meshctl.store.protocol import Audit, Conflict, Delete, Expect, Store

if TYPE_CHECKING:
    from meshctl.config.diff import Change

__all__ = ["KEPT", "Applied", "Revision", "Summary", "apply", "current", "history", "pointer", "revision", "rollback"]

KEPT: Final = 50
"""How many revisions stay in the store; the apply that makes one too many drops the oldest."""

# A conflict names this many of the changes made in between, and counts the rest.
_NAMED: Final = 5


@dataclass(frozen=True, slots=True)
class Applied:
    """What apply or rollback did: the revision that is current now and what it changed, nothing if `unchanged`."""

    number: int
    unchanged: bool
    changes: tuple[Change, ...] = ()


def apply(store: Store, mesh: Mesh, *, source: str, who: str, expect: int | None = None) -> Applied:
    """Make `mesh` the current configuration. What already is current makes no new revision, whatever is expected,
    unless a proxy has refused it: the new one has it try again.

    `source` says where it came from: a file's path, or "routes". Raises MeshError conflict, naming what was changed and
    by whom, where the current revision is not `expect` or another apply is faster than this one."""
    return _commit(store, encode(mesh), source=source, who=who, what=f"apply {source}", expect=expect)


def rollback(store: Store, number: int | None = None, *, who: str) -> Applied:
    """Make the content of revision `number`, or of the one before the current one, a new revision: history only grows.

    Raises MeshError not_found for a revision that is not kept, and conflict as `apply` does."""
    latest = pointer(store)
    if latest is None:
        raise MeshError("not_found", "there is nothing to roll back", hint="nothing has been applied yet")
    target = latest.number - 1 if number is None else number
    if target == 0 and number is None:
        raise MeshError("not_found", "there is no revision before the first", hint="see `meshctl config history`")
    old = revision(store, target)
    old.mesh()  # What this version cannot read must not become current.
    name = f"revision {target}"
    return _commit(store, old.content, source=name, who=who, what=f"rollback to {name}", expect=latest.number)


def _commit(store: Store, content: bytes, *, source: str, who: str, what: str, expect: int | None) -> Applied:
    entry = store.get(CURRENT)
    base = Pointer(0, "") if entry is None else decode(entry, Pointer)
    sha = digest(content)
    is_current = base.hash == sha
    if is_current and not _is_refused(store, base.number):
        return Applied(base.number, unchanged=True)
    if expect is not None and expect != base.number:
        raise _conflict(store, expect, base.number)
    from meshctl.control.outlived import outlived

    now = clock.wall()
    new = Revision(Summary(base.number + 1, sha, now, who, source), content)
    changes = _changes(store, base.number, new)
    before = f"revision {base.number}" if base.number else ""
    audit = Audit(who, now, what, before, f"revision {new.number}")
    dropped = [Delete(key) for key in keys(new.number - KEPT)] if new.number > KEPT else []
    expected = Expect(CURRENT, 0 if entry is None else entry.revision)
    try:
        store.transact([*puts(new), *dropped, *outlived(store, new)], expect=[expected], audit=audit)
    except Conflict as error:
        winner = pointer(store)
        if winner is not None and winner.hash == sha:
            return Applied(winner.number, unchanged=True)
        raise _conflict(store, base.number, winner.number if winner else 0) from error
    return Applied(new.number, unchanged=False, changes=changes)


def _is_refused(store: Store, number: int) -> bool:
    return any(not answer.accepted and answer.revision == number for answer in acknowledgements(store).values())


def _changes(store: Store, old: int, new: Revision) -> tuple[Change, ...]:
    """What `new` changes in revision `old`; 0 is the empty mesh. Nothing where `old` is no longer kept."""
    from meshctl.config.diff import changes

    try:
        return tuple(changes(revision(store, old).mesh() if old else Mesh(), new.mesh()))
    except MeshError as error:
        if error.code != "not_found":
            raise
        return ()


def _conflict(store: Store, expected: int, found: int) -> MeshError:
    """Why a change to revision `expected` was refused: who made what of it since."""
    if found < expected:
        message = f"revision {expected} was expected, but the current one is {found}"
        return MeshError("conflict", message, hint="see `meshctl config history`")
    since = [each for each in reversed(history(store)) if each.number > expected]
    authors = ", ".join(f"{each.number} by {each.who} from {each.source}" for each in since)
    message = f"revision {expected} is no longer current; since then: revision {authors}"
    if said := _described(_changes(store, expected, revision(store, found))):
        message += f"; what changed: {said}"
    return MeshError("conflict", message, hint="look at `meshctl diff`, then apply again")


def _described(changes: tuple[Change, ...]) -> str:
    named = [str(each) for each in changes[:_NAMED]]
    if len(changes) > _NAMED:
        named.append(f"and {len(changes) - _NAMED} more")
    return "; ".join(named)
