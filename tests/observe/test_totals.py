"""What several workers counted adds up, and never goes back when one of them dies."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from meshctl.observe.counters import MOST_RETIRED, Counters
from meshctl.observe.sample import Sample, merge
from meshctl.observe.totals import Totals

# Durations whose sums are exact, so that samples can be compared whatever the order of addition.
REQUEST = st.tuples(
    st.integers(0, 2),
    st.sampled_from(["a", "b"]),
    st.sampled_from([0, 200, 404, 503]),
    st.sampled_from([0.125, 0.5, 4.0, 64.0]),
    st.sampled_from(["", "", "no_route", "breaker_open"]),
)


Request = tuple[int, str, int, float, str]


def record(counters: Counters, request: Request) -> None:
    _, route, status, seconds, reason = request
    counters.accepted += 1
    counters.series(route, "s", "v").record(status, seconds, 1, 2, reason)
    counters.service("s").connect("ok" if status else "timeout")
    if reason:
        counters.refuse(reason)


def by_name(sample: Sample) -> tuple[object, ...]:
    series = {one.key: one for one in sample.series}
    return series, {one.service: one for one in sample.services}, sample.accepted, sample.refusals


@given(st.lists(REQUEST, max_size=40))
def test_workers_add_up(requests: list[Request]) -> None:
    """Requests spread over workers give the same merged sample as one worker that served them all."""
    workers, alone = [Counters() for _ in range(3)], Counters()
    for request in requests:
        record(workers[request[0]], request)
        record(alone, request)
    assert by_name(alone.export()) == by_name(merge(counters.export() for counters in workers))


@given(st.lists(st.one_of(REQUEST, st.integers(0, 2)), max_size=40))
def test_counters_never_go_back(steps: list[Request | int]) -> None:
    """Whatever workers die and start again, what was reported once stays in the sum, and nothing is counted twice."""
    totals, workers, all_along = Totals(), [Counters() for _ in range(3)], Counters()
    for step in steps:
        if isinstance(step, int):
            totals.lost(step)
            workers[step] = Counters()
            continue
        worker = step[0]
        record(workers[worker], step)
        record(all_along, step)
        totals.update(worker, workers[worker].export())
        assert by_name(all_along.export()) == by_name(totals.merged())


def test_a_dead_worker_has_no_connections() -> None:
    """Gauges end with the worker, counters do not."""
    totals = Totals()
    totals.update(1, Sample(connections=5, in_flight=2, accepted=7))
    totals.update(2, Sample(connections=1, in_flight=1, accepted=1))
    totals.lost(1)
    merged = totals.merged()
    assert (merged.connections, merged.in_flight, merged.accepted) == (1, 1, 8)
    assert (Sample(), 1) == (totals.worker(1), totals.worker(2).connections)


def test_a_worker_that_never_reported() -> None:
    """A worker may die before its first sample."""
    totals = Totals()
    totals.lost(7)
    assert Sample() == totals.merged()


def test_what_dead_workers_left_is_bounded() -> None:
    """Series of routes that have gone are forgotten, oldest first, beyond a number."""
    counters = Counters()
    counters.series("live").record(200, 0.1, 0, 0)
    for number in range(MOST_RETIRED + 3):
        counters.series(f"old-{number}").record(200, 0.1, 0, 0)
        counters.service(f"old-{number}").eject()
        counters.cached(f"old-{number}", "hit")
    counters.service("there").eject()
    totals = Totals()
    totals.update(1, counters.export())
    totals.lost(1)
    totals.retire({("live", "", "")}, {"there"})
    kept = [series.route for series in totals.merged().series]
    assert kept[:2] == ["live", "old-3"]
    assert len(kept) == MOST_RETIRED + 1
    services = [each.service for each in totals.merged().services]
    assert (services[0], services[-1], len(services)) == ("old-3", "there", MOST_RETIRED + 1)
    assert len(totals.merged().cached) == MOST_RETIRED
