"""Rates are those of the last ten seconds, whenever samples come."""

from __future__ import annotations

import pytest

from meshctl.observe.counters import Counters
from meshctl.observe.histogram import Distribution
from meshctl.observe.marks import Marks
from meshctl.observe.window import Window


def serve(counters: Counters, count: int, *, route: str = "r", status: int = 200, seconds: float = 0.01) -> None:
    for _ in range(count):
        counters.series(route, "s", "v").record(status, seconds, 0, 0)


def test_rates_of_a_steady_stream() -> None:
    """Twenty requests a second, a quarter of them errors, are told as that, with the latencies of both kinds."""
    counters, window = Counters(), Window()
    window.add(100.0, counters.export())
    for second in range(1, 31):
        serve(counters, 15, seconds=0.010)
        serve(counters, 5, status=503, seconds=1.0)
        window.add(100.0 + second, counters.export())
    fare = window.fares(130.0)["r"]
    assert fare.rps == pytest.approx(20.0)
    assert fare.errors == pytest.approx(0.25)
    assert fare.p50 == pytest.approx(0.010, rel=0.07)
    assert fare.p95 == pytest.approx(1.0, rel=0.07)
    assert fare.p99 == pytest.approx(1.0, rel=0.07)


def test_the_past_is_forgotten() -> None:
    """Ten seconds after its last request a route is as if it had none, and nothing is kept of it."""
    counters, window = Counters(), Window()
    window.add(0.0, counters.export())
    serve(counters, 50)
    window.add(1.0, counters.export())
    assert window.fares(10.9)["r"].requests == 50
    assert window.fares(11.0) == {}


def test_what_was_counted_before_the_first_sample_is_not_a_rate() -> None:
    """A supervisor that begins to look does not take a worker's whole past for the last second."""
    counters, window = Counters(), Window()
    serve(counters, 1000)
    window.add(0.0, counters.export())
    serve(counters, 3)
    window.add(1.0, counters.export())
    assert window.fares(1.0)["r"].rps == pytest.approx(3.0)


def test_samples_at_any_moment_neither_lose_nor_crowd() -> None:
    """A hundred samples a second give the same rates as one, and no more slices are kept."""
    counters, window = Counters(), Window()
    window.add(0.0, counters.export())
    for step in range(1, 2001):
        serve(counters, 1)
        window.add(step / 100, counters.export())
    assert window.fares(20.0)["r"].rps == pytest.approx(100.0)
    assert int(repr(window).split()[1]) <= 12


def test_routes_are_told_apart_and_versions_are_not() -> None:
    """A route's fare is that of all its versions; routes without requests are not named."""
    counters, window = Counters(), Window()
    serve(counters, 1, route="idle")
    window.add(0.0, counters.export())
    counters.series("r", "s", "v1").record(200, 0.01, 0, 0)
    counters.series("r", "s", "v2").record(500, 0.01, 0, 0)
    serve(counters, 2, route="other")
    window.add(2.0, counters.export())
    fares = window.fares(2.0)
    assert {"r", "other"} == set(fares)
    assert (fares["r"].requests, fares["r"].rps, fares["r"].errors) == (2, 1.0, 0.5)


def test_what_clients_give_up_is_told_apart() -> None:
    """It is among a version's requests, and not among those of which a route's share of errors is."""
    counters, window = Counters(), Window()
    window.add(0.0, counters.export())
    counters.series("r", "s", "v").record(499, 1.0, 0, 0, "client_gone")
    counters.series("r", "s", "v").record(500, 0.1, 0, 0)
    window.add(1.0, counters.export())
    (version,) = window.versions(1.0, "s")
    for tally in (version.total, version.minute):
        assert (tally.requests, tally.errors, tally.given_up) == (2, 1, 1)
    assert window.fares(1.0)["r"].errors == 1.0


def test_a_series_that_begins_anew() -> None:
    """A series that was forgotten and came back counts from zero, and never below."""
    window, old, new = Window(), Counters(), Counters()
    serve(old, 10, status=503)
    window.add(0.0, old.export())
    serve(new, 4)
    window.add(1.0, new.export())
    assert (window.fares(1.0)["r"].requests, window.fares(1.0)["r"].errors) == (4, 0.0)


def test_versions_of_the_last_minute() -> None:
    """A version's requests over all routes are told for the last minute and since the start; other services' and
    requests that came to no version are not among them."""
    counters, window = Counters(), Window()
    window.add(0.0, counters.export())
    for second in range(1, 101):
        counters.series("a", "s", "v1").record(200, 0.01, 0, 0)
        counters.series("b", "s", "v1").record(200, 0.01, 0, 0)
        counters.series("b", "s", "v2").record(503, 0.1, 0, 0)
        counters.series("b", "s", "").record(503, 0.1, 0, 0)
        counters.series("b", "other", "v3").record(200, 0.1, 0, 0)
        window.add(float(second), counters.export())
    told = {each.version: each for each in window.versions(100.0, "s")}
    assert {version: (each.total.requests, each.total.errors) for version, each in told.items()} == {
        "v1": (200, 0),
        "v2": (100, 100),
    }
    assert told["v2"].minute.requests == pytest.approx(60, abs=6)
    assert told["v1"].minute.requests == 2 * told["v2"].minute.requests
    assert told["v2"].minute.errors == told["v2"].minute.requests
    assert told["v2"].total.latency.quantile(0.99) == pytest.approx(0.1, rel=0.07)
    assert told["v2"].minute.latency.count == pytest.approx(60, abs=16)
    (later,) = (each for each in window.versions(170.0, "s") if each.version == "v2")
    assert (later.total.requests, later.minute.requests) == (100, 0)


def test_latencies_of_the_last_minute() -> None:
    """How long a version's requests took is told of the last minute or a little more, not of what was before."""
    counters, window = Counters(), Window()
    window.add(0.0, counters.export())
    for second in range(1, 201):
        counters.series("a", "s", "v1").record(200, 1.0 if second <= 120 else 0.01, 0, 0)
        counters.series("b", "s", "v1").record(200, 1.0 if second <= 120 else 0.02, 0, 0)
        window.add(float(second), counters.export())
        if second == 100:
            (early,) = window.versions(100.0, "s")
    (late,) = window.versions(200.0, "s")
    assert early.minute.latency.quantile(0.5) == pytest.approx(1.0, rel=0.07)
    assert late.minute.latency.quantile(0.4) == pytest.approx(0.01, rel=0.07)
    assert late.minute.latency.quantile(0.99) == pytest.approx(0.02, rel=0.07)
    assert late.total.latency.quantile(0.5) == pytest.approx(1.0, rel=0.07)


def test_marks_are_few() -> None:
    """However often sums are offered, a handful are kept."""
    marks: Marks[str] = Marks(60.0)
    made = []
    for step in range(10_000):
        marks.offer(step / 10, lambda: made.append(1) or {"a": Distribution(0, (len(made),))})  # type: ignore[func-returns-value]
    assert len(made) == pytest.approx(1000 / 15, abs=2)
    assert repr(marks) == "<Marks 5 in 60 s>"
