"""A rollout's record: it begins, steps and ends together with the weights, and people steer it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from meshctl.control import rollout_state, steering, weights
from meshctl.control.apply import apply
from meshctl.control.rollout_state import begin, logged, none_runs, past, rollout, save, unfinished
from meshctl.control.rollouts import measured
from meshctl.errors import MeshError
from meshctl.model.mesh import Mesh
from meshctl.model.rollout import Event, Measured, Plan
from meshctl.model.service import Endpoint, Service, Version
from meshctl.observe.histogram import Histogram
from meshctl.observe.tally import Tally
from meshctl.store.home import open_home
from meshctl.store.protocol import Conflict, Store
from meshctl.store.sqlite import SqliteStore

PLAN = Plan("v2", steps=(10.0, 50.0, 100.0))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = SqliteStore(open_home(tmp_path / "home").database)
    versions = tuple(Version(name, (Endpoint("127.0.0.1", 1),), weight) for name, weight in (("v1", 1), ("v2", 0)))
    apply(made, Mesh(services=(Service("orders", versions),)), source="mesh.toml", who="ann")
    yield made
    made.close()


def live(store: Store) -> float:
    """What v2 gets."""
    return weights.live_weights(store).get("orders", {}).get("v2", 0.0)


def test_a_beginning(store: Store) -> None:
    """The first step's weights come with the record, in one change that the audit names."""
    found = begin(store, "orders", PLAN, who="ann")
    assert (found, unfinished(store)) == (rollout(store, "orders"), [found])
    assert (found.phase, found.step, found.weight, found.start, found.due) == (
        "running", 0, 10, {"v1": 100, "v2": 0}, "step",
    )  # fmt: skip
    assert (live(store), found.revision) == (10, store.revision())
    assert (store.audits(1)[0].what, store.audits(1)[0].who) == ("orders: rollout 1 to v2: v2=10", "ann")


def test_one_at_a_time(store: Store) -> None:
    """A second one is refused while one runs, and so is anybody who wants the weights; a change that was decided
    before it began is a conflict."""
    free = none_runs(store, "orders")
    begin(store, "orders", PLAN, who="ann")
    for attempt in (lambda: begin(store, "orders", PLAN, who="bob"), lambda: none_runs(store, "orders")):
        with pytest.raises(MeshError, match="it has the weights") as caught:
            attempt()
        assert caught.value.code == "refused"
    with pytest.raises(MeshError) as late:
        weights.change(store, "orders", lambda *_: {"v1": 100.0}, who="bob", what="promote v1", expect=[free])
    assert (late.value.code, live(store)) == ("conflict", 10)


def test_steps_are_one_change(store: Store) -> None:
    """Whatever it went through, one rollback goes back to before it; an end brings that back by itself."""
    weights.change(store, "orders", lambda *_: {"v1": 97.0, "v2": 3.0}, who="ann", what="shift v2=3")
    found = begin(store, "orders", PLAN, who="ann")
    found = save(store, found, weight=50.0, step=1)
    found = save(store, found, weight=100.0, step=2, phase="promoted", due="")
    assert (live(store), unfinished(store)) == (100, [])
    weights.rollback(store, "orders", who="bob")
    assert live(store) == 3
    again = begin(store, "orders", PLAN, who="ann")
    again = save(store, again, weight=50.0, step=1)
    save(store, again, phase="rolled_back", weight=again.floor, due="")
    assert live(store) == 3
    assert [each.what for each in weights.history(store, "orders", 1)] == ["rolled back: rollout 2 to v2"]
    assert [each.number for each in past(store, "orders")] == [1]
    weights.rollback(store, "orders", who="bob")
    assert live(store) == 0


def test_who_is_late_changes_nothing(store: Store) -> None:
    """A driver that has lost its duty cannot undo what the next one did."""
    found = begin(store, "orders", PLAN, who="ann")
    save(store, found, weight=50.0, step=1)
    with pytest.raises(Conflict):
        save(store, found, phase="rolled_back", weight=0.0)
    assert live(store) == 50


def test_the_same_again_is_one_event() -> None:
    """A rollout that waits for requests says so once, from when and how often; the numbers are the latest."""
    first = Event(1.0, "check", "no requests", 10.0, "inconclusive")
    log = logged((), first)
    log = logged(log, Event(2.0, "check", "3 of 100 requests: too few", 10.0, "inconclusive", Measured(3)))
    assert log == (Event(1.0, "check", "3 of 100 requests: too few", 10.0, "inconclusive", Measured(3), count=2),)
    log = logged(log, Event(3.0, "check", "", 10.0, "pass"))
    log = logged(log, Event(4.0, "check", "no requests", 50.0, "inconclusive"))
    assert [each.count for each in log] == [2, 1, 1]
    assert len(logged(log * 200, first)) == rollout_state.EVENTS


def test_steering(store: Store) -> None:
    """It is paused and resumed, counting anew; skipped to its end; called off; each once, and only where one runs."""
    with pytest.raises(MeshError, match="no rollout") as caught:
        steering.pause(store, "orders", who="bob")
    assert caught.value.code == "not_found"
    save(store, begin(store, "orders", PLAN, who="ann"), since=5.0)
    assert steering.pause(store, "orders", who="bob").phase == "paused"
    assert steering.pause(store, "orders", who="bob").revision == store.revision()
    resumed = steering.resume(store, "orders", who="bob")
    assert (resumed.phase, resumed.since, [each.kind for each in resumed.log]) == (
        "running", 0, ["begin", "pause", "resume"],
    )  # fmt: skip
    assert (steering.promote(store, "orders", who="bob").phase, live(store)) == ("promoted", 100)
    weights.rollback(store, "orders", who="bob")
    begin(store, "orders", PLAN, who="ann")
    aborted = steering.abort(store, "orders", who="bob")
    assert (aborted.phase, aborted.log[-1].text, live(store)) == ("aborted", "aborted by bob", 0)


def test_calling_off_by_steps(store: Store) -> None:
    """With a gradual way back the first step of it is made at once, the others are left to the driver; that cannot be
    paused."""
    found = begin(store, "orders", replace(PLAN, is_ramp=True), who="ann")
    save(store, found, weight=50.0, step=1)
    aborted = steering.abort(store, "orders", who="bob")
    assert (aborted.phase, aborted.outcome, live(store)) == ("ramping", "aborted", 10)
    with pytest.raises(MeshError, match="cannot be paused"):
        steering.pause(store, "orders", who="bob")


def tally(requests: int, errors: int, seconds: float) -> Tally:
    """So many requests of one length."""
    histogram = Histogram()
    histogram.add([seconds] * requests)
    return Tally(requests, errors, histogram.freeze())


def test_counters_of_all_proxies(store: Store) -> None:
    """What counts is what each proxy counted since, all of it for those that are new; the others are the baseline, or
    the one version that is asked for."""
    before = {"gateway@1": {"v1": tally(10, 0, 0.01), "v2": tally(5, 5, 1.0)}, "gone@1": {"v2": tally(9, 9, 1.0)}}
    now = {
        "gateway@1": {"v1": tally(110, 1, 0.01), "v2": tally(15, 6, 1.0)},
        "web@7": {"v2": tally(30, 1, 0.1), "v3": tally(50, 0, 0.02)},
    }
    found = save(store, begin(store, "orders", PLAN, who="ann"), counted=before)
    new, old = measured(found, now)
    assert (new.requests, new.errors, old.requests, old.errors) == (40, 2, 150, 1)
    assert new.p99 == pytest.approx(1.0, rel=0.07)
    assert old.p99 == pytest.approx(0.02, rel=0.07)
    # One that was there already and did not answer brings a past that nobody knows.
    silent, _ = measured(replace(found, since=8.0), now)
    assert silent.requests == 10
    _, only_v3 = measured(replace(found, plan=replace(PLAN, compare="v3")), now)
    assert only_v3.requests == 50
