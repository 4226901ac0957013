"""A rotation of the mesh's root, as the store has it: one record, one transaction for each step.

Whoever drives it (`certs rotate --root`) may die at any moment: the next one reads the record and goes on. Which step
may follow which is decided in `core.rotation_step`; here is what each one changes. Key: `pki/rotation`.
"""

from __future__ import annotations

from typing import Final

import msgspec

from meshctl import clock
from meshctl.control import trust_state
from meshctl.control.authority import Authority
from meshctl.control.confirming import Standing
from meshctl.control.revisions import decode
from meshctl.control.trust_state import BUNDLE, EVERY_SERVICE, Bundle, Root, next_generation
from meshctl.control.who import who
from meshctl.core.rotation_step import RULES, Step, lacks
from meshctl.errors import MeshError
from meshctl.store.protocol import Audit, Conflict, Delete, Expect, Put, Store

ROTATION: Final = "pki/rotation"
_RETIRED: Final = 5


class Rotation(msgspec.Struct, frozen=True):
    """A rotation that is under way."""

    step: Step
    old: Root
    new: Root
    started: float
    changed: float
    """When the step was reached."""
    who: str
    revision: int = 0
    """The store revision that wrote it; filled in when it is read."""

    def lack(self, standing: Standing) -> str:
        """What a proxy lacks before this step may be left, or nothing."""
        identity = standing.identity
        if identity is None:
            return ""
        return lacks(
            self.step,
            old=self.old.fingerprint,
            new=self.new.fingerprint,
            issuer=identity.issuer,
            roots=identity.roots,
        )


def rotation(store: Store) -> Rotation | None:
    """The rotation that is under way, None where none is."""
    entry = store.get(ROTATION)
    return None if entry is None else msgspec.structs.replace(decode(entry, Rotation), revision=entry.revision)


def begin(store: Store, authority: Authority, name: str) -> Rotation:
    """Make a new root, which nobody trusts yet, and plan to change over to it. Raises MeshError where there is no root
    to change from, or a rotation is under way."""
    if (found := rotation(store)) is not None:
        raise _under_way(found)
    with authority.files.locked():
        bundle = trust_state.bundle(store)
        if bundle is None:
            raise MeshError("not_found", "this mesh has no authority yet", hint="make it with `meshctl certs init`")
        number = max(root.number for root in (*bundle.roots, *bundle.retired)) + 1
        new = authority.make_root(number, name)
        now = clock.wall()
        planned = Rotation("planned", bundle.issuing, new, now, now, who())
        audit = Audit(planned.who, now, "begin to rotate the root", bundle.issuing.fingerprint, new.fingerprint)
        try:
            store.transact([_put(planned)], expect=[Expect(ROTATION, 0)], audit=audit)
        except Conflict as error:
            raise _under_way(rotation(store) or planned) from error
    return rotation(store) or planned


def advance(store: Store, authority: Authority, found: Rotation) -> Rotation | None:
    """Leave the step for the next one; None where that was the last. The caller has seen that no proxy lacks anything.

    Raises Conflict where somebody else was faster."""
    following = RULES[found.step].then
    if following is None:
        _finish(store, authority, found)
        return None
    return _enter(store, found, following)


def turn_back(store: Store, authority: Authority, found: Rotation) -> Rotation:
    """Go back to the old root from here on. Raises MeshError where it is too late, or the old one cannot issue."""
    back = RULES[found.step].back
    if back is None:
        hint = "finish it with `meshctl certs rotate --root --resume`; then rotate again, if it must be another root"
        raise MeshError("refused", "every proxy is on the new root already: it is too late to go back", hint=hint)
    if back == found.step:
        return found
    if RULES[back].issuing != RULES[found.step].issuing:
        # Whoever would go back to an authority that cannot sign would be stuck between both.
        authority.check(found.old)
    return _enter(store, found, back)


def _enter(store: Store, found: Rotation, step: Step) -> Rotation:
    now, me = clock.wall(), who()
    bundle = trust_state.bundle(store)
    if bundle is None:
        raise MeshError("store_corrupt", "the store has lost which roots are trusted", hint="see `meshctl certs init`")
    rule = RULES[step]
    sides = {"old": found.old, "new": found.new}
    roots = tuple(sides[side] for side in rule.trusted)
    after = Bundle(sides[rule.issuing].number, roots, bundle.retired)
    entered = msgspec.structs.replace(found, step=step, changed=now, who=me)
    changes: list[Put | Delete] = [_put(entered), Put(BUNDLE, msgspec.json.encode(after))]
    if after.active != bundle.active:
        # Every proxy replaces its certificate, and drains the connections that it made with the one before.
        changes.append(next_generation(store, EVERY_SERVICE, at=now, who=me))
    audit = Audit(me, now, f"rotate the root: {rule.meaning}", found.step, step)
    revision = store.transact(changes, expect=[Expect(ROTATION, found.revision)], audit=audit)
    return msgspec.structs.replace(entered, revision=revision)


def _finish(store: Store, authority: Authority, found: Rotation) -> None:
    """Forget the root that is trusted no longer: its files first, so that nobody ever adopts it again."""
    gone = found.old if RULES[found.step].issuing == "new" else found.new
    with authority.files.locked():
        bundle = trust_state.bundle(store)
        if bundle is None or gone.fingerprint in bundle.fingerprints:
            raise MeshError("store_corrupt", "the store trusts a root that this rotation has dropped")
        authority.files.remove(gone.number)
        after = msgspec.structs.replace(bundle, retired=(*bundle.retired, gone)[-_RETIRED:])
        changes: list[Put | Delete] = [Delete(ROTATION), Put(BUNDLE, msgspec.json.encode(after))]
        audit = Audit(who(), clock.wall(), "end the rotation of the root", gone.fingerprint, after.issuing.fingerprint)
        store.transact(changes, expect=[Expect(ROTATION, found.revision)], audit=audit)


def _put(rotation: Rotation) -> Put:
    return Put(ROTATION, msgspec.json.encode(msgspec.structs.replace(rotation, revision=0)))


def _under_way(found: Rotation) -> MeshError:
    message = f"a rotation of the root is under way, begun by {found.who}: {RULES[found.step].meaning}"
    hint = "`--resume` goes on with it, `--abort` goes back, `--status` tells more"
    return MeshError("conflict", message, hint=hint)
