"""May the new version take more? One check of a rollout judged, and the step that follows from it.

    pass          the next step, after the last one everything
    inconclusive  stay and go on counting: too few requests prove nothing, and no data never passes
    fail          stay and count anew; after so many in a row go back

A version far beyond its limit fails at once (`is_hopeless`): it is not given the rest of its time. Knows neither
proxies nor clocks.
"""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

from msgspec.structs import replace

from meshctl.model.rollout import Measured, Plan, Verdict

WHOLE: Final = 100.0

SLOWER: Final = 1.5
"""How many times as slow as the baseline a version that is compared with it may be, where no limit is given …"""
NOTICED: Final = 0.01
"""… and the seconds below which a difference is noise: latencies are counted in steps of 14 %."""
MANY: Final = 1000
"""Requests of both from which on the p99 is compared; of fewer the p90, so that ten requests lie beyond it and one that
was slow by chance decides nothing."""

HOPELESS: Final = 3
"""So many times the errors that are allowed, and so many besides, fail at once. So many times the requests that may
fail, or are given up elsewhere, and so many besides, may be given up."""


class Judgement(NamedTuple):
    """A verdict and what it rests on."""

    verdict: Verdict
    reason: str


class Next(NamedTuple):
    """What follows from a check: `step` is the index of the step from now on, `failures` those in a row."""

    action: Literal["hold", "advance", "promote", "roll_back"]
    step: int
    failures: int


def judge(plan: Plan, new: Measured, old: Measured) -> Judgement:
    """What the counters say of the new version. Fewer than `plan.min_requests` never pass."""
    short = f"{new.requests} of {plan.min_requests} requests"
    is_compared = bool(plan.compare)
    knows_old = old.requests >= plan.min_requests
    allowed = plan.max_errors + (old.error_rate if is_compared and knows_old else 0.0)
    # Errors that would be too many had all requests that are still missing gone well fail also while there are too few.
    # Where the baseline is not known yet, it may turn out to be as bad.
    if new.errors > allowed * max(new.requests, plan.min_requests) and (knows_old or not is_compared):
        return Judgement("fail", f"{_percent(new.error_rate)} errors, {_percent(allowed)} allowed")
    if _is_left(plan, new, old):
        return Judgement("fail", f"clients gave up {_left(new)} of its requests, {_left(old)} elsewhere")
    if new.requests < plan.min_requests:
        left = f" ({new.given_up} were given up)" if new.given_up else ""
        return Judgement("inconclusive", f"{short}: too few{left}" if new.requests or left else "no requests")
    if plan.max_p99 and new.p99 > plan.max_p99:
        return Judgement("fail", f"p99 {_seconds(new.p99)}, {_seconds(plan.max_p99)} allowed")
    if not is_compared:
        return Judgement("pass", _found(new))
    if not knows_old:
        return Judgement("inconclusive", f"{old.requests} of {plan.min_requests} requests to compare with: too few")
    tail = "p99" if min(new.requests, old.requests) >= MANY else "p90"
    mine, theirs = getattr(new, tail), getattr(old, tail)
    if not plan.max_p99 and mine > max(theirs * SLOWER, theirs + NOTICED):
        return Judgement("fail", f"{tail} {_seconds(mine)}, {_seconds(theirs)} on {plan.compare}")
    return Judgement("pass", f"{_found(new)}; {plan.compare} {_found(old)}")


def is_hopeless(plan: Plan, new: Measured, old: Measured) -> bool:
    """Whether the new version fails before its check is due. Looked at every second, so it takes far more errors than a
    check does: chance alone must not add up to it."""
    if plan.compare and old.requests < plan.min_requests:
        return False
    allowed = plan.max_errors + (old.error_rate if plan.compare else 0.0)
    return new.errors > HOPELESS * allowed * max(new.requests, plan.min_requests) + HOPELESS


def _is_left(plan: Plan, new: Measured, old: Measured) -> bool:
    """Whether far more clients leave the new version without an answer than those it is beside. Where these have too
    few requests nobody knows how patient clients are."""
    if old.requests < plan.min_requests:
        return False
    share = plan.max_errors + _share_left(old)
    return new.given_up > HOPELESS * share * (new.requests + new.given_up) + HOPELESS


def follow(plan: Plan, step: int, failures: int, verdict: Verdict) -> Next:
    """What follows from a check at `step` (an index of the plan's steps) after `failures` failed ones in a row."""
    if verdict == "inconclusive":
        return Next("hold", step, failures)
    if verdict == "fail":
        failed = failures + 1
        return Next("roll_back" if failed >= plan.failures else "hold", step, failed)
    if step + 1 < len(plan.steps):
        return Next("advance", step + 1, 0)
    return Next("promote", step, 0)


def first_step(plan: Plan, weight: float) -> int:
    """The step to begin with, for a version that has `weight` percent already: the first that gives it more, or the
    last."""
    return next((index for index, step in enumerate(plan.steps) if step > weight), len(plan.steps) - 1)


def below(plan: Plan, weight: float, floor: float) -> float:
    """The weight that follows `weight` on the way back to `floor`, the weight before the rollout."""
    return max((step for step in plan.steps if floor < step < weight), default=floor)


def time_left(plan: Plan, step: int, until_check: float) -> float:
    """Seconds until the version has everything, if every check from now on passes; the next is in `until_check`."""
    return max(until_check, 0.0) + (len(plan.steps) - 1 - step) * plan.every


def compares_at(plan: Plan, weight: float) -> Plan:
    """The plan as it is judged by at `weight`: where nobody is left on the old version there is nothing to compare
    with."""
    if weight < WHOLE or not plan.compare:
        return plan
    return replace(plan, compare="")


def _share_left(measured: Measured) -> float:
    return measured.given_up / max(measured.requests + measured.given_up, 1)


def _left(measured: Measured) -> str:
    return _percent(_share_left(measured))


def _found(measured: Measured) -> str:
    return f"{_percent(measured.error_rate)} errors, p99 {_seconds(measured.p99)} in {measured.requests} requests"


def _percent(fraction: float) -> str:
    return f"{fraction * 100:.3g}%"


def _seconds(seconds: float) -> str:
    return f"{seconds * 1000:.3g}ms" if seconds < 1 else f"{seconds:.3g}s"
