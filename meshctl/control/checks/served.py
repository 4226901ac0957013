"""Certificates that clients outside the mesh meet: those of listeners, of servers of the user's own, and in files."""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from meshctl.control import issued, trust_state
from meshctl.control.checks.certificates import judge_end, trusted
from meshctl.control.checks.facts import Facts
from meshctl.control.checks.finding import Finding, Unknown, counted, failed, passed, warned, worst
from meshctl.control.issued import Issued
from meshctl.errors import MeshError

if TYPE_CHECKING:
    from cryptography.x509 import Certificate


def edges(facts: Facts) -> Finding:
    """The certificates that running gateways have from the mesh for their listeners are in their time."""
    return judge_edges(issued.issued(facts.read()), {record.id for record in facts.living()}, facts.now)


def judge_edges(found: Iterable[Issued], living: Collection[str], now: float) -> Finding:
    """See `edges`; `found` are all certificates on record, the newest first."""
    newest: dict[str, Issued] = {}
    for each in found:
        if each.kind == "edge" and each.proxy in living:
            newest.setdefault(each.proxy, each)
    return worst(
        (
            judge_end(
                f"the listener's certificate of {each.proxy}",
                each.not_after,
                now,
                f"its log says why (certificate_not_renewed); try: meshctl certs rotate {each.service}",
                soon=0.0,
            )
            for each in newest.values()
        ),
        f"{counted(len(newest), 'listener certificate')} of the mesh",
    )


def servers(facts: Facts) -> Finding:
    """Certificates that were made for servers of the user's own live on: nobody renews them."""
    store = facts.read()
    bundle = trust_state.bundle(store)
    roots = bundle.fingerprints if bundle else ()
    return judge_servers(issued.issued(store), issued.revoked(store), roots, facts.now)


def judge_servers(found: Iterable[Issued], refused: Collection[str], roots: Collection[str], now: float) -> Finding:
    """See `servers`; `found` are all certificates on record, the newest first, `refused` the serials that are revoked,
    `roots` those that are trusted. In the last tenth of its life one is told of."""
    newest: dict[str, Issued] = {}
    for each in found:
        if each.kind == "server" and each.serial not in refused:
            newest.setdefault(each.subject, each)
    return worst(
        (_judge_server(each, roots, now) for each in newest.values()),
        f"{counted(len(newest), 'certificate')} for servers of your own",
    )


def _judge_server(found: Issued, roots: Collection[str], now: float) -> Finding:
    what, hint = f"the certificate for {found.subject}", f"meshctl certs issue {' '.join(found.hosts)}"
    if found.root not in roots and now <= found.not_after:
        return warned(f"{what} is of a root that was rotated away", hint)
    return judge_end(what, found.not_after, now, hint, soon=(found.not_after - found.not_before) / 10)


def files(facts: Facts) -> Finding:
    """The certificates that listeners have from files are there, in their time, with keys that fit."""
    applied = facts.applied()
    listeners = applied.mesh().gateway.listeners if applied else ()
    pairs = dict.fromkeys((each.certificate, each.key) for listener in listeners for each in listener.tls)
    if not pairs:
        raise Unknown("no listener has a certificate from a file")
    return worst((judge_file(*pair, facts.now) for pair in pairs), counted(len(pairs), "file"))


def judge_file(certificate: str, key: str, now: float) -> Finding:
    """See `files`; one certificate and the key that should be its own."""
    hint = f"renew it, then: meshctl gateway reload (file {certificate})"
    try:
        found = _read(Path(certificate))
        if not _fits(found, Path(key)):
            return failed(f"the key {key} does not fit {certificate}", "put the two that belong together there")
    except (OSError, ValueError) as error:
        why = (getattr(error, "strerror", "") or str(error)).lower()
        return failed(f"{certificate}: {why}", "put the certificate and its key back")
    return judge_end(certificate, found.not_valid_after_utc.timestamp(), now, hint)


def _read(path: Path) -> Certificate:
    from meshctl.pki import pem

    return pem.read_certificates(path.read_bytes())[0]


def _fits(certificate: Certificate, key: Path) -> bool:
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    from meshctl.config.certificates import fits

    return fits(certificate, load_pem_private_key(key.read_bytes(), None))


def trust_stores(facts: Facts) -> Finding:
    """Whether browsers on this machine trust the mesh; nothing is wrong where they do not."""
    from meshctl.pki.trust_stores import TrustedRoot, stores

    bundle = trusted(facts)
    applied = facts.applied()
    name = applied.mesh().trust_domain if applied else "mesh.mesh"
    root = bundle.issuing
    wanted = TrustedRoot(
        slug=f"meshctl-{name}-root-{root.number}-{root.fingerprint[:8]}",
        fingerprint=root.fingerprint,
        pem=root.certificate.encode(),
        file=facts.home.path / "pki" / f"root-{root.number}.crt",
    )
    places = []
    for store in stores(home=Path(facts.environ.get("HOME", "/")), platform=sys.platform, prefix=None):
        try:
            places += [store.place] if store.has(wanted) else []
        except (MeshError, OSError):
            continue
    if places:
        return passed(f"installed: {', '.join(places)}")
    return passed("not installed in this machine's trust stores", "for browsers: meshctl certs trust install")
