"""What is kept, found again, and gives way."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from meshctl.core.shelves import MOST_NAMES, OVERHEAD, Shelves, Values

OWNER = ("r", "v1", b"")


@dataclass(eq=False)
class Thing:
    """What is kept here."""

    size: int
    at: float = 0.0


def select(**said: str) -> object:
    """The values of a request's headers."""

    def values(names: Values) -> Values:
        return tuple(said.get(name.decode(), "").encode() for name in names)

    return values


def test_variants() -> None:
    """An answer is found by a request with the same headers, the newest of several, and by nobody else's."""
    shelves: Shelves[Thing] = Shelves(100_000)
    plain, german, english = Thing(1, 1.0), Thing(1, 2.0), Thing(1, 3.0)
    shelves.put("/", OWNER, (b"lang",), (b"de",), german)
    shelves.put("/", OWNER, (b"lang",), (b"en",), english)
    assert shelves.find("/", OWNER, select(lang="de")) is german  # type: ignore[arg-type]
    assert shelves.find("/", OWNER, select(lang="en")) is english  # type: ignore[arg-type]
    assert shelves.find("/", OWNER, select(lang="fr")) is None  # type: ignore[arg-type]
    shelves.put("/", OWNER, (), (), plain)
    assert shelves.find("/", OWNER, select(lang="de")) is german  # type: ignore[arg-type]
    assert shelves.find("/", OWNER, select()) is plain  # type: ignore[arg-type]
    assert shelves.find("/", ("r", "v2", b""), select()) is None  # type: ignore[arg-type]
    assert shelves.find("/x", OWNER, select()) is None  # type: ignore[arg-type]
    assert shelves.names("/", OWNER) == ()
    assert shelves.names("/x", OWNER) is None
    assert (shelves.forget("/"), len(shelves), shelves.size) == (3, 0, 0)


def test_least_recently_used() -> None:
    """Of what there is no room for, that goes first which nobody has asked for longest."""
    shelves: Shelves[Thing] = Shelves(3 * (100 + OVERHEAD + 2))
    for name in ("/a", "/b", "/c"):
        assert shelves.put(name, OWNER, (), (), Thing(100))
    assert shelves.find("/a", OWNER, select()) is not None  # type: ignore[arg-type]
    shelves.put("/d", OWNER, (), (), Thing(100))
    assert [shelves.find(name, OWNER, select()) is None for name in ("/a", "/b", "/c", "/d")] == [  # type: ignore[arg-type]
        False, True, False, False,
    ]  # fmt: skip
    assert shelves.evicted == 1
    assert not shelves.put("/e", OWNER, (), (), Thing(100_000))
    shelves.resize(100)
    assert (len(shelves), shelves.size) == (0, 0)


def test_many_kinds() -> None:
    """Answers that differ by ever other headers do not pile up under one target."""
    shelves: Shelves[Thing] = Shelves(10**9)
    for number in range(3 * MOST_NAMES):
        shelves.put("/", OWNER, (b"h%d" % number,), (b"",), Thing(1))
    assert len(shelves) == MOST_NAMES


def test_held() -> None:
    """What is about to be kept takes room from what is, up to half of all."""
    shelves: Shelves[Thing] = Shelves(10_000)
    shelves.put("/a", OWNER, (), (), Thing(6_000))
    assert shelves.hold(5_000)
    assert (len(shelves), shelves.size) == (0, 5_000)
    assert not shelves.hold(1)
    shelves.let_go(5_000)
    assert shelves.size == 0


@pytest.mark.parametrize("gone", ["r", "other"])
def test_owners(gone: str) -> None:
    """What an owner has that is gone goes with it."""
    shelves: Shelves[Thing] = Shelves(10_000)
    shelves.put("/a", OWNER, (), (), Thing(1))
    assert shelves.forget_owners(lambda owner: owner[0] == gone) == (gone == "r")


class Machine(RuleBasedStateMachine):
    """Whatever is done, no more is there than may be, and the count of it is right."""

    def __init__(self) -> None:
        super().__init__()
        self.shelves: Shelves[Thing] = Shelves(20_000)
        self.held: list[int] = []
        self.last: dict[tuple[str, str], Thing] = {}

    @rule(name=st.sampled_from("abcd"), value=st.sampled_from("xy"), size=st.integers(0, 25_000))
    def put(self, name: str, value: str, size: int) -> None:
        thing = Thing(size)
        if self.shelves.put(name, OWNER, (b"h",), (value.encode(),), thing):
            self.last[name, value] = thing
        else:
            self.last.pop((name, value), None)

    @rule(name=st.sampled_from("abcd"), value=st.sampled_from("xy"))
    def find(self, name: str, value: str) -> None:
        found = self.shelves.find(name, OWNER, select(h=value))  # type: ignore[arg-type]
        assert found is None or found is self.last[name, value]

    @rule(name=st.sampled_from("abcd"))
    def forget(self, name: str) -> None:
        self.shelves.forget(name)
        assert self.shelves.names(name, OWNER) is None

    @rule(size=st.integers(0, 12_000))
    def hold(self, size: int) -> None:
        if self.shelves.hold(size):
            self.held.append(size)

    @rule()
    def let_go(self) -> None:
        if self.held:
            self.shelves.let_go(self.held.pop())

    @invariant()
    def bounded(self) -> None:
        assert 0 <= self.shelves.size <= 20_000
        assert sum(self.held) <= self.shelves.size
        assert (self.shelves.size == sum(self.held)) == (len(self.shelves) == 0)


TestMachine = Machine.TestCase


@given(st.lists(st.text("ab/", max_size=3), max_size=20))
def test_nothing_empty_stays(targets: list[str]) -> None:
    """Targets that were asked for once leave nothing behind."""
    shelves: Shelves[Thing] = Shelves(10**6)
    for each in targets:
        shelves.put(each, OWNER, (), (), Thing(1))
    for each in targets:
        shelves.forget(each)
    assert repr(shelves) == "<Shelves 0 answers, 0 of 1000000 bytes>"
    assert vars(shelves)["_targets"] == {}
