"""Certificates and the keys that belong to them: whose ends when, what fits, what is refused and still in use."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Final

from meshctl import clock
from meshctl.control import issued, trust_state
from meshctl.control.authority_files import AuthorityFiles
from meshctl.control.checks.facts import Facts
from meshctl.control.checks.finding import Finding, Unknown, counted, failed, passed, warned, worst
from meshctl.control.rotation import rotation
from meshctl.control.trust_state import Bundle
from meshctl.core.renewal import PART
from meshctl.model.views import IdentityView, ProxyView

SOON: Final = 30 * 86400.0
"""Seconds before the end of a root, an intermediate or a file of the user's from which on it is told of."""
LATE: Final = 0.05
"""The part of its life by which a certificate may be late to be renewed: others are tried again for a minute."""
HALTED: Final = 900.0
_ROTATE: Final = "meshctl certs rotate --root"


def judge_end(name: str, end: float, now: float, hint: str, soon: float = SOON) -> Finding:
    """What to say of something that ends at `end`."""
    day = clock.timestamp(end)[:10]
    if now >= end:
        return failed(f"{name} expired on {day}", hint)
    if end - now < soon:
        return warned(f"{name} expires on {day}, in {counted(int((end - now) // 86400), 'day')}", hint)
    return passed(f"{name} until {day}")


def authority(facts: Facts) -> Finding:
    """The mesh's authority can sign: its intermediate is there, with a key that fits."""
    bundle = trusted(facts)
    files = AuthorityFiles(facts.home)
    # Whatever is wrong with them is told by the error: missing, damaged, open to others, of another certificate.
    files.read_root_certificate(bundle.active)
    files.read_intermediate(bundle.active)
    at_hand = "at hand" if files.is_key_at_hand(bundle.active) else "away or encrypted, as it should be"
    return passed(f"root {bundle.active} issues; its key is {at_hand}")


def roots(facts: Facts) -> Finding:
    """The roots that the mesh trusts live for long."""
    bundle = trusted(facts)
    return worst(
        (judge_end(f"root {root.number}", root.not_after, facts.now, _ROTATE) for root in bundle.roots),
        ", ".join(f"root {root.number} until {clock.timestamp(root.not_after)[:10]}" for root in bundle.roots),
    )


def intermediates(facts: Facts) -> Finding:
    """What signs all certificates lives for long."""
    bundle = trusted(facts)
    files = AuthorityFiles(facts.home)
    found = {root.number: files.read_intermediate_certificate(root.number) for root in bundle.roots}
    hint = "meshctl certs init, with the root's key at hand (--passphrase, --offline-root DIR), renews it"
    ends = {number: each.not_valid_after_utc.timestamp() for number, each in found.items()}
    return worst(
        (judge_end(f"intermediate {number}", end, facts.now, hint) for number, end in ends.items()),
        ", ".join(f"intermediate {number} until {clock.timestamp(end)[:10]}" for number, end in ends.items()),
    )


def leaves(facts: Facts) -> Finding:
    """No running proxy presents a certificate that has expired."""
    return judge_leaves(_identities(facts), facts.now)


def judge_leaves(found: Iterable[tuple[ProxyView, IdentityView]], now: float) -> Finding:
    """See `leaves`."""
    using = list(found)
    return worst(
        (
            judge_end(f"the certificate of {view.id}", identity.not_after, now, _renew(view), soon=0.0)
            for view, identity in using
        ),
        f"{counted(len(using), 'proxy', 'proxies')} with a certificate in its time",
    )


def renewals(facts: Facts) -> Finding:
    """Running proxies renew their certificates in time."""
    return judge_renewals(_identities(facts), facts.now)


def judge_renewals(found: Iterable[tuple[ProxyView, IdentityView]], now: float) -> Finding:
    """See `renewals`."""
    using = list(found)
    findings = []
    for view, identity in using:
        life = identity.not_after - identity.not_before
        if identity.not_before + life * (PART + LATE) < now < identity.not_after:
            detail = f"{view.id} should have renewed its certificate by now"
            findings.append(warned(detail, f"its log says why (certificate_not_renewed); try: {_renew(view)}"))
    return worst(findings, f"{counted(len(using), 'proxy', 'proxies')} up to date")


def revoked(facts: Facts) -> Finding:
    """No running proxy presents a certificate that is revoked."""
    return judge_revoked(_identities(facts), issued.revoked(facts.read()))


def judge_revoked(found: Iterable[tuple[ProxyView, IdentityView]], refused: Collection[str]) -> Finding:
    """See `revoked`; `refused` are the serials."""
    return worst(
        (
            failed(f"{view.id} still presents a certificate that is revoked ({identity.serial[:16]})", _renew(view))
            for view, identity in found
            if identity.serial in refused
        ),
        f"{counted(len(refused), 'certificate')} revoked, none in use",
    )


def trust(facts: Facts) -> Finding:
    """All running proxies trust the same roots: those of the store."""
    return judge_trust(_identities(facts), trusted(facts))


def judge_trust(found: Iterable[tuple[ProxyView, IdentityView]], bundle: Bundle) -> Finding:
    """See `trust`."""
    return worst(
        (
            failed(
                f"{view.id} does not trust the roots that the mesh trusts: its calls will fail",
                "meshctl certs rotate --root --status; if no rotation is under way, start that proxy again",
            )
            for view, identity in found
            if identity.roots != bundle.fingerprints
        ),
        f"{counted(len(bundle.roots), 'root')}, trusted alike",
    )


def root_rotation(facts: Facts) -> Finding:
    """A rotation of the root that has begun goes on."""
    found = rotation(facts.read())
    if found is None:
        return passed("none is under way")
    detail = f'a rotation of the root stands at "{found.step}" since {clock.timestamp(found.changed)}'
    if facts.now - found.changed < HALTED:
        return passed(detail)
    return warned(detail, "meshctl certs rotate --root --resume, or --abort")


def future(facts: Facts) -> Finding:
    """No certificate was issued in the future, which would mean that a clock is wrong."""
    return judge_future({each.subject: each.not_before for each in issued.issued(facts.read())}, facts.now)


def judge_future(begins: dict[str, float], now: float) -> Finding:
    """See `future`; `begins` is when each certificate is valid from. They are dated back, so none is ahead of a clock
    that is right."""
    ahead = [name for name, begin in begins.items() if begin > now]
    if ahead:
        detail = (
            f"the certificate of {ahead[0]} is not valid yet: this clock is behind, or was ahead when it was issued"
        )
        return failed(detail, "set this machine's clock (timedatectl set-ntp true), then: meshctl certs rotate --all")
    return passed(f"{counted(len(begins), 'certificate')} on record")


def trusted(facts: Facts) -> Bundle:
    """The roots that the mesh trusts. Raises Unknown where it has no authority."""
    found = trust_state.bundle(facts.read())
    if found is None:
        raise Unknown("this mesh has no authority yet, because nothing needed one")
    return found


def _identities(facts: Facts) -> list[tuple[ProxyView, IdentityView]]:
    found = [(view, view.identity) for view in facts.views() if view.identity is not None]
    if not found:
        raise Unknown("no running proxy needs an identity")
    return found


def _renew(view: ProxyView) -> str:
    return f"meshctl certs rotate {view.service or 'gateway'}"
