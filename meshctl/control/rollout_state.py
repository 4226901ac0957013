"""Rollouts in the store: what stands where, and every change of it as one transaction with the weights that go with it.

`traffic/rollouts/<service>` is the rollout that runs or ran last, with everything that happened in it;
`traffic/past/<service>/<number>` are those before. What follows from a check is decided in `core.rollout`; `rollouts`
looks at the counters.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal

import msgspec

from meshctl import clock
from meshctl.control.driving import ROLLOUTS
from meshctl.control.revisions import decode
from meshctl.control.weights import Draft, draft_back, draft_step, known_service, live
from meshctl.core.rollout import below, first_step
from meshctl.core.shift import check_known, effective, shares, shifted
from meshctl.errors import MeshError
from meshctl.model.rollout import ENDED, Event, Phase, Plan
from meshctl.model.weights import Shares
from meshctl.observe.tally import Tally
from meshctl.store.protocol import Audit, Delete, Entry, Expect, Put, Store

_CURRENT: Final = ROLLOUTS
PAST: Final = "traffic/past/"
KEPT: Final = 20
"""How many past rollouts of a service can be read."""
EVENTS: Final = 300
RAMP_EVERY: Final = 10.0
"""The most seconds between two steps of a gradual way back."""

Counted = dict[str, dict[str, Tally]]
"""What each proxy counted of each version."""


class Rollout(msgspec.Struct, frozen=True):
    """A rollout, as whoever drives it has left it."""

    service: str
    number: int
    plan: Plan
    who: str
    began: float
    start: Shares
    """The weights before it, in percent."""
    step: int
    weight: float
    """What the version gets now, in percent."""
    phase: Phase = "running"
    outcome: Literal["rolled_back", "aborted"] = "rolled_back"
    """What a gradual way back will end as."""
    since: float = 0.0
    """When counting for the next check began; 0 before the weights are live everywhere."""
    check_at: float = 0.0
    counted: Counted = {}
    """What had been counted then."""
    failures: int = 0
    """Failed checks in a row."""
    due: Literal["", "step", "promote", "rollback"] = ""
    """The command that is to be run next."""
    log: tuple[Event, ...] = ()
    revision: int = 0
    """The store revision that wrote it; filled in when it is read."""

    @property
    def origin(self) -> str:
        """What its changes of weights are called."""
        return f"rollout {self.number} to {self.plan.to}"

    @property
    def floor(self) -> float:
        """What the version had before."""
        return self.start.get(self.plan.to, 0.0)

    @property
    def has_ended(self) -> bool:
        """Whether nothing more will become of it."""
        return self.phase in ENDED


def rollout(store: Store, service: str) -> Rollout | None:
    """The rollout of a service that runs or ran last."""
    entry = store.get(_CURRENT + service)
    return None if entry is None else _read(entry)


def unfinished(store: Store) -> list[Rollout]:
    """All rollouts of which something is still to be done."""
    return [each for each in map(_read, store.list(_CURRENT)) if not each.has_ended or each.due]


def past(store: Store, service: str) -> list[Rollout]:
    """The rollouts of a service before the last one, newest first."""
    return [_read(entry) for entry in reversed(store.list(f"{PAST}{service}/"))]


def none_runs(store: Store, service: str) -> Expect:
    """What must still hold when the weights are changed by hand. Raises MeshError refused while a rollout has them."""
    entry = store.get(_CURRENT + service)
    if entry is not None and not (found := _read(entry)).has_ended:
        message = f'a rollout of "{service}" to {found.plan.to} is {found.phase}: it has the weights'
        hint = f"end it with `meshctl traffic abort {service}` or `meshctl traffic promote {service}`"
        raise MeshError("refused", message, hint=hint)
    return Expect(_CURRENT + service, entry.revision if entry else 0)


def begin(store: Store, service: str, plan: Plan, *, who: str) -> Rollout:
    """Start a rollout: its first step's weights are in force. Raises MeshError: not_found for an unknown service or
    version, refused where one runs or the version has everything already, conflict where somebody else was faster."""
    declared = {version.name: version.weight for version in known_service(store, service).versions}
    held = live(store, service)
    start = shares(effective(declared, held.now.weights if held else {}))
    check_known(plan.to, start)
    if start[plan.to] >= 100:
        raise MeshError("refused", f'version "{plan.to}" of "{service}" has all the traffic already')
    expect = none_runs(store, service)
    before = rollout(store, service)
    step = first_step(plan, start[plan.to])
    number = before.number + 1 if before else 1
    now = clock.wall()
    weight = plan.steps[step]
    event = Event(now, "begin", f"by {who}: from {start[plan.to]:.4g}% to {plan.to}={weight:g}", weight)
    new = Rollout(service, number, plan, who, now, start, step, weight, due="step", log=(event,))
    draft = _step(store, new, who)
    archive: list[Put | Delete] = []
    if before is not None:
        archive.append(Put(_past(service, before.number), msgspec.json.encode(before)))
        if before.number > KEPT:
            archive.append(Delete(_past(service, before.number - KEPT)))
    return _write(store, new, draft, expect, archive)


def save(store: Store, before: Rollout, *events: Event, who: str = "", **changes: Any) -> Rollout:
    """Change a rollout's fields, with a line in its log for each of `events`; a change of `weight` changes the
    weights with it, the end of a way back brings the old ones back. `who` does it, unless the rollout does so itself.

    Raises Conflict where it is not as `before` any more."""
    log = before.log
    for event in events:
        log = logged(log, event)
    after = msgspec.structs.replace(before, **changes, log=log)
    author = who or after.who
    draft = None
    if after.phase in ("rolled_back", "aborted") and not before.has_ended:
        what = f"{after.phase.replace('_', ' ')}: {after.origin}"
        draft = draft_back(store, after.service, who=author, what=what, origin=after.origin)
    elif after.weight != before.weight:
        draft = _step(store, after, author)
    return _write(store, after, draft, Expect(_CURRENT + after.service, before.revision))


def logged(log: tuple[Event, ...], event: Event) -> tuple[Event, ...]:
    """The log with one more event. The same finding again and again is one event, with the latest numbers."""
    last = log[-1] if log else None
    if last and event.verdict == "inconclusive" == last.verdict and event.weight == last.weight:
        return (*log[:-1], msgspec.structs.replace(event, at=last.at, count=last.count + 1))
    return (*log, event)[-EVENTS:]


def back(found: Rollout, outcome: Literal["rolled_back", "aborted"], now: float) -> Mapping[str, Any]:
    """The changes that begin the way back, or make it where that is one step."""
    weight = below(found.plan, found.weight, found.floor)
    if found.plan.is_ramp and weight > found.floor:
        at = now + ramp_every(found.plan)
        return {"phase": "ramping", "outcome": outcome, "weight": weight, "check_at": at, "due": "rollback"}
    return {"phase": outcome, "outcome": outcome, "weight": found.floor, "due": "rollback"}


def ramp_every(plan: Plan) -> float:
    """Seconds between two steps of a gradual way back."""
    return min(plan.every, RAMP_EVERY)


def _step(store: Store, found: Rollout, who: str) -> Draft:
    declared = {version.name: version.weight for version in known_service(store, found.service).versions}
    weights = shifted(found.start, {found.plan.to: found.weight}, declared)
    what = f"{found.origin}: {found.plan.to}={found.weight:g}"
    return draft_step(store, found.service, weights, who=who, what=what, origin=found.origin)


def _write(
    store: Store, new: Rollout, draft: Draft | None, expect: Expect, more: list[Put | Delete] | None = None
) -> Rollout:
    changes: list[Put | Delete] = [Put(_CURRENT + new.service, msgspec.json.encode(new)), *(more or ())]
    expects = [expect]
    audit: Audit | None = None
    if draft is not None:
        changes += draft.changes
        expects.append(draft.expected)
        audit = draft.audit
    revision = store.transact(changes, expect=expects, audit=audit)
    return msgspec.structs.replace(new, revision=revision)


def _read(entry: Entry) -> Rollout:
    return msgspec.structs.replace(decode(entry, Rollout), revision=entry.revision)


def _past(service: str, number: int) -> str:
    return f"{PAST}{service}/{number:010d}"
