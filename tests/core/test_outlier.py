"""Ejection and active checks of endpoints, alone and among their peers."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meshctl.core import outlier
from meshctl.core.outlier import EndpointHealth, most_resting, next_return, usable
from meshctl.core.row import KEPT
from meshctl.model.policy import Ejection, HealthCheck

DEFAULT = Ejection()
CHECK = HealthCheck(healthy=2, unhealthy=3)


@dataclass(eq=False)
class Endpoint:
    health: EndpointHealth


def group(count: int, ejection: Ejection = DEFAULT, check: HealthCheck | None = None) -> list[EndpointHealth]:
    return [EndpointHealth(ejection, check) for _ in range(count)]


def fail(health: EndpointHealth, peers: list[EndpointHealth], now: float, times: int = 5) -> bool:
    """Whether one of `times` failures ejected it; the first is its trial where it is on trial."""
    found = [health.failed("connect", now, peers, trial=health.begin_trial(now)) for _ in range(times)]
    return any(found)


def prove(health: EndpointHealth, now: float) -> None:
    """Have its trial pass."""
    assert health.end_trial(health.begin_trial(now), now, is_passed=True)


# --- ejection ---------------------------------------------------------------------------------------------------------


def test_ejected_after_failures_in_a_row() -> None:
    """The fifth failure in a row ejects, not the fourth; the state says so, with reason and end."""
    peers = group(2)
    health = peers[0]
    assert [health.failed("reset", 100.0, peers) for _ in range(5)] == [False] * 4 + [True]
    assert (health.state(100.0), health.until) == ("ejected", 110.0)
    assert health.reason(100.0) == "5 failures in a row: reset"
    assert not health.available(109.999)


def test_a_success_ends_the_streak() -> None:
    """Failures with a success in between never eject."""
    peers = group(2)
    for _ in range(10):
        assert not fail(peers[0], peers, 0.0, times=4)
        peers[0].succeeded()
    assert peers[0].available(0.0)


def test_returns_by_a_trial() -> None:
    """When its rest is over an endpoint is available again, for a single request; when that passes its share grows from
    a tenth to the whole, and then no reason is left to show."""
    peers = group(2)
    health = peers[0]
    assert fail(health, peers, 100.0)
    assert (health.begin_trial(109.9), health.available(110.0), health.state(110.0)) == (0, True, "half_open")
    assert "5 failures in a row: connect" in health.reason(110.0)
    trial = health.begin_trial(110.0)
    assert trial
    assert health.begin_trial(110.0) == 0
    assert health.end_trial(trial, 111.0, is_passed=True)
    assert (health.state(111.0), health.ends(111.0)) == ("ramping", 121.0)
    assert "5 failures in a row: connect" in health.reason(111.0)
    shares = [health.share(111.0 + seconds) for seconds in range(12)]
    assert shares == sorted(shares)
    assert (shares[0], shares[5], shares[10], shares[11]) == (0.1, pytest.approx(0.55), 1.0, 1.0)
    assert (health.state(121.0), health.reason(121.0), health.ends(121.0)) == ("healthy", "", 0.0)
    assert not fail(health, peers, 121.0, times=4)


def test_a_trial_that_fails_is_a_longer_rest() -> None:
    """One failed trial ejects for twice the time; failures of requests from before say nothing."""
    peers = group(2)
    health = peers[0]
    assert fail(health, peers, 100.0)
    trial = health.begin_trial(110.0)
    assert not any(health.failed("late", 110.0, peers) for _ in range(10))
    assert health.failed("reset", 112.0, peers, trial=trial)
    assert (health.until, health.reason(112.0)) == (132.0, "failed again after its rest: reset")
    assert not health.end_trial(trial, 133.0, is_passed=True), "of an earlier rest"
    assert health.state(133.0) == "half_open"


def test_a_trial_that_proves_nothing_is_given_back() -> None:
    """A request that ends without an answer makes room for another trial."""
    peers = group(2)
    health = peers[0]
    assert fail(health, peers, 100.0)
    for _ in range(3):
        assert not health.end_trial(health.begin_trial(110.0), 110.0, is_passed=False)
    assert [health.begin_trial(110.0, is_limited=False) for _ in range(3)] == [health.trial] * 3
    assert health.begin_trial(110.0) == 0


def test_ejected_by_a_share_of_failures() -> None:
    """Half of at least twenty requests within the window eject, though never five in a row fail; fewer requests do not,
    nor what is long past."""
    peers = group(2, Ejection(rate=0.5, window=10))
    health = peers[0]

    def work(now: float, times: int) -> bool:
        found = []
        for _ in range(times):
            health.count(now, 2)
            health.succeeded()
            found.append(health.failed("status 500", now, peers))
        return any(found)

    assert not work(100.0, 9)
    assert not work(120.0, 9)
    assert work(120.0, 1)
    assert health.reason(120.0) == "10 of 20 requests failed in the last 10s: status 500"
    prove(health, 130.0)
    assert not work(130.0, 9)


def test_no_share_where_none_is_asked() -> None:
    """By default half of all requests may fail as long as no five in a row do."""
    peers = group(2)
    for _ in range(100):
        peers[0].count(0.0, 2)
        assert not peers[0].failed("status 500", 0.0, peers)
        peers[0].succeeded()


def test_late_answers_change_nothing() -> None:
    """Answers that arrive during the rest neither prolong nor end it."""
    peers = group(2)
    assert fail(peers[0], peers, 100.0)
    assert not fail(peers[0], peers, 105.0, times=20)
    peers[0].succeeded()
    assert peers[0].until == 110.0
    assert peers[0].is_ejected(109.0)


def test_rests_double_up_to_the_longest() -> None:
    """Each ejection soon after the last rests twice as long, up to the longest."""
    peers = group(2, Ejection(base=10, longest=60))
    now, rests = 0.0, []
    for _ in range(5):
        assert fail(peers[0], peers, now)
        assert peers[0].reason(now).endswith(": connect")
        rests.append(peers[0].until - now)
        now = peers[0].until
    assert rests == [10, 20, 40, 60, 60]


@pytest.mark.parametrize(("served", "expected"), [(19.9, 40), (20.0, 10)])
def test_good_service_starts_over(served: float, expected: float) -> None:
    """An endpoint that served as long as it last rested is ejected for the shortest rest again, a shorter service
    doubles."""
    peers = group(2)
    assert fail(peers[0], peers, 0.0)
    assert fail(peers[0], peers, 10.0)
    assert peers[0].until == 30.0
    prove(peers[0], 30.0)
    assert fail(peers[0], peers, 30.0 + served)
    assert peers[0].until == pytest.approx(30.0 + served + expected)


def test_ten_thousand_ejections() -> None:
    """An endpoint that never recovers rests for the longest time for ever; doubling does not overflow."""
    peers, now = group(2), 0.0
    for _ in range(10_000):
        assert fail(peers[0], peers, now)
        now = peers[0].until
    assert fail(peers[0], peers, now)
    assert peers[0].until - now == 300


@pytest.mark.parametrize(
    ("count", "share", "expected"),
    [
        (1, 0.5, 0),
        (2, 0.5, 1),
        (3, 0.5, 1),
        (4, 0.5, 2),
        (10, 0.5, 5),
        (3, 0.1, 1),
        (10, 0.1, 1),
        (3, 1.0, 2),
        (5, 0.0, 0),
    ],
)
def test_only_a_share_rests(count: int, share: float, expected: int) -> None:
    """Where every endpoint fails, at most the share rests, one always may, and the last one never does."""
    peers = group(count, Ejection(share=share))
    for each in peers:
        fail(each, peers, 0.0, times=50)
    assert sum(each.is_ejected(0.0) for each in peers) == expected


@pytest.mark.parametrize(
    ("count", "share", "expected"), [(100, 0.29, 29), (100, 0.5, 50), (3, 0.5, 1), (1, 0.01, 1), (7, 0, 0)]
)
def test_most_resting(count: int, share: float, expected: int) -> None:
    """The share is rounded down, to no less than one, and binary fractions do not lose an endpoint."""
    assert most_resting(count, share) == expected


def test_the_last_available_is_never_ejected() -> None:
    """An endpoint whose peers are all unhealthy by checks stays, however often it fails."""
    peers = group(3, check=HealthCheck(unhealthy=1))
    for each in peers[1:]:
        each.checked(False, "status 500")
    assert not fail(peers[0], peers, 0.0, times=100)


@pytest.mark.parametrize(
    ("absences", "is_spare", "expected"),
    [
        ("aaaaa", True, True),
        ("aaaaa", False, False),
        ("aaaae", True, False),
        ("eaaaa", True, False),
        ("eaaaaaaaaa", True, True),
        ("eeeeeaaaaa", True, True),
        ("eeeee", True, False),
    ],
)
@pytest.mark.parametrize("count", [1, 3])
def test_nobody_there(absences: str, is_spare: bool, expected: bool, count: int) -> None:
    """Endpoints where nobody answers rest, be it the last one or beyond the share, as soon as they have failed that way
    often enough in a row and another version serves in their place; an application's errors (e) change nothing."""
    peers = group(count, Ejection(share=0))
    for health in peers:
        for each in absences:
            health.failed("connect", 0.0, peers, is_absent=each == "a", is_spare=is_spare)
    assert [each.is_ejected(0.0) for each in peers] == [expected] * count


def test_asked_again_when_peers_allow() -> None:
    """A failing endpoint that could not be ejected is, once its peers can do without it."""
    peers = group(2)
    assert fail(peers[1], peers, 0.0)
    assert not fail(peers[0], peers, 5.0)
    assert fail(peers[0], peers, 10.0)


def test_disabled_never_ejects() -> None:
    """With ejection off nothing is ejected, and switching it off ends a rest."""
    peers = group(2, Ejection(enabled=False))
    assert not fail(peers[0], peers, 0.0, times=100)
    peers = group(2)
    assert fail(peers[0], peers, 0.0)
    peers[0].configure(Ejection(enabled=False), None)
    assert peers[0].available(0.0)


# --- active checks ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("results", "state", "changes"),
    [
        ("", "unknown", 0),
        ("+", "unknown", 0),
        ("++", "healthy", 1),
        ("--", "unknown", 0),
        ("---", "unhealthy", 1),
        ("--+--", "unknown", 0),
        ("++--+--", "healthy", 1),
        ("++---", "unhealthy", 2),
        ("---+", "unhealthy", 1),
        ("---+-+-+", "unhealthy", 1),
        ("-----++", "healthy", 2),
        ("---++---", "unhealthy", 3),
    ],
)
def test_checks(results: str, state: str, changes: int) -> None:
    """Two passes in a row make an endpoint healthy and three failures unhealthy; nothing in between does."""
    (health,) = group(1, check=CHECK)
    assert sum(health.checked(result == "+", "timeout") for result in results) == changes
    assert health.state(0.0) == state
    assert health.available(0.0) == (state != "unhealthy")


def test_unhealthy_says_why() -> None:
    """The reason names how many checks failed and how the last one did, and goes when it recovers."""
    (health,) = group(1, check=CHECK)
    for reason in ("timeout", "timeout", "status 503"):
        health.checked(False, reason)
    assert health.reason(0.0) == "3 failed checks in a row: status 503"
    assert health.checked(True) or health.checked(True)
    assert health.reason(0.0) == ""


def test_passing_checks_do_not_end_a_rest() -> None:
    """An ejected endpoint stays away though its checks pass; what keeps both out is told apart."""
    peers = group(2, check=CHECK)
    assert fail(peers[0], peers, 0.0)
    for _ in range(3):
        peers[0].checked(False, "timeout")
    assert (peers[0].state(5.0), peers[0].reason(5.0)) == ("unhealthy", "3 failed checks in a row: timeout")
    peers[0].checked(True)
    peers[0].checked(True)
    assert (peers[0].state(5.0), peers[0].reason(5.0)) == ("ejected", "5 failures in a row: connect")
    assert peers[0].available(10.0)


def test_reconfigured() -> None:
    """Dropping the check makes an endpoint healthy, adding one makes it unknown, changing its thresholds keeps the
    state."""
    (health,) = group(1, check=HealthCheck(unhealthy=1))
    health.checked(False, "timeout")
    health.configure(Ejection(), HealthCheck(healthy=5))
    assert health.state(0.0) == "unhealthy"
    health.configure(Ejection(), None)
    assert health.state(0.0) == "healthy"
    assert not health.checked(False, "a check that was on its way")
    health.configure(Ejection(), CHECK)
    assert health.state(0.0) == "unknown"


# --- all endpoints of a version ---------------------------------------------------------------------------------------


def test_usable_are_those_available() -> None:
    """Endpoints that rest or are unhealthy get nothing while another one is available."""
    peers = group(3, check=HealthCheck(unhealthy=1))
    endpoints = [Endpoint(each) for each in peers]
    fail(peers[0], peers, 0.0)
    peers[1].checked(False)
    assert usable(endpoints, 1.0) == [endpoints[2]]
    assert usable(endpoints, 10.0) == [endpoints[0], endpoints[2]]


def test_the_ejected_come_back_when_all_others_are_down() -> None:
    """Where no endpoint is available, those merely ejected are used before their time."""
    peers = group(2, check=HealthCheck(unhealthy=1))
    endpoints = [Endpoint(each) for each in peers]
    assert fail(peers[0], peers, 0.0)
    peers[1].checked(False)
    assert usable(endpoints, 1.0) == [endpoints[0]]


@pytest.mark.parametrize("panic", [False, True])
def test_all_unhealthy(panic: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where active checks fail everywhere nothing is used, unless the constant says otherwise."""
    monkeypatch.setattr(outlier, "PANIC", panic)
    endpoints = [Endpoint(each) for each in group(2, check=HealthCheck(unhealthy=1))]
    for each in endpoints:
        each.health.checked(False)
    assert usable(endpoints, 0.0) == (endpoints if panic else [])


def test_the_shipped_rule_fails_closed() -> None:
    """As shipped, a version whose checks all fail takes no traffic."""
    assert outlier.PANIC is False


def test_next_return() -> None:
    """The next change by time alone is the end of the first rest; none where nobody rests."""
    peers = group(4)
    endpoints = [Endpoint(each) for each in peers]
    assert next_return(endpoints, 0.0) is None
    fail(peers[0], peers, 3.0)
    fail(peers[1], peers, 1.0)
    assert next_return(endpoints, 4.0) == 11.0
    assert next_return(endpoints, 11.0) == 13.0
    assert next_return(endpoints, 13.0) is None


events = st.tuples(
    st.sampled_from(["fail", "fail", "late", "try", "give back", "succeed", "up", "down", "wait"]), st.integers(0, 4)
)


@settings(max_examples=150)
@given(st.integers(1, 5), st.sampled_from([0.1, 0.5, 1.0]), st.lists(events, max_size=60))
def test_never_ejects_itself_away(count: int, share: float, happened: list[tuple[str, int]]) -> None:
    """Whatever happens, no ejection exceeds the share or takes the last available endpoint, unless checks fail
    everywhere somebody is usable, nobody on trial has more requests than it may, and all come back."""
    peers = group(count, Ejection(failures=1, share=share, base=5, longest=40), HealthCheck(healthy=1, unhealthy=1))
    endpoints, now = [Endpoint(each) for each in peers], 0.0
    trials: dict[EndpointHealth, list[int]] = {each: [] for each in peers}
    for event, number in happened:
        health = peers[number % count]
        if event == "wait":
            now += number * 3
        elif event == "try":
            if trial := health.begin_trial(now):
                trials[health].append(trial)
            assert sum(each == health.trial for each in trials[health]) <= outlier.TRIALS
        elif event == "give back" and trials[health]:
            health.end_trial(trials[health].pop(), now, is_passed=False)
        elif event == "succeed":
            health.succeeded()
            for trial in trials[health]:
                health.end_trial(trial, now, is_passed=True)
            trials[health].clear()
        elif event in ("up", "down"):
            health.checked(event == "up")
        elif event == "late" or not health.is_on_trial(now) or trials[health]:
            trial = trials[health].pop() if event == "fail" and trials[health] else 0
            if health.failed("reset", now, peers, trial=trial):
                assert any(each.available(now) for each in peers)
                assert sum(each.is_ejected(now) for each in peers) <= most_resting(count, share)
            health.end_trial(trial, now, is_passed=False)
        assert bool(usable(endpoints, now)) != all(each.is_unhealthy for each in peers)
    for health in peers:
        for trial in trials[health]:
            health.end_trial(trial, now, is_passed=False)
        health.checked(True)
        health.end_trial(health.begin_trial(now + 40.0), now + 40.0, is_passed=True)
    assert {each.state(now + 50.0) for each in peers} == {"healthy"}


def test_failures_in_a_row_are_told_for_a_while() -> None:
    """They are counted where nothing is ejected too, until a request is answered, and told of as long as they mean
    something."""
    health = EndpointHealth(Ejection(enabled=False))
    for at in range(7):
        health.failed("upstream_connect", float(at), ())
    assert health.row.told(6.0) == (7, "upstream_connect")
    assert health.row.told(6.0 + KEPT) == (0, "")
    health.succeeded()
    assert health.row.told(6.0) == (0, "")
