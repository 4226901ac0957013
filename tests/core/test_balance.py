"""Balancing policies: weights, load, stickiness, second choices, and what latencies leave behind."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from itertools import pairwise
from math import exp

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meshctl.core.balance import BALANCERS, decayed, observe
from meshctl.core.turns import whole_shares

from .candidate import Endpoint, endpoints, scripted, seeded

POLICIES = sorted(BALANCERS)
KEYS = [f"user-{number}" for number in range(10_000)]


@pytest.mark.parametrize("policy", POLICIES)
def test_no_candidates(policy: str) -> None:
    """Without an endpoint that has a weight there is nothing to pick."""
    for candidates in ([], endpoints(0, 0)):
        balancer = BALANCERS[policy](candidates)
        assert balancer.pick("k", seeded()) is None
        assert balancer.pick(None, seeded()) is None
        assert balancer.pick_other("k", seeded(), ()) is None


@pytest.mark.parametrize("policy", POLICIES)
def test_one_candidate(policy: str) -> None:
    """A single endpoint takes everything, and there is no other one to try."""
    (only,) = candidates = endpoints(3)
    balancer = BALANCERS[policy](candidates)
    assert {only} == {balancer.pick(key, seeded()) for key in ("a", "b", None)}
    assert balancer.pick_other("a", seeded(), {only}) is None


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize(
    "weights", [(1, 1, 1, 1), (3, 1), (90, 10), (0.5, 0.25, 0.25), (5, 0, 1), (1, 0.1, 1), (7, 3, 2, 1)]
)
def test_weights_are_respected(policy: str, weights: tuple[float, ...]) -> None:
    """Over many requests to idle endpoints each gets its weight's share, and weight 0 gets nothing."""
    candidates = endpoints(*weights)
    balancer, dice = BALANCERS[policy](candidates), seeded()
    # A ring of 128 points for the heaviest is exact to about a tenth; the others to the noise of the draw.
    tolerance = 0.1 if policy == "hash" else 0.02
    counts = Counter(balancer.pick(key, dice).address for key in KEYS)
    for each in candidates:
        assert counts[each.address] / len(KEYS) == pytest.approx(each.weight / sum(weights), abs=tolerance)
    assert not {each.address for each in candidates if not each.weight} & counts.keys()


@pytest.mark.parametrize("policy", POLICIES)
@given(seed=st.integers(0, 1000), count=st.integers(2, 5), uneven=st.booleans())
@settings(max_examples=50)
def test_pick_other_never_repeats(policy: str, seed: int, count: int, uneven: bool) -> None:
    """Retries visit every endpoint once, then find none left."""
    candidates = endpoints(*(1 + 9 * uneven * index for index in range(count)))
    balancer, dice = BALANCERS[policy](candidates), seeded(seed)
    tried: list[Endpoint] = [balancer.pick(f"key-{seed}", dice)]
    while (other := balancer.pick_other(f"key-{seed}", dice, tried)) is not None:
        assert other not in tried
        tried.append(other)
    assert len(tried) == count


# --- round robin ------------------------------------------------------------------------------------------------------


def rounds(weights: tuple[float, ...], count: int, start: int = 0) -> str:
    balancer = BALANCERS["round_robin"](endpoints(*weights), start)
    return "".join(balancer.pick(None, seeded()).address[1] for _ in range(count))


def test_round_robin_takes_turns() -> None:
    """Equal endpoints are taken in order, from the place a worker starts at."""
    assert rounds((1, 1, 1), 7) == "0120120"
    assert rounds((1, 1, 1), 4, start=2) == "2012"
    assert rounds((1, 1, 1), 4, start=5) == "2012"


@given(st.lists(st.integers(1, 9), min_size=2, max_size=6))
def test_round_robin_is_exact_and_smooth(weights: list[int]) -> None:
    """One round gives each endpoint exactly its weight, and each other may come at most once more than its share
    between two turns of an endpoint."""
    length = sum(weights)
    taken = rounds(tuple(weights), 2 * length)
    assert Counter(taken) == {str(index): 2 * weight for index, weight in enumerate(weights)}
    for index, weight in enumerate(weights):
        places = [place for place, name in enumerate(taken) if name == str(index)]
        longest = max((b - a for a, b in pairwise(places)), default=0)
        assert longest <= length / weight + len(weights)


@pytest.mark.parametrize(
    ("weights", "expected"),
    [((1, 1), [1, 1]), ((90, 10), [9, 1]), ((0.5, 0.75), [2, 3]), ((1, 1.5, 2), [2, 3, 4]), ((1, 1000), [1, 1000])],
)
def test_whole_shares_exact(weights: tuple[float, ...], expected: list[int]) -> None:
    """A ratio of small whole numbers is kept exactly."""
    assert whole_shares(weights) == expected


@given(st.lists(st.floats(0.001, 1000), min_size=1, max_size=20))
def test_whole_shares_are_close(weights: list[float]) -> None:
    """Any ratio is kept to within a slot or two of a round, which stays short."""
    shares = whole_shares(weights)
    assert sum(shares) <= 1024 + 2 * len(weights)
    for weight, share in zip(weights, shares, strict=True):
        assert share >= 1
        assert share / sum(shares) == pytest.approx(weight / sum(weights), abs=0.03)


# --- least load -------------------------------------------------------------------------------------------------------


def share_of_first(first: Endpoint, *others: Endpoint) -> float:
    balancer, dice = BALANCERS["least_load"]([first, *others]), seeded()
    return sum(balancer.pick(None, dice) is first for _ in range(2000)) / 2000


def test_least_load_avoids_the_slow() -> None:
    """Of two endpoints the one that answers ten times slower is not picked."""
    assert share_of_first(Endpoint("slow", ewma=0.1), Endpoint("fast", ewma=0.01)) == 0


def test_least_load_avoids_the_busy() -> None:
    """Of two equally fast endpoints the one with clearly more requests in flight is not picked."""
    assert share_of_first(Endpoint("busy", in_flight=5, ewma=0.01), Endpoint("idle", ewma=0.01)) == 0


def test_least_load_does_not_flood_the_unknown() -> None:
    """An endpoint whose latency is unknown is compared by its requests in flight alone."""
    assert share_of_first(Endpoint("new", in_flight=5), Endpoint("known", ewma=9.0)) == 0
    assert share_of_first(Endpoint("new"), Endpoint("known", ewma=0.001)) == pytest.approx(0.5, abs=0.05)


def test_least_load_shares_between_near_equals() -> None:
    """Noise in the latencies of idle endpoints does not send everything to one of them."""
    assert share_of_first(Endpoint("a", ewma=0.011), Endpoint("b", ewma=0.010)) == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize("weights", [(1, 1, 1), (4, 2, 1)])
def test_least_load_fills_by_weight(weights: tuple[float, ...]) -> None:
    """Requests that stay in flight pile up in proportion to the weights."""
    candidates = endpoints(*weights)
    balancer, dice = BALANCERS["least_load"](candidates), seeded()
    for _ in range(700):
        balancer.pick(None, dice).in_flight += 1
    for each in candidates:
        assert each.in_flight == pytest.approx(700 * each.weight / sum(weights), rel=0.15)


@pytest.mark.parametrize("dice", [(0.0, 0.0), (0.999999, 0.999999), (0.5, 0.0), (0.0, 0.999999)])
def test_least_load_compares_two_different(dice: tuple[float, float]) -> None:
    """Whatever the dice show, two different endpoints are compared: of two, the worse never wins."""
    for order in (1, -1):
        candidates = [Endpoint("good", ewma=0.01), Endpoint("bad", ewma=1.0)][::order]
        assert BALANCERS["least_load"](candidates).pick(None, scripted(dice)).address == "good"


# --- hash -------------------------------------------------------------------------------------------------------------


def owners(candidates: list[Endpoint]) -> dict[str, str]:
    balancer, dice = BALANCERS["hash"](candidates), seeded()
    return {key: balancer.pick(key, dice).address for key in KEYS}


@pytest.mark.parametrize("count", [2, 5, 20])
def test_hash_moves_one_nth(count: int) -> None:
    """An endpoint added to N others takes about 1/(N+1) of the keys, and every key that moves moves to it."""
    before, after = owners(endpoints(*[1] * count)), owners(endpoints(*[1] * (count + 1)))
    moved = [key for key in KEYS if before[key] != after[key]]
    assert {after[key] for key in moved} == {f"e{count}"}
    assert len(moved) / len(KEYS) == pytest.approx(1 / (count + 1), rel=0.25)


def test_hash_is_stable() -> None:
    """A key's endpoint depends on neither the order of the endpoints nor a smaller weight elsewhere."""
    candidates = endpoints(1, 1, 1, 1)
    assert owners(candidates) == owners(candidates[::-1])
    candidates[0].weight = 0.5
    reduced = owners(candidates)
    assert {key for key, owner in owners(endpoints(1, 1, 1, 1)).items() if owner != reduced[key]} <= {
        key for key, owner in owners(endpoints(1, 1, 1, 1)).items() if owner == "e0"
    }


def test_hash_is_the_same_in_every_process() -> None:
    """Another process with another hash seed gives keys to the same endpoints."""
    script = (
        "from dataclasses import dataclass\n"
        "from meshctl.core.balance import BALANCERS\n"
        "class E:\n"
        "    weight = 1.0\n"
        "    def __init__(self, address): self.address = address\n"
        "ring = BALANCERS['hash']([E(f'e{n}') for n in range(5)])\n"
        "print(','.join(ring.pick(f'user-{n}', None).address for n in range(200)))\n"
    )
    found = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONHASHSEED": "7", "PYTHONPATH": ":".join(sys.path)},
    )
    here = owners(endpoints(1, 1, 1, 1, 1))
    assert found.stdout.strip() == ",".join(here[f"user-{number}"] for number in range(200))


def test_hash_second_choice_is_agreed() -> None:
    """The second choice for a key is the endpoint it would have without the first, whatever the dice show."""
    candidates = endpoints(1, 1, 1, 1)
    ring = BALANCERS["hash"](candidates)
    for key in KEYS[:300]:
        first = ring.pick(key, seeded())
        second = ring.pick_other(key, seeded(), [first])
        assert second is BALANCERS["hash"]([each for each in candidates if each is not first]).pick(key, seeded())


def test_hash_without_a_key_draws() -> None:
    """Requests without a key are spread over all endpoints."""
    candidates = endpoints(1, 1, 1)
    ring, dice = BALANCERS["hash"](candidates), seeded()
    assert {ring.pick(None, dice) for _ in range(100)} == set(candidates)


def test_hash_takes_any_key() -> None:
    """A key of characters that no encoding knows is hashed like any other."""
    ring = BALANCERS["hash"](endpoints(1, 1))
    assert ring.pick("\udcff\ud800é", seeded()) is not None


# --- latency ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ewma", "last", "now", "sample", "expected"),
    [
        (0.0, 0.0, 5.0, 0.2, 0.2),
        (0.1, 0.0, 0.0, 0.5, 0.5),
        (0.5, 0.0, 0.0, 0.1, 0.5),
        (0.5, 0.0, 10.0, 0.1, 0.5 * exp(-1) + 0.1 * (1 - exp(-1))),
        (0.5, 0.0, 1e6, 0.1, 0.1),
        (0.5, 9.0, 8.0, 0.1, 0.5),
    ],
)
def test_observe(ewma: float, last: float, now: float, sample: float, expected: float) -> None:
    """A slower answer counts at once; a faster one by the time that passed."""
    assert observe(ewma, last, now, sample) == pytest.approx(expected)


def test_a_slow_endpoint_is_forgiven() -> None:
    """A latency nobody renewed fades, by the factor e in ten seconds."""
    assert decayed(1.0, 0.0, 10.0) == pytest.approx(exp(-1))
    assert decayed(1.0, 5.0, 5.0) == 1.0
