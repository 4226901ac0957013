"""The last quarter of an hour, whenever samples come, in bounded memory."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshctl.observe import history
from meshctl.observe.counters import Counters
from meshctl.observe.history import EVERY, LONG, RECENT, SPAN, History
from meshctl.observe.sample import Key, SeriesSample, merge
from meshctl.observe.series import MOST_CALLERS

DONE = st.tuples(
    st.sampled_from(["a", "b"]),
    st.sampled_from([0, 200, 302, 404, 503, 700]),
    st.floats(0, 100),
    st.integers(0, 9),
    st.integers(0, 9),
    st.sampled_from(["", "", "no_endpoint", "breaker_open"]),
    st.sampled_from(["", "web", "cart"]),
)


def count(counters: Counters, done: tuple[str, int, float, int, int, str, str]) -> None:
    """Record a request."""
    route, status, seconds, received, sent, reason, caller = done
    series = counters.series(route, "s", "v")
    (series.of(caller) if caller else series).record(status, seconds, received, sent, reason)


def all_of(counters: Counters) -> dict[Key, SeriesSample]:
    """What was counted so far, by name."""
    return {series.key: series for series in counters.export().series}


def shape(series: SeriesSample) -> object:
    """All that is counted in a series, for comparing; durations are sums of floats."""
    parts = {name: shape(each) for name, each in series.callers.items()}
    latency = series.latency
    return (
        series.key,
        series.statuses,
        series.reasons,
        series.received,
        series.sent,
        latency.start,
        latency.counts,
        parts,
    )


@given(st.lists(DONE), st.lists(DONE))
def test_a_difference_is_what_came_in_between(
    before: list[tuple[str, int, float, int, int, str, str]], after: list[tuple[str, int, float, int, int, str, str]]
) -> None:
    """What a series has more than before is what a series has that counted only the later requests; and both together
    are the whole."""
    counters, later = Counters(), Counters()
    for each in before:
        count(counters, each)
    then = all_of(counters)
    for each in after:
        count(counters, each)
        count(later, each)
    for key, now in all_of(counters).items():
        new = now.since(then.get(key))
        expected = all_of(later).get(key, SeriesSample(*key))
        assert shape(expected) == shape(new)
        if key in then:
            assert shape(then[key].plus(new)) == shape(now)


def test_callers_are_a_part_of_the_whole() -> None:
    """Requests of known callers are counted in their series and told apart by caller, also over several workers."""
    first, second = Counters(), Counters()
    for counters, caller in ((first, "web"), (first, ""), (second, "web"), (second, "cart")):
        count(counters, ("a", 503, 0.1, 1, 2, "no_endpoint", caller))
    (series,) = merge([first.export(), second.export()]).series
    assert (series.requests, series.received, series.sent) == (4, 4, 8)
    assert {name: each.requests for name, each in series.callers.items()} == {"web": 2, "cart": 1}
    assert series.reasons["no_endpoint"][5] == 4


def test_callers_are_bounded() -> None:
    """With more callers than are told apart all requests are still counted."""
    counters = Counters()
    for number in range(MOST_CALLERS + 10):
        count(counters, ("a", 200, 0.1, 0, 0, "", f"caller-{number}"))
    (series,) = counters.export().series
    assert series.requests == MOST_CALLERS + 10
    assert len(series.callers) == MOST_CALLERS + 1
    assert series.callers["other"].requests == 10


@pytest.mark.parametrize("step", [0.7, 1.0, 5.0, 15.0])
@pytest.mark.parametrize("window", [10.0, 60.0, 900.0])
def test_a_steady_stream(window: float, step: float) -> None:
    """Ten requests a second are told as that for any window and however seldom samples come, over no more time than
    asked for and a slice."""
    counters, kept = Counters(), History()
    kept.add(0.0, all_of(counters))
    counted, now = 0, 0.0
    while now < 1_000:
        now += step
        while counted < now * 10:
            counted += 1
            count(counters, ("a", 200, 0.01, 1, 1, "", ""))
        kept.add(now, all_of(counters))
    seconds, (series,) = kept.since(now, window)
    slack = max(EVERY if window <= RECENT else LONG, step) + step
    assert window - 1e-6 <= seconds <= window + slack
    assert pytest.approx(series.requests / seconds, rel=0.02) == 10


def test_the_newest_requests_are_in() -> None:
    """What was counted a moment ago is told, though its slice has not ended."""
    counters, kept = Counters(), History()
    kept.add(0.0, {})
    count(counters, ("a", 200, 0.01, 0, 0, "", "web"))
    kept.add(0.5, all_of(counters))
    seconds, (series,) = kept.since(0.5, 60.0)
    assert (seconds, series.requests, series.callers["web"].requests) == (0.5, 1, 1)
    assert History().since(1.0, 60.0) == (0.0, ())


def test_the_past_is_forgotten() -> None:
    """A quarter of an hour after its last request nothing is told or kept of a series."""
    counters, kept = Counters(), History()
    kept.add(0.0, {})
    for second in range(1, 11):
        count(counters, ("a", 200, 0.01, 0, 0, "", ""))
        kept.add(float(second), all_of(counters))
    assert kept.size > 0
    for second in range(11, 11 + int(SPAN + 2 * LONG)):
        kept.add(float(second), all_of(counters))
    assert kept.size == 0
    assert kept.since(second, SPAN)[1] == ()


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """With more busy series than there is room for a shorter time is told, which says how short."""
    monkeypatch.setattr(history, "MOST", 20_000)
    counters, kept = Counters(), History()
    kept.add(0.0, {})
    for number in range(1, 100):
        for route in range(50):
            counters.series(f"route-{route}", "s", "v").record(200, 0.01, 1, 1)
        kept.add(number * EVERY, all_of(counters))
    assert kept.size <= 2 * 20_000
    seconds, series = kept.since(99 * EVERY, SPAN)
    assert LONG <= seconds < 20 * LONG
    assert {each.requests for each in series} == {round(seconds / EVERY)}
    assert len(series) == 50


def test_short_slices_that_went_are_told_from_long_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    """With no room for a window in short slices the long ones tell of it: nothing is missing as long as these reach."""
    counters, kept = Counters(), History()
    kept.add(0.0, {})
    monkeypatch.setattr(history, "MOST", 8_000)
    for number in range(1, 21):
        for route in range(50):
            counters.series(f"route-{route}", "s", "v").record(200, 0.01, 1, 1)
        kept.add(number * EVERY, all_of(counters))
    for window in (5.0, 60.0, 100.0):
        seconds, series = kept.since(100.0, window)
        assert seconds >= window
        assert {each.requests for each in series} == {round(seconds / EVERY)}
