"""From one root to another: which step follows which, and that no two proxies ever stop trusting each other."""

from __future__ import annotations

from itertools import product
from typing import get_args

import pytest

from meshctl.core.rotation_step import RULES, Rule, Step, lacks

OLD, NEW, OTHER = "01d0", "2e30", "77"
SIDES = {"old": OLD, "new": NEW}
STEPS: tuple[Step, ...] = get_args(Step)


def way(step: Step | None) -> list[Step]:
    """The steps from `step` on."""
    found: list[Step] = []
    while step is not None:
        assert step not in found, "it never ends"
        found.append(step)
        step = RULES[step].then
    return found


def conforms(rule: Rule) -> tuple[str, set[str]]:
    """What a proxy has that may leave the step: its issuer, and whom it trusts."""
    return SIDES[rule.issuing], {SIDES[side] for side in rule.trusted}


def test_the_way() -> None:
    """A rotation goes from plan to drop; every step has a rule."""
    assert way("planned") == ["planned", "trusting", "reissuing", "dropping"]
    assert set(RULES) == set(STEPS)


@pytest.mark.parametrize("step", STEPS)
def test_every_way_ends_on_one_root(step: Step) -> None:
    """From every step on, the way ends with one root trusted and in use; an abort ends on the old one."""
    last = RULES[way(step)[-1]]
    assert last.trusted == (last.issuing,)
    if (back := RULES[step].back) is not None:
        end = RULES[way(back)[-1]]
        assert (end.trusted, end.issuing) == (("old",), "old")


def test_only_the_last_step_is_too_late() -> None:
    """An abort is possible until the old root is being dropped."""
    assert [step for step in STEPS if RULES[step].back is None] == ["dropping"]


@pytest.mark.parametrize(
    ("step", "following"),
    [(step, each) for step in STEPS for each in (RULES[step].then, RULES[step].back) if each is not None],
)
def test_neighbours_always_trust_each_other(step: Step, following: Step) -> None:
    """While a step is entered, whoever still is as the step before left it, whoever is half way and whoever has arrived
    trust each other's certificates."""
    before, after = conforms(RULES[step]), conforms(RULES[following])
    # A proxy takes up whom to trust at once, and its new certificate some time later.
    stages = [before, (before[0], after[1]), after]
    assert all(issuer in roots for (issuer, _), (_, roots) in product(stages, stages))


def test_an_abort_may_meet_proxies_that_are_behind() -> None:
    """An abort does not wait: also those that had not reached the step are understood during the way back."""
    for step in STEPS:
        back = RULES[step].back
        previous = [each for each in STEPS if RULES[each].then == step]
        if back is None:
            continue
        for one, other in product([*previous, step], [back]):
            (issuer, _), (_, roots) = conforms(RULES[one]), conforms(RULES[other])
            assert issuer in roots, f"a proxy as of {one} is not trusted in {other}"


@pytest.mark.parametrize(
    ("step", "issuer", "roots", "expected"),
    [
        ("planned", OLD, {OLD}, ""),
        ("planned", OTHER, {OLD}, "has its certificate under the root 77"),
        ("trusting", OLD, {OLD, NEW}, ""),
        ("trusting", OLD, {OLD}, "does not trust the new root yet"),
        ("trusting", OLD, set(), "does not trust the new root and the old root yet"),
        ("trusting", OLD, {OLD, NEW, OTHER}, "still trusts the root 77"),
        ("reissuing", NEW, {OLD, NEW}, ""),
        ("reissuing", OLD, {OLD, NEW}, "has its certificate under the old root"),
        ("dropping", NEW, {NEW}, ""),
        ("dropping", NEW, {OLD, NEW}, "still trusts the old root"),
        ("returning", OLD, {OLD, NEW}, ""),
        ("returning", NEW, {OLD, NEW}, "has its certificate under the new root"),
        ("untrusting", OLD, {OLD}, ""),
        ("untrusting", OLD, {OLD, NEW}, "still trusts the new root"),
    ],
)
def test_what_a_proxy_lacks(step: Step, issuer: str, roots: set[str], expected: str) -> None:
    """A proxy that holds a step up is told by what it lacks."""
    assert lacks(step, old=OLD, new=NEW, issuer=issuer, roots=roots) == expected
