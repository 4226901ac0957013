"""Live weights in the store: they change through one door, go back step by step, and are nobody's but theirs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from meshctl.control import weights
from meshctl.control.apply import apply
from meshctl.core.shift import promoted, shifted
from meshctl.errors import MeshError
from meshctl.model.mesh import Mesh
from meshctl.model.service import Endpoint, Service, Version
from meshctl.model.weights import Shares
from meshctl.store.home import open_home
from meshctl.store.protocol import Store
from meshctl.store.sqlite import SqliteStore


def mesh(*shares: tuple[str, float], name: str = "orders") -> Mesh:
    """One service with versions."""
    endpoint = (Endpoint("127.0.0.1", 9001),)
    return Mesh(services=(Service(name, tuple(Version(each, endpoint, weight) for each, weight in shares)),))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = SqliteStore(open_home(tmp_path / "home").database)
    apply(made, mesh(("v1", 9), ("v2", 1)), source="mesh.toml", who="ann")
    yield made
    made.close()


def shift(store: Store, *, who: str = "ann", **given: float) -> weights.Moved:
    """`traffic shift orders v2=…`."""
    what = " ".join(f"{name}={weight:g}" for name, weight in given.items())
    return weights.change(
        store, "orders", lambda now, declared: shifted(now, given, declared), who=who, what=f"shift {what}"
    )


def held(store: Store) -> Shares:
    """What proxies are told of the service."""
    return weights.live_weights(store).get("orders", {})


def test_a_shift(store: Store) -> None:
    """It says what held before and after, from which store revision on, and is in the audit with its author."""
    moved = shift(store, v2=25)
    assert moved == weights.Moved("orders", {"v1": 90, "v2": 10}, {"v1": 75, "v2": 25}, store.revision())
    assert held(store) == {"v1": 75, "v2": 25}
    (audit,) = store.audits(1)
    assert (audit.who, audit.what, audit.before, audit.after) == (
        "ann", "orders: shift v2=25", "v1=90 v2=10", "v1=75 v2=25",
    )  # fmt: skip


def test_the_same_again_changes_nothing(store: Store) -> None:
    """Weights that hold already make neither a state to go back to nor a line in the history."""
    shift(store, v2=25)
    revision = store.revision()
    assert shift(store, v2=25).unchanged
    assert (store.revision(), len(weights.history(store, "orders"))) == (revision, 1)


def test_applies_keep_them(store: Store) -> None:
    """A configuration that is applied, even one with other weights, leaves live ones as they are; reset drops them."""
    shift(store, v2=25)
    apply(store, mesh(("v1", 1), ("v2", 1)), source="mesh.toml", who="ann")
    assert held(store) == {"v1": 75, "v2": 25}
    moved = weights.change(store, "orders", lambda _now, _declared: {}, who="bob", what="reset")
    assert (moved.after, held(store)) == ({"v1": 50, "v2": 50}, {})


def test_back_again_and_again(store: Store) -> None:
    """Each rollback goes one change further, a reset being one, as far as the file's weights; then there is nothing."""
    shift(store, v2=25)
    shift(store, v2=50)
    weights.change(store, "orders", lambda _now, _declared: {}, who="ann", what="reset")
    weights.change(store, "orders", lambda now, _declared: promoted(now, "v2"), who="ann", what="promote v2")
    shares = []
    for _ in range(4):
        shares.append(weights.rollback(store, "orders", who="bob").after["v2"])
    assert shares == [10, 50, 25, 10]
    assert held(store) == {}
    with pytest.raises(MeshError, match="no weights to go back to") as caught:
        weights.rollback(store, "orders", who="bob")
    assert caught.value.code == "not_found"


def test_after_a_rollback_changes_start_from_there(store: Store) -> None:
    """What was rolled back is gone: the next rollback goes to where that one went."""
    shift(store, v2=25)
    shift(store, v2=50)
    weights.rollback(store, "orders", who="bob")
    shift(store, v2=30)
    assert [weights.rollback(store, "orders", who="bob").after["v2"] for _ in range(2)] == [25, 10]


def test_history(store: Store) -> None:
    """It keeps every change, rollbacks too, newest first, with who and when and the weights around it."""
    shift(store, v2=25)
    weights.rollback(store, "orders", who="bob")
    lines = weights.history(store, "orders")
    assert [(each.number, each.who, each.what, each.before["v2"], each.after["v2"]) for each in lines] == [
        (2, "bob", "rollback of shift v2=25", 25, 10),
        (1, "ann", "shift v2=25", 10, 25),
    ]
    assert lines[0].at >= lines[1].at > 1.7e9
    assert weights.history(store, "orders", 1) == lines[:1]


def test_history_ends_somewhere(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest changes go: the store does not grow with every rollout."""
    monkeypatch.setattr(weights, "KEPT", 5)
    monkeypatch.setattr(weights, "BACK", 3)
    for number in range(1, 9):
        shift(store, v2=number)
    assert [each.number for each in weights.history(store, "orders")] == [8, 7, 6, 5, 4]
    found = weights.live(store, "orders")
    assert found is not None
    assert [state.weights["v2"] for state in found.before] == [5, 6, 7]


def test_of_two_changes_one_wins(store: Store) -> None:
    """A change that was decided on weights which somebody else has changed since is refused, naming who and what."""

    def slow(now: Shares, declared: Shares) -> Shares:
        shift(store, who="bob", v2=70)
        return shifted(now, {"v2": 20}, declared)

    with pytest.raises(MeshError, match=r"by bob \(shift v2=70\)") as caught:
        weights.change(store, "orders", slow, who="ann", what="shift v2=20")
    assert (caught.value.code, held(store)["v2"]) == ("conflict", 70)


def test_a_refused_change_changes_nothing(store: Store) -> None:
    """Whoever looks at the weights that would come back may refuse them."""
    shift(store, v2=25)
    shown: list[tuple[Shares, Shares]] = []

    def refuse(before: Shares, after: Shares) -> None:
        shown.append((before, after))
        raise MeshError("refused", "v1 has no healthy endpoint")

    with pytest.raises(MeshError, match="no healthy endpoint"):
        weights.rollback(store, "orders", who="ann", check=refuse)
    with pytest.raises(MeshError, match="no healthy endpoint"):
        weights.change(store, "orders", lambda *_: {}, who="ann", what="reset", check=refuse)
    expected = ({"v1": 75, "v2": 25}, {"v1": 90, "v2": 10})
    assert (shown, held(store)["v2"]) == ([expected, expected], 25)


def test_unknown_services(store: Store) -> None:
    """They are told with the nearest name."""
    with pytest.raises(MeshError, match='no service "order"') as caught:
        weights.known_service(store, "order")
    assert (caught.value.code, caught.value.hint) == ("not_found", 'did you mean "orders"?')


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(st.one_of(st.integers(0, 100), st.just(-1)), max_size=12))
def test_rollbacks_undo(store: Store, steps: list[int]) -> None:
    """Whatever is shifted and rolled back, in any order: a rollback undoes exactly the last change not yet undone."""
    weights.change(store, "orders", lambda _now, _declared: {}, who="ann", what="reset")
    while (found := weights.live(store, "orders")) and found.before:
        weights.rollback(store, "orders", who="ann")
    stack = [held(store)]
    for step in steps:
        if step >= 0:
            if not shift(store, v2=step).unchanged:
                stack.append(held(store))
        elif len(stack) > 1:
            weights.rollback(store, "orders", who="ann")
            stack.pop()
        assert held(store) == stack[-1]
