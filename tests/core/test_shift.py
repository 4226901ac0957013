"""What a shift makes of weights: who gets what, and what is refused."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshctl.core.shift import effective, parse, promoted, shares, shifted
from meshctl.errors import MeshError

Weights = dict[str, float]

NAMES = ("v1", "v2", "v3", "v4")
splits = st.dictionaries(st.sampled_from(NAMES), st.floats(0.01, 1000), min_size=2, max_size=4).map(shares)


@pytest.mark.parametrize(
    ("current", "given", "expected"),
    [
        pytest.param({"v1": 100, "v2": 0}, {"v2": 10}, {"v1": 90, "v2": 10}, id="the rest to the other"),
        pytest.param({"v1": 60, "v2": 20, "v3": 20}, {"v2": 60}, {"v1": 30, "v2": 60, "v3": 10}, id="proportions stay"),
        pytest.param(
            {"v1": 50, "v2": 30, "v3": 20}, {"v2": 10, "v3": 40}, {"v1": 50, "v2": 10, "v3": 40}, id="several at once"
        ),
        pytest.param({"v1": 90, "v2": 10}, {"v1": 3, "v2": 1}, {"v1": 75, "v2": 25}, id="all given are proportions"),
        pytest.param({"v1": 90, "v2": 10}, {"v2": 100}, {"v1": 0, "v2": 100}, id="everything"),
        pytest.param({"v1": 90, "v2": 10}, {"v2": 0}, {"v1": 100, "v2": 0}, id="nothing"),
        pytest.param({"v1": 0, "v2": 100}, {"v2": 40}, {"v1": 60, "v2": 40}, id="the only other one takes the rest"),
        pytest.param(
            {"v1": 0, "v2": 0, "v3": 100}, {"v3": 50}, {"v1": 40, "v2": 10, "v3": 50}, id="as the file shares"
        ),
        pytest.param({"v1": 100}, {"v1": 5}, {"v1": 100}, id="one version has everything"),
        pytest.param({"v1": 90, "v2": 10}, {"v2": 0.01}, {"v1": 99.99, "v2": 0.01}, id="a hundredth of a percent"),
    ],
)
def test_shift(current: Weights, given: Weights, expected: Weights) -> None:
    """What is given holds; the others share the rest as they did, or as the file says where they had nothing."""
    assert shifted(current, given, {"v1": 80, "v2": 20, "v3": 0}) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("given", "code", "words"),
    [
        ({"v9": 10}, "not_found", ['"v9"', "v1, v2, v3"]),
        ({"v2": 101}, "usage", ["101", "100"]),
        ({"v2": 60, "v1": 60}, "usage", ["120"]),
        ({"v1": 0, "v2": 0, "v3": 0}, "usage", ["all weights are 0"]),
        ({"v1": 50}, "usage", ["50 %", "v2, v3"]),
    ],
)
def test_refused(given: Weights, code: str, words: list[str]) -> None:
    """What makes no split is refused with what is wrong and what there is."""
    with pytest.raises(MeshError) as caught:
        shifted({"v1": 100, "v2": 0, "v3": 0}, given, {"v1": 100, "v2": 0, "v3": 0})
    said = f"{caught.value.message} {caught.value.hint}"
    assert (caught.value.code, [word for word in words if word not in said]) == (code, [])


@given(splits, st.data())
def test_shifts_add_up(current: Weights, data: st.DataObject) -> None:
    """Weights always sum to 100, the given version has what was asked, and the others keep their proportions."""
    version = data.draw(st.sampled_from(sorted(current)))
    weight = data.draw(st.floats(0, 100))
    after = shifted(current, {version: weight}, current)
    assert sum(after.values()) == pytest.approx(100)
    assert after[version] == pytest.approx(weight, abs=1e-6)
    others = [name for name in current if name != version]
    for one, other in pairwise(others):
        assert after[one] * current[other] == pytest.approx(after[other] * current[one], abs=1e-3)


@given(splits, st.data())
def test_promotion(current: Weights, data: st.DataObject) -> None:
    """One version has everything, the others nothing, and none is forgotten."""
    version = data.draw(st.sampled_from(sorted(current)))
    assert promoted(current, version) == {name: 100.0 * (name == version) for name in current}


@pytest.mark.parametrize(
    ("words", "expected"),
    [(["v2=10"], {"v2": 10.0}), (["v1=12.5%", "v2=87.5%"], {"v1": 12.5, "v2": 87.5}), (["a=0"], {"a": 0.0})],
)
def test_words(words: list[str], expected: Weights) -> None:
    """Weights are read as people write them."""
    assert parse(words) == expected


@pytest.mark.parametrize("word", ["v2", "=10", "v2=", "v2=ten", "v2=-1", "v2=nan", "v2=inf", "v2:10"])
def test_words_that_are_none(word: str) -> None:
    """Anything else is a usage error that quotes it."""
    with pytest.raises(MeshError, match="is not a weight") as caught:
        parse([word])
    assert (caught.value.code, word in caught.value.message) == ("usage", True)


def test_a_version_is_given_once() -> None:
    """Which of two would hold is not guessed."""
    with pytest.raises(MeshError, match="twice"):
        parse(["v2=10", "v2=20"])


@pytest.mark.parametrize(
    ("live", "expected"),
    [
        ({}, {"v1": 9, "v2": 1}),
        ({"v1": 30, "v2": 70}, {"v1": 30, "v2": 70}),
        ({"v2": 100}, {"v1": 0, "v2": 100}),
        ({"v3": 100}, {"v1": 9, "v2": 1}),
    ],
    ids=["none", "all", "unnamed ones take nothing", "the named ones have gone"],
)
def test_what_holds(live: Weights, expected: Weights) -> None:
    """Live weights take the place of the file's, unless they would leave nobody anything."""
    assert effective({"v1": 9, "v2": 1}, live) == expected
