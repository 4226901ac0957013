"""What people may do to a rollout that runs: hold it, let it go on, call it off, or skip the rest of it.

Each is one change of its record, which whoever drives it follows; calling it off and skipping the rest need no driver.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from meshctl import clock
from meshctl.control.rollout_state import Rollout, back, rollout, save
from meshctl.errors import MeshError
from meshctl.model.rollout import Event
from meshctl.store.protocol import Conflict, Store

# Its driver writes about once a second.
_TRIES: Final = 10

_Changes = Callable[[Rollout, float], tuple[Event, Mapping[str, Any]]]


def pause(store: Store, service: str, *, who: str) -> Rollout:
    """Hold the weights where they are: no check, no step. Raises MeshError where none runs."""

    def changes(found: Rollout, now: float) -> tuple[Event, Mapping[str, Any]]:
        if found.phase == "ramping":
            raise MeshError("refused", "it is on its way back, which cannot be paused")
        return Event(now, "pause", f"by {who}", found.weight), {"phase": "paused"}

    return _steer(store, service, changes, who, done="paused")


def resume(store: Store, service: str, *, who: str) -> Rollout:
    """Let it go on from where it was paused, counting anew. Raises MeshError where none is paused."""

    def changes(found: Rollout, now: float) -> tuple[Event, Mapping[str, Any]]:
        if found.phase == "ramping":
            raise MeshError("refused", "it is on its way back")
        return Event(now, "resume", f"by {who}", found.weight), {"phase": "running", "since": 0.0}

    return _steer(store, service, changes, who, done="running")


def abort(store: Store, service: str, *, who: str) -> Rollout:
    """Bring back the weights from before it. Raises MeshError where none runs."""

    def changes(found: Rollout, now: float) -> tuple[Event, Mapping[str, Any]]:
        after = back(found, "aborted", now)
        return Event(now, "end", f"aborted by {who}", after["weight"]), after

    return _steer(store, service, changes, who, done="ramping")


def promote(store: Store, service: str, *, who: str) -> Rollout:
    """Give the version everything now. Raises MeshError where none runs."""

    def changes(found: Rollout, now: float) -> tuple[Event, Mapping[str, Any]]:
        if found.phase == "ramping":
            raise MeshError("refused", "it is on its way back", hint="start another one when it is over")
        event = Event(now, "end", f"promoted by {who}", 100.0)
        return event, {"phase": "promoted", "weight": 100.0, "due": "promote"}

    return _steer(store, service, changes, who, done="promoted")


def _steer(store: Store, service: str, changes: _Changes, who: str, *, done: str) -> Rollout:
    """Make the changes to whatever the rollout is by now; one that is `done` already is left as it is."""
    for _ in range(_TRIES):
        found = rollout(store, service)
        if found is None or found.has_ended:
            hint = f"start one with `meshctl traffic rollout {service} --to VERSION`"
            raise MeshError("not_found", f'no rollout of "{service}" is running', hint=hint)
        if found.phase == done:
            return found
        event, changed = changes(found, clock.wall())
        try:
            return save(store, found, event, who=who, **changed)
        except Conflict:
            continue
    raise MeshError("conflict", f'the rollout of "{service}" changes all the time', hint="try again")
