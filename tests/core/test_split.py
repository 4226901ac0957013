"""Versions by weight: draws, buckets, and who moves when weights do."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meshctl.core.split import BUCKETS, Split, bucket

from .candidate import seeded


def split(*weights: float) -> Split[str]:
    return Split([(f"v{index + 1}", weight) for index, weight in enumerate(weights)])


def layout(*weights: float) -> list[str]:
    divided = split(*weights)
    return [divided.by_bucket(number) for number in range(BUCKETS)]


def moved(before: list[str], after: list[str]) -> Counter[tuple[str, str]]:
    return Counter(pair for pair in zip(before, after, strict=True) if pair[0] != pair[1])


@pytest.mark.parametrize("weights", [(1,), (90, 10), (1, 1, 1), (0.5, 0.3, 0.2), (0, 1, 3), (5, 0, 0), (99, 1)])
def test_draws_follow_the_weights(weights: tuple[float, ...]) -> None:
    """Each version is drawn as often as its weight says, and one without weight never."""
    divided, dice = split(*weights), seeded()
    counts = Counter(divided.draw(dice()) for _ in range(20_000))
    for index, weight in enumerate(weights):
        assert counts[f"v{index + 1}"] / 20_000 == pytest.approx(weight / sum(weights), abs=0.015)
        assert weight > 0 or f"v{index + 1}" not in counts


@given(
    st.lists(st.floats(0, 1000), min_size=1, max_size=6).filter(lambda weights: sum(weights) > 0),
    st.floats(0, 1, exclude_max=True),
)
def test_any_draw_finds_a_live_version(weights: list[float], dice: float) -> None:
    """No dice and no weights lead outside the versions that have a weight."""
    version = split(*weights).draw(dice)
    assert weights[int(version[1:]) - 1] > 0


@pytest.mark.parametrize("weights", [(), (0,), (0, 0), (-1,)])
def test_nothing_to_split(weights: tuple[float, ...]) -> None:
    """A split without any weight is refused when built."""
    with pytest.raises(ValueError, match="weight"):
        split(*weights)


@settings(max_examples=30)
@given(st.lists(st.integers(0, 100), min_size=1, max_size=6).filter(any))
def test_buckets_follow_the_weights(weights: list[int]) -> None:
    """Each version has its exact share of the buckets, to one bucket."""
    counts = Counter(layout(*weights))
    for index, weight in enumerate(weights):
        assert abs(counts[f"v{index + 1}"] - BUCKETS * weight / sum(weights)) <= 1
        assert weight or f"v{index + 1}" not in counts


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ((95, 5), (90, 10), {("v1", "v2"): 500}),
        ((90, 10), (95, 5), {("v2", "v1"): 500}),
        ((100, 0), (0, 100), {("v1", "v2"): 10_000}),
        ((80, 10, 10), (70, 20, 10), {("v1", "v2"): 1000}),
        ((80, 10, 10), (70, 10, 20), {("v1", "v3"): 1000}),
        ((20, 70, 10), (10, 70, 20), {("v1", "v3"): 1000}),
        ((90, 10), (80, 10, 10), {("v1", "v3"): 1000}),
        ((70, 10, 10, 10), (60, 10, 10, 20), {("v1", "v4"): 1000}),
        ((60, 10, 10, 10, 10), (50, 20, 10, 10, 10), {("v1", "v2"): 1000}),
        ((60, 10, 10, 10, 10), (50, 10, 10, 10, 20), {("v1", "v5"): 1000}),
        ((50, 50, 0), (40, 50, 10), {("v1", "v3"): 1000}),
    ],
)
def test_shifts_move_only_whom_they_must(
    before: tuple[float, ...], after: tuple[float, ...], expected: dict[tuple[str, str], int]
) -> None:
    """A version that grows takes keys of the first version alone, keeps its own, and disturbs no third."""
    assert moved(layout(*before), layout(*after)) == expected


def test_places() -> None:
    """Versions grow from the places that are promised, and the first one has the rest."""
    places = layout(50, 10, 10, 10, 10, 10)
    expected = {"v2": 0, "v3": 9000, "v4": 5000, "v5": 4000, "v6": 2500}
    for version, start in expected.items():
        assert places[start : start + 1000] == [version] * 1000


@settings(max_examples=30)
@given(st.integers(0, 100), st.integers(0, 100), st.integers(0, 100))
def test_growth_keeps_its_own(stable: int, start: int, growth: int) -> None:
    """A canary that grows from any share to any other keeps every key it had."""
    start, end = sorted((start, growth))
    if stable + end == 0:
        return
    had = {number for number, version in enumerate(layout(100 - start, start)) if version == "v2"}
    has = {number for number, version in enumerate(layout(100 - end, end)) if version == "v2"}
    assert had <= has


def test_buckets_are_even() -> None:
    """Keys spread evenly over the buckets, by chi-square over a hundred groups."""
    counts = Counter(bucket(f"user-{number}", "orders") // 100 for number in range(50_000))
    chi_square = sum((counts[group] - 500) ** 2 / 500 for group in range(100))
    # 99 degrees of freedom: above 149 in one of a thousand cases, and these keys never change.
    assert chi_square < 149


def test_buckets_are_stable_and_salted() -> None:
    """A key's bucket is fixed for all time and all processes, and differs between services."""
    assert [bucket("alice", "orders"), bucket("bob", "orders"), bucket("alice", "users")] == [4092, 6152, 905]
    assert 0 <= bucket("\udcff", "é") < BUCKETS


def test_first_on_one_canary_is_not_first_on_the_next() -> None:
    """The users a tenth of one service picks are no likelier to be in a tenth of another."""
    chosen = [number for number in range(20_000) if bucket(f"u{number}", "orders") < 1000]
    both = sum(bucket(f"u{number}", "users") < 1000 for number in chosen)
    assert both / len(chosen) == pytest.approx(0.1, abs=0.03)
