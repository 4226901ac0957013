"""Live weights in the store: what holds now, and the one door through which that changes.

Every change is one transaction: the new state, a line of the service's history, an audit record, and the expectation
that nobody was faster. Proxies follow (`changing`); which weights make sense is decided in `core.shift`, and whether a
version can take traffic by whoever asks for the change. mesh.toml is never touched.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple

import msgspec

from meshctl import clock
from meshctl.control.discovery import extended, names, registrations
from meshctl.control.revisions import current, decode, nothing
from meshctl.core.shift import effective, shares
from meshctl.errors import MeshError, nearest
from meshctl.model.service import Service
from meshctl.model.weights import LiveWeights, Shares, Shift, State
from meshctl.store.protocol import Audit, Conflict, Delete, Entry, Expect, Put, Store

WEIGHTS: Final = "traffic/weights/"
HISTORY: Final = "traffic/history/"

BACK: Final = 50
"""How many states `rollback` can go back."""
KEPT: Final = 200
"""How many changes of a service its history keeps."""


def _anything(_before: Shares, _after: Shares) -> None:
    """Any change will do."""


Decide = Callable[[Shares, Shares], Shares]
"""New weights out of those in effect and those of the file, all in percent; none means those of the file."""
Check = Callable[[Shares, Shares], None]
"""Is shown the weights in effect before and after a change that is about to be made, and may raise."""


class Moved(msgspec.Struct, frozen=True):
    """What a change did: the weights in effect before and after it, in percent, and the store revision from which on
    they hold."""

    service: str
    before: Shares
    after: Shares
    revision: int
    unchanged: bool = False


class Draft(NamedTuple):
    """A change that is not made yet, so that others may be made with it in one transaction."""

    changes: list[Put | Delete]
    expected: Expect
    audit: Audit
    before: Shares
    after: Shares


def live_weights(store: Store) -> dict[str, Shares]:
    """The live weights of all services that have any: what proxies follow."""
    found = (decode(entry, LiveWeights) for entry in store.list(WEIGHTS))
    return {each.service: each.now.weights for each in found if each.now.weights}


def live(store: Store, service: str) -> LiveWeights | None:
    """The live weights of a service with the states before; None where nobody ever changed them."""
    entry = store.get(WEIGHTS + service)
    return None if entry is None else decode(entry, LiveWeights)


def known_service(store: Store, name: str) -> Service:
    """The service with all versions there are: those of the configuration, those that sidecars registered, and those
    that live weights name. Raises MeshError not_found."""
    held = live(store, name)
    named = {(name, version) for version in held.now.weights} if held else set()
    mesh = extended((current(store) or nothing()).mesh(), names(registrations(store)) | named)
    for service in mesh.services:
        if service.name == name:
            return service
    raise _no_service(name, [service.name for service in mesh.services])


def change(
    store: Store,
    service: str,
    decide: Decide,
    *,
    who: str,
    what: str,
    check: Check = _anything,
    expect: Sequence[Expect] = (),
) -> Moved:
    """Set a service's weights to what `decide` makes of them. Raises MeshError: not_found for no such service, conflict
    where somebody else changes them at the same time or `expect` does not hold, and what `decide` and `check` raise."""
    declared = _declared(store, service)
    entry, held = _held(store, service)
    before = shares(effective(declared, held.now.weights))
    weights = decide(before, shares(declared))
    if weights == held.now.weights:
        return Moved(service, before, before, store.revision(), unchanged=True)
    check(before, shares(effective(declared, weights)))
    state = State(weights, who, clock.wall(), what, what)
    after = LiveWeights(service, held.number + 1, state, (*held.before, held.now)[-BACK:])
    return _commit(store, _drafted(entry, after, before, declared), service, expect)


def rollback(store: Store, service: str, *, who: str, check: Check = _anything, expect: Sequence[Expect] = ()) -> Moved:
    """Bring back the weights before the last change, each time one change further.

    Raises MeshError: not_found where there is no state before, otherwise as `change` does."""
    declared = _declared(store, service)
    entry, held = _held(store, service)
    if not held.before:
        hint = f"see `meshctl traffic history {service}`"
        raise MeshError("not_found", f'service "{service}" has no weights to go back to', hint=hint)
    before = shares(effective(declared, held.now.weights))
    back = held.before[-1]
    check(before, shares(effective(declared, back.weights)))
    state = State(back.weights, who, clock.wall(), f"rollback of {held.now.origin}", back.origin)
    after = LiveWeights(service, held.number + 1, state, held.before[:-1])
    return _commit(store, _drafted(entry, after, before, declared), service, expect)


def draft_step(store: Store, service: str, weights: Shares, *, who: str, what: str, origin: str) -> Draft:
    """One of several steps that are one change, called `origin`: a rollback goes back over all of them."""
    declared = _declared(store, service)
    entry, held = _held(store, service)
    before = shares(effective(declared, held.now.weights))
    behind = held.before if held.now.origin == origin else (*held.before, held.now)[-BACK:]
    state = State(weights, who, clock.wall(), what, origin)
    return _drafted(entry, LiveWeights(service, held.number + 1, state, behind), before, declared)


def draft_back(store: Store, service: str, *, who: str, what: str, origin: str) -> Draft | None:
    """The way back from the change called `origin`; None where its first step was never made."""
    entry, held = _held(store, service)
    if held.now.origin != origin or not held.before:
        return None
    declared = _declared(store, service)
    before = shares(effective(declared, held.now.weights))
    back = held.before[-1]
    state = State(back.weights, who, clock.wall(), what, back.origin)
    return _drafted(entry, LiveWeights(service, held.number + 1, state, held.before[:-1]), before, declared)


def history(store: Store, service: str, limit: int = 0) -> list[Shift]:
    """The changes of a service's weights, newest first; at most `limit` of them where it is not 0."""
    found = [decode(entry, Shift) for entry in reversed(store.list(f"{HISTORY}{service}/"))]
    return found[:limit] if limit > 0 else found


def _declared(store: Store, service: str) -> Shares:
    return {version.name: version.weight for version in known_service(store, service).versions}


def _held(store: Store, service: str) -> tuple[Entry | None, LiveWeights]:
    entry = store.get(WEIGHTS + service)
    return entry, LiveWeights(service, 0, State({})) if entry is None else decode(entry, LiveWeights)


def _drafted(entry: Entry | None, new: LiveWeights, before: Shares, declared: Mapping[str, float]) -> Draft:
    state = new.now
    after = shares(effective(declared, state.weights))
    line = Shift(new.service, new.number, state.at, state.who, state.what, before, after)
    changes: list[Put | Delete] = [
        Put(WEIGHTS + new.service, msgspec.json.encode(new)),
        Put(_line(new.service, new.number), msgspec.json.encode(line)),
    ]
    if new.number > KEPT:
        changes.append(Delete(_line(new.service, new.number - KEPT)))
    audit = Audit(state.who, state.at, f"{new.service}: {state.what}", _text(before), _text(after))
    return Draft(changes, Expect(WEIGHTS + new.service, 0 if entry is None else entry.revision), audit, before, after)


def _commit(store: Store, draft: Draft, service: str, expect: Sequence[Expect]) -> Moved:
    try:
        revision = store.transact(draft.changes, expect=[draft.expected, *expect], audit=draft.audit)
    except Conflict as error:
        raise _conflict(store, service) from error
    return Moved(service, draft.before, draft.after, revision)


def _line(service: str, number: int) -> str:
    return f"{HISTORY}{service}/{number:010d}"


def _text(weights: Mapping[str, float]) -> str:
    return " ".join(f"{name}={weight:.4g}" for name, weight in weights.items())


def _no_service(name: str, known: list[str]) -> MeshError:
    others = f"there are: {', '.join(known)}" if known else "nothing is applied yet: `meshctl apply`"
    hint = nearest(name, known) or others
    return MeshError("not_found", f'there is no service "{name}"', hint=hint)


def _conflict(store: Store, service: str) -> MeshError:
    winner = live(store, service)
    said = f" by {winner.now.who} ({winner.now.what})" if winner else ""
    message = f'the weights of "{service}" were changed at the same time{said}'
    return MeshError("conflict", message, hint=f"look at `meshctl traffic split {service}`, then try again")
