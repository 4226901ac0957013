"""The one door: revisions, conflicts that name what changed, rollbacks that only add, a history that stays small."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import pytest

from meshctl.control.apply import KEPT, apply, current, history, pointer, revision, rollback
from meshctl.control.revisions import digest
from meshctl.control.who import who
from meshctl.errors import MeshError
from meshctl.model.mesh import Mesh, encode
from meshctl.model.route import Respond, Route
from meshctl.model.service import Endpoint, Service, Version
from meshctl.store.home import Home
from meshctl.store.protocol import Audit, Delete, Expect, Put
from meshctl.store.sqlite import SqliteStore

if TYPE_CHECKING:
    from conftest import Child


def _mesh(*names: str) -> Mesh:
    return Mesh(routes=tuple(Route(name, respond=Respond(body=name)) for name in names))


def test_nothing_applied(store: SqliteStore) -> None:
    """Before the first apply there is no current revision, no history, nothing to roll back and no revision to read."""
    assert (current(store), pointer(store), history(store)) == (None, None, [])
    for refused in (lambda: rollback(store, who="w"), lambda: revision(store, 1), lambda: rollback(store, 1, who="w")):
        with pytest.raises(MeshError) as caught:
            refused()
        assert (caught.value.code, caught.value.hint) == ("not_found", "nothing has been applied yet")


def test_first_apply(store: SqliteStore) -> None:
    """The first apply makes revision 1, which holds the mesh, its hash, its source and its author, and is audited."""
    applied = apply(store, _mesh("a"), source="/etc/mesh.toml", who="alice@host (1)")
    found = current(store)
    assert found is not None
    assert (applied.number, applied.unchanged, found.number, found.mesh()) == (1, False, 1, _mesh("a"))
    assert (found.summary.source, found.summary.who) == ("/etc/mesh.toml", "alice@host (1)")
    assert found.hash == digest(encode(_mesh("a")))
    audit = Audit("alice@host (1)", found.summary.at, "apply /etc/mesh.toml", "", "revision 1", store.revision())
    assert store.audits() == [audit]


def test_the_same_again(store: SqliteStore) -> None:
    """Applying what is current writes nothing, also where an older revision was expected."""
    apply(store, _mesh("a"), source="f", who="w")
    apply(store, _mesh("b"), source="f", who="w")
    before = store.revision()
    for expect in (None, 2, 1):
        again = apply(store, _mesh("b"), source="g", who="v", expect=expect)
        assert (again.number, again.unchanged, again.changes) == (2, True, ())
    assert store.revision() == before


def test_changes_are_reported(store: SqliteStore) -> None:
    """An apply says what it changed."""
    apply(store, _mesh("a", "b"), source="f", who="w")
    applied = apply(store, _mesh("a", "c"), source="f", who="w")
    assert {(change.kind, "b" in change.path, "c" in change.path) for change in applied.changes} >= {
        ("removed", True, False),
        ("added", False, True),
    }


@pytest.mark.parametrize("expect", [0, 1])
def test_conflict(store: SqliteStore, expect: int) -> None:
    """An apply that expects an older revision is refused, and told by whom and what was changed since."""
    apply(store, _mesh("a"), source="f", who="w")
    apply(store, _mesh("a", "banana"), source="/their/mesh.toml", who="bob@host (7)")
    before = store.revision()
    with pytest.raises(MeshError) as caught:
        apply(store, _mesh("c"), source="f", who="w", expect=expect)
    said = caught.value.message
    assert (caught.value.code, "meshctl diff" in caught.value.hint, store.revision()) == ("conflict", True, before)
    assert [word for word in ("2 by bob@host (7)", "/their/mesh.toml", "banana", "added") if word not in said] == []


def test_expecting_the_future(store: SqliteStore) -> None:
    """A revision that does not exist yet cannot be expected."""
    apply(store, _mesh("a"), source="f", who="w")
    with pytest.raises(MeshError, match="revision 5 was expected, but the current one is 1") as caught:
        apply(store, _mesh("b"), source="f", who="w", expect=5)
    assert caught.value.code == "conflict"


class _Slow(SqliteStore):
    """A store whose user is overtaken: `meanwhile` happens between its reads and its next transaction."""

    meanwhile: Callable[[], object] | None = None

    def transact(
        self, changes: Sequence[Put | Delete], *, expect: Sequence[Expect] = (), audit: Audit | None = None
    ) -> int:
        meanwhile, self.meanwhile = self.meanwhile, None
        if meanwhile is not None:
            meanwhile()
        return super().transact(changes, expect=expect, audit=audit)


@pytest.mark.parametrize("is_first", [True, False])
def test_overtaken(home: Home, store: SqliteStore, is_first: bool) -> None:
    """An apply that is overtaken between its reading and its writing is refused like one that came too late."""
    if not is_first:
        apply(store, _mesh("a"), source="f", who="w")
    slow = _Slow(home.database)
    slow.meanwhile = lambda: apply(store, _mesh("theirs"), source="g", who="bob@host (7)")
    with pytest.raises(MeshError, match="bob@host") as caught:
        apply(slow, _mesh("mine"), source="f", who="w")
    found = current(slow)
    slow.close()
    assert found is not None
    assert (caught.value.code, found.mesh(), len(history(store))) == ("conflict", _mesh("theirs"), 2 - is_first)


def test_overtaken_by_the_same(home: Home, store: SqliteStore) -> None:
    """Two that apply the same at once both succeed, and one revision is made."""
    slow = _Slow(home.database)
    slow.meanwhile = lambda: apply(store, _mesh("same"), source="g", who="v")
    applied = apply(slow, _mesh("same"), source="f", who="w")
    slow.close()
    assert (applied.number, applied.unchanged, len(history(store))) == (1, True, 1)


def test_processes_race(home: Home, store: SqliteStore, child: Child) -> None:
    """Processes that apply different configurations at once and expect the same revision: one wins each time, the
    others are told of a conflict, and the history is without gaps."""
    program = """
        import sys
        from pathlib import Path
        from meshctl.control.apply import apply, pointer
        from meshctl.errors import MeshError
        from meshctl.model.mesh import Mesh
        from meshctl.store.sqlite import SqliteStore
        store = SqliteStore(Path(sys.argv[1]))
        print("ready", flush=True)
        sys.stdin.readline()
        won = []
        for turn in range(1000):
            now = pointer(store).number
            if now >= 30:
                break
            try:
                name = f"{sys.argv[2]}-{turn}"
                won.append(apply(store, Mesh(name), source="f", who=sys.argv[2], expect=now).number)
            except MeshError as error:
                assert error.code == "conflict" and ("x" in error.message or "y" in error.message), error
        print(*won, flush=True)
        store.close()
    """
    apply(store, Mesh("start"), source="f", who="w")
    children = [child(program, home.database, name) for name in "xy"]
    for process in children:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    won = [int(number) for process in children for number in process.communicate(timeout=60)[0].split()]
    numbers = [each.number for each in history(store)]
    # The last two may both have read 29 and only one of them can have made 30.
    assert sorted(won) == list(range(2, max(won) + 1))
    assert numbers == list(range(max(won), 0, -1))


def test_rollback(store: SqliteStore) -> None:
    """A rollback is a new revision with the old content, says where it is from, and leaves the history as it was."""
    for name in ("a", "b", "c"):
        apply(store, _mesh(name), source="f", who="w")
    before = history(store)
    applied = rollback(store, 1, who="carol@host (3)")
    found = current(store)
    assert found is not None
    assert (applied.number, applied.unchanged, found.mesh()) == (4, False, _mesh("a"))
    assert (found.summary.source, found.hash, history(store)[1:]) == ("revision 1", before[-1].hash, before)
    audit = store.audits(1)[0]
    assert (audit.who, audit.what) == ("carol@host (3)", "rollback to revision 1")
    assert (audit.before, audit.after) == ("revision 3", "revision 4")


def test_rollback_by_default(store: SqliteStore) -> None:
    """Without a number the revision before the current one comes back, and a second rollback undoes the first."""
    for name in ("a", "b"):
        apply(store, _mesh(name), source="f", who="w")
    for expected in ("a", "b"):
        rollback(store, who="w")
        found = current(store)
        assert found is not None
        assert found.mesh() == _mesh(expected)


def test_rollback_to_what_is_current(store: SqliteStore) -> None:
    """Rolling back to the current content changes nothing."""
    apply(store, _mesh("a"), source="f", who="w")
    again = rollback(store, 1, who="w")
    assert (again.number, again.unchanged, len(history(store))) == (1, True, 1)


@pytest.mark.parametrize(
    ("number", "message"),
    [(None, "before the first"), (0, "no revision 0"), (-1, "no revision -1"), (9, "no revision 9")],
)
def test_rollback_to_nowhere(store: SqliteStore, number: int | None, message: str) -> None:
    """A rollback to a revision that does not exist is refused and changes nothing."""
    apply(store, _mesh("a"), source="f", who="w")
    with pytest.raises(MeshError, match=message) as caught:
        rollback(store, number, who="w")
    assert (caught.value.code, len(history(store))) == ("not_found", 1)


def test_history_is_bounded(store: SqliteStore) -> None:
    """The last fifty revisions are kept, in both of their parts; numbers go on; a dropped one is not found."""
    for number in range(KEPT + 5):
        apply(store, Mesh(f"mesh-{number}"), source="f", who="w")
    numbers = [each.number for each in history(store)]
    assert numbers == list(range(KEPT + 5, 5, -1))
    assert len(store.list("config/")) == 2 * KEPT + 1
    assert [each.number for each in history(store, 3)] == numbers[:3]
    with pytest.raises(MeshError, match="no revision 5") as caught:
        revision(store, 5)
    assert caught.value.hint == "revisions 6 to 55 are kept"
    with pytest.raises(MeshError, match="no longer current"):
        apply(store, Mesh("late"), source="f", who="w", expect=2)


def test_large_meshes_are_stored_small(store: SqliteStore) -> None:
    """Ten thousand routes come back as they went in and take a fraction of their JSON, none of it in the history."""
    service = Service("s", (Version("default", (Endpoint("127.0.0.1", 9000),)),))
    mesh = Mesh(routes=tuple(Route(f"route-{number}", service="s") for number in range(10_000)), services=(service,))
    apply(store, mesh, source="f", who="w")
    found = current(store)
    assert found is not None
    assert found.mesh() == mesh
    sizes = {entry.key: len(entry.value) for entry in store.list("config/")}
    assert sizes["config/meshes/0000000001"] < len(encode(mesh)) / 5
    assert sizes["config/revisions/0000000001"] < 500


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("config/current", b"{}"),
        ("config/revisions/0000000001", b"not json"),
        ("config/meshes/0000000001", b"neither"),
        ("config/meshes/0000000001", b'{"routes": 7}'),
    ],
)
def test_unreadable(store: SqliteStore, key: str, value: bytes) -> None:
    """An entry that cannot be read is an error that names it and a way out."""
    apply(store, _mesh("a"), source="f", who="w")
    store.transact([Put(key, value)])
    with pytest.raises(MeshError, match=key) as caught:
        found = current(store)
        assert found is not None
        found.mesh()
    assert (caught.value.code, "apply mesh.toml again" in caught.value.hint) == ("store_corrupt", True)


def test_who() -> None:
    """The author of a change is a user, a host and a process."""
    assert re.fullmatch(r"[^@ ]+@[^@ ]+ \(\d+\)", who())
