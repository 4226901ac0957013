"""`meshctl certs rotate --root`: step by step to a new root, interruptible, never past a proxy that is behind."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from meshctl.cli.certs_doors import authority, trust_domain
from meshctl.cli.certs_follow import follow
from meshctl.cli.command import Output
from meshctl.cli.lifetimes import span
from meshctl.cli.session import Session
from meshctl.errors import DONE, FAILED, MeshError

if TYPE_CHECKING:
    from meshctl.control.authority import Authority
    from meshctl.control.rotation import Rotation
    from meshctl.store.protocol import Store

_RESUME: Final = "meshctl certs rotate --root --resume"
_ABORT: Final = "meshctl certs rotate --root --abort"


def begin(
    session: Session,
    timeout: float,
    output: Output,
    *,
    secret: bytes | None,
    offline_root: Path | None,
) -> int:
    """Make a new root, its key under the passphrase or offline where that is asked for, and change the mesh over."""
    from meshctl.control import rotation

    with authority(session, passphrase=secret, offline=offline_root) as (found, store):
        started = rotation.begin(store, found, trust_domain(session, store))
        _warn(session, store, found, started)
        return _drive(session, store, found, started, timeout, output)


def resume(session: Session, timeout: float, output: Output) -> int:
    """Go on with a rotation from wherever it stands."""
    with authority(session) as (found, store):
        return _drive(session, store, found, _under_way(store), timeout, output)


def abort(session: Session, timeout: float, output: Output) -> int:
    """Go back to the old root from wherever a rotation stands."""
    from meshctl.control import rotation

    with authority(session) as (found, store):
        back = rotation.turn_back(store, found, _under_way(store))
        return _drive(session, store, found, back, timeout, output)


def status(session: Session, output: Output) -> int:
    """Show where a rotation stands, and how each running proxy does."""
    from meshctl import clock
    from meshctl.control.confirming import standings
    from meshctl.control.rotation import rotation
    from meshctl.core.rotation_step import RULES

    with session.store() as store:
        found = rotation(store)
        proxies = standings(store) if found else []
    if output is Output.JSON:
        lacks = {each.proxy: each.silence or found.lack(each) for each in proxies} if found else {}
        session.terminal.document({"rotation": found, "lacks": lacks})
        return DONE
    if found is None:
        session.terminal.say("no rotation of the root is under way")
        return DONE
    session.terminal.pairs(
        [
            ("step", f"{found.step}: {RULES[found.step].meaning}"),
            ("since", f"{span(clock.wall() - found.changed)} ago, by {found.who}"),
            ("old root", found.old.fingerprint),
            ("new root", found.new.fingerprint),
        ]
    )
    session.terminal.data("")
    rows = [(each.proxy, each.service, each.silence or found.lack(each) or "has all it needs") for each in proxies]
    session.terminal.table(["PROXY", "SERVICE", "STANDING"], rows, empty="no proxy with an identity is running")
    return DONE


def _under_way(store: Store) -> Rotation:
    from meshctl.control.rotation import rotation

    found = rotation(store)
    if found is None:
        hint = "begin one with `meshctl certs rotate --root`"
        raise MeshError("not_found", "no rotation of the root is under way", hint=hint)
    return found


def _drive(
    session: Session, store: Store, authority: Authority, found: Rotation, timeout: float, output: Output
) -> int:
    """Take step after step, each when every running proxy is ready for it."""
    from meshctl.control import rotation
    from meshctl.core.rotation_step import RULES
    from meshctl.store.protocol import Conflict

    current: Rotation | None = found
    try:
        while current is not None:
            session.terminal.say(f"{current.step}: {RULES[current.step].meaning}")
            behind = follow(session, store, current.lack, timeout)
            if behind:
                return _stuck(session, current, behind, output)
            try:
                current = rotation.advance(store, authority, current)
            except Conflict:
                # Somebody else drives it as well: what is there now counts.
                current = rotation.rotation(store)
    except KeyboardInterrupt:
        session.terminal.fail(f"interrupted; nothing is lost: `{_RESUME}` goes on, `{_ABORT}` goes back")
        raise
    return _over(session, store, found, output)


def _stuck(session: Session, current: Rotation, behind: dict[str, str], output: Output) -> int:
    if output is Output.JSON:
        session.terminal.document({"done": False, "step": current.step, "lacks": behind})
    names = ", ".join(behind)
    message = f"the rotation waits at step {current.step} for {names}"
    session.terminal.error(MeshError("failed", message, hint=f"see to it and run `{_RESUME}`, or `{_ABORT}`"))
    return FAILED


def _over(session: Session, store: Store, found: Rotation, output: Output) -> int:
    from meshctl.control import trust_state

    bundle = trust_state.bundle(store)
    issuing = bundle.issuing if bundle else found.new
    is_new = issuing.fingerprint == found.new.fingerprint
    if output is Output.JSON:
        session.terminal.document({"done": True, "root": issuing.fingerprint, "is_new": is_new})
    word = "the mesh is on its new root" if is_new else "the mesh is on its old root again"
    session.terminal.say(f"{word} {issuing.fingerprint}")
    if is_new:
        session.terminal.say("next: meshctl certs trust install, where programs of this machine trusted the old one")
    return DONE


def _warn(session: Session, store: Store, authority: Authority, started: Rotation) -> None:
    """Tell what the change will break that no proxy renews, and of a key that was better kept before."""
    from meshctl.control import issued

    old = [each for each in issued.issued(store) if each.kind == "server" and each.root == started.old.fingerprint]
    if old:
        names = _listed([each.subject for each in old])
        session.terminal.warn(f"issue anew what is signed by the old root: {names}")
    was_kept = not authority.files.is_key_at_hand(started.old.number)
    if was_kept and authority.files.is_key_at_hand(started.new.number):
        path = authority.files.root_key(started.new.number)
        session.terminal.warn(f"the new root's key lies open in {path}; `meshctl certs init --passphrase` protects it")


def _listed(names: Sequence[str], most: int = 5) -> str:
    shown = ", ".join(dict.fromkeys(names[:most]))
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"
