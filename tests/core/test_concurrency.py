"""Places and the lines for them: against a model that keeps one list, and the cases that a reader would ask about."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshctl.core.concurrency import RANKS, Places, portion, whole_seconds

HIGH, NORMAL, LOW = range(len(RANKS))


def full(limit: int = 1, room: int = 3) -> Places[str]:
    """Places that are all taken."""
    places: Places[str] = Places(limit, room)
    while places.take():
        pass
    return places


def served(places: Places[str]) -> list[str]:
    """Who is served as one place after another comes back."""
    found = []
    while places.waiting:
        places.give_back()
        waiter = places.next()
        assert waiter is not None
        found.append(waiter)
    return found


def test_no_more_than_the_limit() -> None:
    """As many as the limit get a place, and one more for each that is given back."""
    places: Places[str] = Places(2, 0)
    assert [places.take() for _ in range(3)] == [True, True, False]
    places.give_back()
    assert (places.take(), places.take()) == (True, False)


def test_first_come_first_served_within_a_rank() -> None:
    """High goes before normal before low, and within a rank whoever came first."""
    places = full(room=9)
    for name, rank in [("l1", LOW), ("n1", NORMAL), ("h1", HIGH), ("l2", LOW), ("h2", HIGH), ("n2", NORMAL)]:
        assert places.join(name, rank) is None
    assert served(places) == ["h1", "h2", "n1", "n2", "l1", "l2"]


@pytest.mark.parametrize(
    ("waiting", "newcomer", "gone"),
    [
        ([NORMAL, NORMAL], NORMAL, "new"),
        ([LOW, LOW], LOW, "new"),
        ([HIGH, HIGH], NORMAL, "new"),
        ([HIGH, NORMAL], LOW, "new"),
        ([LOW, LOW], NORMAL, "w1"),
        ([LOW, NORMAL], HIGH, "w0"),
        ([NORMAL, NORMAL], HIGH, "w1"),
        ([HIGH, NORMAL], HIGH, "w1"),
    ],
)
def test_a_full_line(waiting: list[int], newcomer: int, gone: str) -> None:
    """A newcomer takes the place of the newest in the lowest rank below its own; without such a one it has to go."""
    places = full(room=2)
    for at, rank in enumerate(waiting):
        assert places.join(f"w{at}", rank) is None
    assert places.join("new", newcomer) == gone
    assert places.waiting == 2
    assert gone not in served(places)


def test_nobody_may_wait() -> None:
    """With room for nobody even the highest is refused at once."""
    assert full(room=0).join("new", HIGH) == "new"


def test_leaving() -> None:
    """Who leaves is not served, and leaves once."""
    places = full()
    places.join("a", NORMAL)
    places.join("b", NORMAL)
    assert (places.leave("a"), places.leave("a"), places.leave("stranger")) == (True, False, False)
    assert served(places) == ["b"]


def test_another_limit() -> None:
    """A raised limit lets the next ones in; a lowered one lets nobody in until there are few enough."""
    places = full(limit=2)
    places.join("a", NORMAL)
    assert places.next() is None
    places.limit = 3
    assert (places.next(), places.next()) == ("a", None)
    places.limit = 1
    places.join("b", NORMAL)
    places.give_back()
    places.give_back()
    assert places.next() is None
    places.give_back()
    assert places.next() == "b"


actions = st.lists(
    st.one_of(
        st.tuples(st.just("come"), st.integers(0, 2)),
        st.tuples(st.just("done"), st.just(0)),
        st.tuples(st.just("leave"), st.integers(0, 9)),
        st.tuples(st.just("limit"), st.integers(1, 4)),
    ),
    max_size=60,
)


@given(actions, st.integers(1, 3), st.integers(0, 4))
def test_like_one_list(steps: list[tuple[str, int]], limit: int, room: int) -> None:
    """Whatever happens: nobody is lost or served twice, the bounds hold, and the order is that of one sorted list."""
    places: Places[int] = Places(limit, room)
    line: list[tuple[int, int]] = []
    under_way, number = 0, 0
    for what, value in steps:
        if what == "come":
            number += 1
            if places.take():
                under_way += 1
            else:
                line.append((value, number))
                gone = places.join(number, value)
                expected = None if len(line) <= room else max(line, key=lambda one: (one[0], one[1]))
                assert gone == (expected[1] if expected else None)
                line = [one for one in line if one != expected]
        elif what == "done" and under_way:
            places.give_back()
            under_way -= 1
        elif what == "leave" and line:
            one = line.pop(value % len(line))
            assert places.leave(one[1])
        elif what == "limit":
            limit = places.limit = value
        while (served := places.next()) is not None:
            one = min(line)
            line.remove(one)
            under_way += 1
            assert served == one[1]
        assert (places.in_flight, places.waiting) == (under_way, len(line))
        assert not line or under_way >= limit


@given(st.integers(0, 10_000), st.integers(1, 64))
def test_portions(whole: int, parts: int) -> None:
    """The parts differ by at most one, make the whole where it is enough for all, and none is without."""
    found = [portion(whole, index, parts) for index in range(parts)]
    assert sum(found) == (max(whole, parts) if whole else 0)
    assert max(found) - min(found) <= 1


@pytest.mark.parametrize(("seconds", "expected"), [(0.0, 1), (0.2, 1), (1.0, 1), (1.1, 2), (30.0, 30)])
def test_whole_seconds(seconds: float, expected: int) -> None:
    """A Retry-After is never shorter than the time meant, and never 0."""
    assert whole_seconds(seconds) == expected
