"""A worker's counts are complete, bounded and survive a new snapshot."""

from __future__ import annotations

import sys
from types import FrameType

import pytest

from meshctl.observe.counters import MOST_RETIRED, Counters
from meshctl.observe.sample import CLASSES, UNCONFIGURED, Sample, decode, encode
from meshctl.observe.series import MOST_CALLERS, MOST_REASONS, Series
from meshctl.wire.reasons import CUT_OFF


def statuses(**expected: int) -> tuple[int, ...]:
    named = {name.strip("_"): count for name, count in expected.items()}
    return tuple(named.get(name, 0) for name in CLASSES)


@pytest.mark.parametrize(
    ("status", "name"),
    [
        (0, "none"),
        (101, "1xx"),
        (200, "2xx"),
        (304, "3xx"),
        (404, "4xx"),
        (499, "4xx"),
        (500, "5xx"),
        (600, "5xx"),
        (999, "5xx"),
    ],
)
def test_status_classes(status: int, name: str) -> None:
    """Every status a parser lets through has its class; what no class is meant for counts as a server's error."""
    series = Series(("r", "s", "v"))
    series.record(status, 0.01, 0, 0)
    assert statuses(**{f"_{name}": 1}) == series.freeze().statuses


def test_a_request_is_counted_with_all_it_brought() -> None:
    """Bytes, latency, class and reason of each request are in the sample; upstream answers have no reason."""
    series = Series(("r", "s", "v"))
    series.record(200, 0.020, 10, 1000)
    series.record(503, 0.001, 5, 200, "breaker_open")
    sample = series.freeze()
    assert (sample.requests, sample.errors, sample.received, sample.sent) == (2, 1, 15, 1200)
    assert {"breaker_open": statuses(_5xx=1)} == sample.reasons
    assert sample.latency.count == 2
    assert sample.latency.seconds == pytest.approx(0.021)


def test_answers_that_are_cut_off_have_failed() -> None:
    """What an endpoint begins and does not end is an error, once; what a client leaves is none."""
    series = Series(("r", "s", "v"))
    for status, reason in ((200, CUT_OFF), (404, CUT_OFF), (500, CUT_OFF), (200, "client_gone"), (200, "")):
        series.record(status, 0.01, 0, 0, reason)
    assert (series.freeze().requests, series.freeze().errors) == (5, 3)


def test_requests_that_clients_give_up() -> None:
    """Who leaves before an answer has neither succeeded nor failed; who leaves in its middle has had one."""
    series = Series(("r", "s", "v"))
    for status, reason in ((499, "client_gone"), (200, "client_gone"), (499, "")):
        series.record(status, 0.01, 0, 0, reason)
    assert (series.freeze().requests, series.freeze().errors, series.freeze().given_up) == (3, 0, 1)


def test_many_requests() -> None:
    """What is counted many at once is complete whenever somebody looks, whatever the statuses, and what waits for that
    is bounded also where an upstream has one status after the other."""
    series = Series(("r", "s", "v"))
    for number in range(3_000):
        series.record(100 + number % 900, 0.0001 * (1 + number % 7), 0, 1)
        waiting = {id(each): len(each) for each in series._waiting.values()}
        assert len(waiting) <= 9
        assert max(waiting.values()) < 300
        if number % 701 == 0:
            assert (series.requests, series.freeze().requests) == (number + 1, number + 1)
    sample = series.freeze()
    ones = [each for each in range(3_000) if 100 + each % 900 < 200]
    assert sample.statuses[1] == len(ones)
    assert (sample.requests, sample.sent, sample.latency.count) == (3_000, 3_000, 3_000)
    assert sample.latency.seconds == pytest.approx(sum(0.0001 * (1 + number % 7) for number in range(3_000)))


def test_reasons_are_bounded() -> None:
    """However many reasons are given, only so many are told apart, and none is lost."""
    series = Series(("r", "", ""))
    for number in range(MOST_REASONS * 2):
        series.record(403, 0.001, 0, 0, f"denied:{number}")
    reasons = series.freeze().reasons
    assert len(reasons) == MOST_REASONS + 1
    assert sum(reasons["other"]) == MOST_REASONS
    assert sum(sum(counts) for counts in reasons.values()) == series.requests


def test_a_sample_does_not_change_afterwards() -> None:
    """What is counted after a sample was taken is not in it, but in the next; an idle series gives the same object."""
    counters = Counters()
    counters.series("r").record(404, 0.01, 0, 0, "no_route")
    counters.service("s").connect("ok")
    counters.refuse("bad_request")
    first = counters.export()
    assert counters.export().series[0] is first.series[0]
    counters.series("r").record(404, 0.01, 0, 0, "no_route")
    counters.service("s").connect("ok")
    counters.refuse("bad_request")
    second = counters.export()
    assert (first.requests, second.requests) == (1, 2)
    assert ({"no_route": statuses(_4xx=1)}, {"no_route": statuses(_4xx=2)}) == (
        first.series[0].reasons,
        second.series[0].reasons,
    )
    assert (first.services[0].connects, second.services[0].connects) == ({"ok": 1}, {"ok": 2})
    assert (first.refusals, second.refusals) == ({"bad_request": 1}, {"bad_request": 2})


def test_names_outlive_snapshots() -> None:
    """The same name gives the same counters, so that a new snapshot goes on counting."""
    counters = Counters()
    assert counters.series("r", "s", "v1") is counters.series("r", "s", "v1")
    assert counters.series("r", "s", "v1") is not counters.series("r", "s", "v2")
    assert counters.service("s") is counters.service("s")


def test_idle_series_are_not_sent() -> None:
    """A series without a request costs nothing in a sample: a gateway may have ten thousand routes."""
    counters = Counters()
    counters.series("idle", "s", "v")
    counters.series("busy", "s", "v").record(200, 0.1, 0, 0)
    assert [series.key for series in counters.export().series] == [("busy", "s", "v")]


def test_retired_series_are_bounded() -> None:
    """Series whose route has gone are kept up to a number, the newest ones; live ones always are."""
    counters = Counters()
    counters.series("live").record(200, 0.1, 0, 0)
    for number in range(MOST_RETIRED + 10):
        counters.series(f"old-{number}").record(200, 0.1, 0, 0)
    counters.retire({("live", "", "")}, ())
    kept = [series.route for series in counters.export().series]
    assert kept[:2] == ["live", "old-10"]
    assert len(kept) == MOST_RETIRED + 1


def test_retired_services_are_bounded() -> None:
    """So are services that have gone, and what became of requests at the caches of routes that have; those that are
    there, whether or not a route leads to them, and what leaves the mesh, stay the ones that are counted on."""
    counters = Counters()
    kept = [counters.service(name) for name in ("egress", "unrouted", "routed")]
    for number in range(MOST_RETIRED + 10):
        counters.service(f"old-{number}")
        counters.cached(f"old-{number}", "hit")
    counters.cached("live", "hit")
    counters.retire({("live", "routed", ""), *UNCONFIGURED}, {"unrouted"})
    assert [counters.service(name) for name in ("egress", "unrouted", "routed")] == kept
    found = counters.export()
    assert [each.service for each in found.services][3:5] == ["old-10", "old-11"]
    assert (len(found.services), len(found.cached)) == (MOST_RETIRED + 3, MOST_RETIRED + 1)
    assert found.cached["live"] == {"hit": 1}


def test_the_way_to_the_supervisor() -> None:
    """A sample arrives as it was sent."""
    counters = Counters()
    counters.connections, counters.in_flight, counters.accepted = 3, 2, 9
    counters.handshake_failures, counters.log_dropped = 4, 5
    counters.series("r", "s", "v").record(503, 0.1, 1, 2, "no_endpoint")
    counters.service("s").retry("budget")
    counters.service("s").eject()
    counters.refuse("connections")
    sent = counters.export()
    assert sent == decode(encode(sent))
    assert (
        sent.connections,
        sent.in_flight,
        sent.accepted,
        sent.handshake_failures,
        sent.log_dropped,
    ) == (3, 2, 9, 4, 5)
    assert (sent.services[0].retries, sent.services[0].ejections) == ({"budget": 1}, 1)
    assert Sample() == decode(encode(Sample()))


def test_callers_beyond_the_bound_cost_no_more() -> None:
    """Nothing is made anew for each request of a caller that is not told apart."""
    series = Series(("r", "s", "v"))
    for number in range(MOST_CALLERS + 1):
        series.of(f"c{number}")
    called: list[str] = []

    def note(frame: FrameType, event: str, _: object) -> None:
        if event == "call":
            called.append(frame.f_code.co_name)

    before = sys.getprofile()
    sys.setprofile(note)
    found = series.of("late")
    sys.setprofile(before)
    assert (called, found is series.of("later"), found is series.of("c1")) == (["of"], True, False)
