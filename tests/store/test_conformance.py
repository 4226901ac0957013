"""What the Protocol promises, asked of every store in the same words."""

from __future__ import annotations

import select
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule

from meshctl import clock
from meshctl.store.protocol import Audit, Conflict, Delete, Entry, Expect, LeaseEnded, Put, Store, Watch
from meshctl.store.sqlite import SqliteStore

Now = Callable[[], float]


def _sqlite(directory: Path, now: Now) -> Store:
    return SqliteStore(directory / "mesh.db", now=now)


# Every store there is: how to open the one in a directory.
STORES: dict[str, Callable[[Path, Now], Store]] = {"sqlite": _sqlite}


@dataclass
class World:
    """One store, as many handles on it as asked for, and the clock they all read."""

    kind: str
    directory: Path
    now: float = 1000.0
    handles: list[Store] = field(default_factory=list)

    def open(self) -> Store:
        """Another handle on the same store."""
        handle = STORES[self.kind](self.directory, lambda: self.now)
        self.handles.append(handle)
        return handle

    def close(self) -> None:
        """Close all handles."""
        while self.handles:
            self.handles.pop().close()


@pytest.fixture(params=STORES)
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    """A new store."""
    opened = World(request.param, tmp_path)
    yield opened
    opened.close()


@pytest.fixture
def any_store(world: World) -> Store:
    """A handle on the new store."""
    return world.open()


def test_it_is_a_store(any_store: Store) -> None:
    """Stores and watches have the methods that the Protocol names."""
    watch = any_store.watch()
    assert (isinstance(any_store, Store), isinstance(watch, Watch)) == (True, True)
    watch.close()


def test_new_is_empty(any_store: Store) -> None:
    """A new store has no entries, no audits and revision 0."""
    assert (any_store.revision(), any_store.list(""), any_store.get("a"), any_store.audits()) == (0, [], None, [])


def test_entries_remember_their_revision(any_store: Store) -> None:
    """An entry carries the store revision that last wrote it, not the store's latest."""
    first = any_store.transact([Put("a", b"1"), Put("b", b"2")])
    second = any_store.transact([Put("b", b"3")])
    assert any_store.list("") == [Entry("a", b"1", first), Entry("b", b"3", second)]
    assert (second, any_store.revision()) == (first + 1, second)


@pytest.mark.parametrize(
    ("prefix", "expected"),
    [
        ("", ["a", "a/b", "a/b/c", "ab", "b", "~"]),
        ("a", ["a", "a/b", "a/b/c", "ab"]),
        ("a/", ["a/b", "a/b/c"]),
        ("a/b/c", ["a/b/c"]),
        ("~", ["~"]),
        ("c", []),
    ],
)
def test_prefixes(any_store: Store, prefix: str, expected: list[str]) -> None:
    """A list holds exactly the keys that start with the prefix, in order."""
    any_store.transact([Put(key, b"") for key in ("b", "a/b/c", "~", "ab", "a", "a/b")])
    assert [entry.key for entry in any_store.list(prefix)] == expected


def test_the_last_change_to_a_key_wins(any_store: Store) -> None:
    """Changes of one transaction take effect in their order."""
    any_store.transact([Put("a", b"1"), Delete("a"), Put("b", b"1"), Put("b", b"2"), Delete("never")])
    assert [(entry.key, entry.value) for entry in any_store.list("")] == [("b", b"2")]


def test_what_is_new(any_store: Store) -> None:
    """After a revision only what was written later is listed; how many there are is told without reading them."""
    first = any_store.transact([Put("a/1", b"1"), Put("a/2", b"1"), Put("b", b"1")])
    second = any_store.transact([Put("a/2", b"2"), Put("b", b"2")])
    assert any_store.list("a/", after=first) == [Entry("a/2", b"2", second)]
    assert any_store.list("a/", after=second) == []
    any_store.transact([Delete("a/1")])
    assert (any_store.count("a/"), any_store.count(""), any_store.count("c")) == (1, 2, 0)


@pytest.mark.parametrize("key", ["", "with space", "tab\t", "ünicode", "nul\0", "line\n", "\x7f"])
def test_bad_keys(any_store: Store, key: str) -> None:
    """A key that is not printable ASCII is the caller's mistake and changes nothing."""
    with pytest.raises(ValueError, match="printable ASCII"):
        any_store.transact([Put("good", b""), Put(key, b"")])
    assert any_store.list("") == []


@pytest.mark.parametrize("value", [b"", b"\0" * 10, bytes(range(256)), b"x" * 3_000_000], ids=len)
def test_values_are_bytes(any_store: Store, world: World, value: bytes) -> None:
    """Any bytes come back as they went in, through another handle too."""
    any_store.transact([Put("a", value)])
    found = world.open().get("a")
    assert found is not None
    assert found.value == value


@pytest.mark.parametrize(
    ("expect", "holds"),
    [
        (Expect("a", 1), True),
        (Expect("b", 0), True),
        (Expect("a", 0), False),
        (Expect("a", 2), False),
        (Expect("b", 1), False),
    ],
)
def test_expectations(any_store: Store, expect: Expect, holds: bool) -> None:
    """A transaction commits exactly where its expectations hold; else it says which did not and changes nothing."""
    any_store.transact([Put("a", b"1")])
    if holds:
        assert any_store.transact([Put("c", b"")], expect=[Expect("a", 1), expect]) == 2
        return
    before = any_store.list("")
    with pytest.raises(Conflict) as caught:
        any_store.transact([Put("c", b""), Delete("a")], expect=[Expect("a", 1), expect], audit=Audit("w", 1, "x"))
    assert (caught.value.key, caught.value.expected) == (expect.key, expect.revision)
    assert caught.value.found == (1 if expect.key == "a" else 0)
    assert (any_store.list(""), any_store.revision(), any_store.audits()) == (before, 1, [])


def test_audits(any_store: Store) -> None:
    """Audit records carry the revision of the change they tell of and come back newest first, as many as asked for."""
    for number in range(3):
        any_store.transact([Put("a", b"")], audit=Audit(f"who{number}", float(number), "w", "from", "to", revision=99))
    assert any_store.audits(2) == [Audit(f"who{n}", float(n), "w", "from", "to", revision=n + 1) for n in (2, 1)]
    assert len(any_store.audits()) == 3
    assert any_store.audits(0) == []


def test_watch_sees_every_writer_once(any_store: Store, world: World) -> None:
    """A watch reports commits made after it began, through any handle, and each batch of them once."""
    any_store.transact([Put("a", b"1")])
    watch = any_store.watch()
    seen = [watch.changed()]
    any_store.transact([Put("a", b"2")])
    seen += [watch.changed(), watch.changed()]
    other = world.open()
    other.transact([Put("a", b"3")])
    other.transact([Put("a", b"4")])
    seen += [watch.changed(), watch.changed()]
    watch.close()
    assert seen == [False, True, False, True, False]


def told(watch: Watch, seconds: float) -> bool:
    """Whether its descriptor becomes readable within so many seconds."""
    return bool(select.select([watch.fileno()], [], [], seconds)[0])


def test_a_watch_is_told(any_store: Store, world: World) -> None:
    """Its descriptor is readable from a commit, by any process, until it was asked; keeping a lease alive is none. A
    store that cannot tell has no descriptor."""
    other = world.open()
    lease = other.grant(20)
    watch = any_store.watch()
    if watch.fileno() == -1:
        assert sys.platform != "linux"
        return
    assert not told(watch, 0)
    other.transact([Put("a", b"1", lease)])
    assert told(watch, 10)
    assert told(watch, 0)
    assert (watch.changed(), told(watch, 0)) == (True, False)
    assert other.keep_alive(lease)
    assert not told(watch, 0.05)
    other.release(lease)
    assert told(watch, 10)
    assert watch.changed()
    other.transact([Put("a", b"2", other.grant(5))])
    assert (told(watch, 10), watch.changed()) == (True, True)
    world.now += 6
    other.grant(5)
    assert (told(watch, 10), watch.changed()) == (True, True)
    watch.close()


def test_watches_are_independent(any_store: Store) -> None:
    """What one watch has reported another still reports."""
    first, second = any_store.watch(), any_store.watch()
    any_store.transact([Put("a", b"1")])
    assert (first.changed(), second.changed()) == (True, True)
    first.close()
    any_store.transact([Put("a", b"2")])
    assert second.changed()
    second.close()


def test_keeping_alive_is_no_change(any_store: Store, world: World) -> None:
    """A lease that is kept alive or granted wakes nobody up: nothing that can be read has changed."""
    watch = any_store.watch()
    other = world.open()
    lease = other.grant(10)
    assert other.keep_alive(lease)
    assert (watch.changed(), any_store.revision()) == (False, 0)
    watch.close()


def test_lease_runs_out(any_store: Store, world: World) -> None:
    """Entries vanish the moment their lease's time is up, for reads and for expectations, and others stay."""
    lease = any_store.grant(10)
    any_store.transact([Put("leased", b"1", lease), Put("free", b"2")])
    world.now += 9.9
    assert any_store.get("leased") == Entry("leased", b"1", 1, lease)
    world.now += 0.2
    assert (any_store.get("leased"), [entry.key for entry in any_store.list("")]) == (None, ["free"])
    assert not any_store.keep_alive(lease)
    assert any_store.transact([Put("leased", b"3")], expect=[Expect("leased", 0)]) == 2
    assert any_store.get("leased") == Entry("leased", b"3", 2)


def test_keep_alive(any_store: Store, world: World) -> None:
    """Keeping a lease alive starts its whole time anew."""
    lease = any_store.grant(10)
    any_store.transact([Put("a", b"", lease)])
    for _ in range(5):
        world.now += 9
        assert any_store.keep_alive(lease)
    assert any_store.get("a") is not None
    world.now += 10
    assert any_store.get("a") is None


def test_release(any_store: Store) -> None:
    """A released lease takes its entries along at once, and whoever watches is told."""
    lease, other = any_store.grant(10), any_store.grant(10)
    any_store.transact([Put("a", b"", lease), Put("b", b"", other), Put("c", b"")])
    watch = any_store.watch()
    any_store.release(lease)
    assert [entry.key for entry in any_store.list("")] == ["b", "c"]
    assert watch.changed()
    assert not any_store.keep_alive(lease)
    any_store.release(lease)
    any_store.release("")
    assert (watch.changed(), [entry.key for entry in any_store.list("")]) == (False, ["b", "c"])
    watch.close()


def test_writing_under_an_ended_lease(any_store: Store, world: World) -> None:
    """Nothing can be written under a lease that has run out, was released or never was."""
    released, old = any_store.grant(10), any_store.grant(5)
    any_store.release(released)
    world.now += 6
    for lease in (released, old, "never"):
        with pytest.raises(LeaseEnded, match=lease):
            any_store.transact([Put("free", b""), Put("a", b"", lease)])
    assert (any_store.list(""), any_store.revision()) == ([], 0)


def test_a_put_without_the_lease_outlives_it(any_store: Store) -> None:
    """An entry belongs to the lease of its last writer alone."""
    lease = any_store.grant(10)
    any_store.transact([Put("a", b"1", lease)])
    any_store.transact([Put("a", b"2")])
    any_store.release(lease)
    assert any_store.get("a") == Entry("a", b"2", 2)


@pytest.mark.parametrize("ttl", [0, -1])
def test_no_time_to_live(any_store: Store, ttl: float) -> None:
    """A lease must have some time to live."""
    with pytest.raises(ValueError, match="time to live"):
        any_store.grant(ttl)


def test_reopened(any_store: Store, world: World) -> None:
    """Everything is still there after a close: entries, revision, audits, leases."""
    lease = any_store.grant(10)
    any_store.transact([Put("a", b"1", lease), Put("b", b"2")], audit=Audit("me", 1.0, "did"))
    before = (any_store.list(""), any_store.revision(), any_store.audits())
    world.close()
    again = world.open()
    assert (again.list(""), again.revision(), again.audits()) == before
    assert again.keep_alive(lease)


def test_closed_twice(any_store: Store) -> None:
    """Closing a closed store is no error."""
    any_store.close()
    any_store.close()


def test_threads_share_a_handle(any_store: Store) -> None:
    """Threads that increment one number under an expectation lose no increment."""

    def increment() -> None:
        for _ in range(25):
            while True:
                entry = any_store.get("n")
                value, revision = (int(entry.value), entry.revision) if entry else (0, 0)
                try:
                    any_store.transact([Put("n", b"%d" % (value + 1))], expect=[Expect("n", revision)])
                    break
                except Conflict:
                    continue

    threads = [threading.Thread(target=increment) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = any_store.get("n")
    assert found is not None
    assert (int(found.value), any_store.revision()) == (100, 100)


def test_watching_is_cheap(any_store: Store) -> None:
    """Asking a watch costs microseconds: it can be asked a hundred times a second by every proxy."""
    watch = any_store.watch()
    took = []
    for _ in range(1000):
        begin = clock.monotonic()
        watch.changed()
        took.append(clock.monotonic() - begin)
    watch.close()
    assert sorted(took)[500] < 100e-6


_KEYS = st.sampled_from(["a", "a/b", "a/c", "b", "proxies/1", "proxies/10"])
_VALUES = st.binary(max_size=4)


class StoreMachine(RuleBasedStateMachine):
    """Two handles on a store against a model of dictionaries: any history of calls leaves both saying the same."""

    kind = "sqlite"
    leases = Bundle("leases")

    def __init__(self) -> None:
        super().__init__()
        self.directory = tempfile.TemporaryDirectory(prefix="mx-")
        self.world = World(self.kind, Path(self.directory.name))
        self.stores = [self.world.open(), self.world.open()]
        self.watch = self.stores[0].watch()
        self.told = 0
        self.entries: dict[str, Entry] = {}
        self.expires: dict[str, tuple[float, float]] = {}
        self.revision = 0

    def teardown(self) -> None:
        self.watch.close()
        self.world.close()
        self.directory.cleanup()

    @initialize(target=leases)
    def no_lease(self) -> str:
        return ""

    @rule(target=leases, which=st.integers(0, 1), ttl=st.integers(1, 20))
    def grant(self, which: int, ttl: int) -> str:
        self.sweep()
        lease = self.stores[which].grant(ttl)
        self.expires[lease] = (self.world.now + ttl, ttl)
        return lease

    @rule(which=st.integers(0, 1), lease=leases)
    def keep_alive(self, which: int, lease: str) -> None:
        expected = self.is_live(lease) and lease != ""
        assert self.stores[which].keep_alive(lease) == expected
        if expected:
            self.expires[lease] = (self.world.now + self.expires[lease][1], self.expires[lease][1])

    @rule(which=st.integers(0, 1), lease=leases)
    def release(self, which: int, lease: str) -> None:
        self.stores[which].release(lease)
        kept = {key: entry for key, entry in self.entries.items() if not lease or entry.lease != lease}
        if len(kept) < len(self.entries):
            self.revision += 1
        self.entries = kept
        self.expires.pop(lease, None)

    @rule(seconds=st.integers(1, 15))
    def advance(self, seconds: int) -> None:
        self.world.now += seconds

    @rule(
        which=st.integers(0, 1),
        puts=st.lists(st.tuples(_KEYS, _VALUES), max_size=3),
        deletes=st.lists(_KEYS, max_size=2),
        lease=leases,
        expected=st.none() | st.tuples(_KEYS, st.integers(-1, 1)),
    )
    def transact(
        self,
        which: int,
        puts: list[tuple[str, bytes]],
        deletes: list[str],
        lease: str,
        expected: tuple[str, int] | None,
    ) -> None:
        changes: list[Put | Delete] = [*(Delete(key) for key in deletes), *(Put(*put, lease) for put in puts)]
        visible = self.visible()
        expect = []
        if expected is not None:
            key, off = expected
            found = visible[key].revision if key in visible else 0
            expect = [Expect(key, max(found + off, 0))]
            if expect[0].revision != found:
                with pytest.raises(Conflict):
                    self.stores[which].transact(changes, expect=expect)
                return
        if puts and not self.is_live(lease):
            with pytest.raises(LeaseEnded):
                self.stores[which].transact(changes, expect=expect)
            return
        self.revision += 1
        assert self.stores[which].transact(changes, expect=expect) == self.revision
        self.entries = {key: entry for key, entry in visible.items() if key not in deletes}
        self.entries |= {key: Entry(key, value, self.revision, lease) for key, value in puts}
        self.drop_ended_leases()

    @rule()
    def look(self) -> None:
        assert self.watch.changed() == (self.revision != self.told)
        self.told = self.revision

    @invariant()
    def says_the_same(self) -> None:
        visible = self.visible()
        for store in self.stores:
            assert store.revision() == self.revision
            assert {entry.key: entry for entry in store.list("")} == visible
            under = sorted(key for key in visible if key.startswith("a/"))
            assert [entry.key for entry in store.list("a/")] == under
            assert (store.count("a/"), store.count("")) == (len(under), len(visible))
            last = self.revision - 1
            assert [entry.key for entry in store.list("", after=last)] == sorted(
                key for key, entry in visible.items() if entry.revision > last
            )

    def is_live(self, lease: str) -> bool:
        return lease == "" or (lease in self.expires and self.expires[lease][0] > self.world.now)

    def visible(self) -> dict[str, Entry]:
        return {key: entry for key, entry in self.entries.items() if self.is_live(entry.lease)}

    def sweep(self) -> None:
        """What a grant does first: the entries of ended leases go, and that is a commit where there are any."""
        visible = self.visible()
        if len(visible) < len(self.entries):
            self.revision += 1
        self.entries = visible
        self.drop_ended_leases()

    def drop_ended_leases(self) -> None:
        self.expires = {lease: times for lease, times in self.expires.items() if times[0] > self.world.now}


def _any_history(kind: str) -> type:
    case: type = type(f"StoreMachine_{kind}", (StoreMachine,), {"kind": kind}).TestCase
    case.settings = settings(max_examples=40, stateful_step_count=25)  # type: ignore[attr-defined]
    return case


for _kind in STORES:
    globals()[f"TestAnyHistory_{_kind}"] = _any_history(_kind)
