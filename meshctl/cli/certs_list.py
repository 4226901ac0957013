"""`meshctl certs ls` and `show`: every certificate of the mesh, how long it lives, and which proxy uses it."""

from __future__ import annotations

from collections.abc import Container, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from meshctl.cli.certs_doors import intermediate, live, read_file
from meshctl.cli.command import Output, OutputOption, examples
from meshctl.cli.lifetimes import bar, left
from meshctl.cli.session import Session

if TYPE_CHECKING:
    from meshctl.control.issued import Issued
    from meshctl.control.trust_state import Bundle
    from meshctl.model.views import ProxyRecord, ProxyView

_SHORT = 16


@dataclass(frozen=True, slots=True)
class Row:
    """A certificate as `certs ls` shows it. `state` is valid, due (to be renewed), expired, revoked or untrusted:
    its root was rotated away."""

    subject: str
    kind: str
    state: str
    serial: str
    identity: str
    hosts: tuple[str, ...]
    not_before: float
    not_after: float
    issuer: str
    """The fingerprint of the root it chains to."""
    used_by: tuple[str, ...]
    """The proxies that run with it now."""


@examples("""
    meshctl certs ls
    meshctl certs ls --all -o json
""")
def ls(
    session: Session,
    every: Annotated[bool, typer.Option("--all", "-a", help="Also those that newer ones replaced.")] = False,
    output: OutputOption = Output.TABLE,
) -> None:
    """List the mesh's certificates: whose they are, how long they still live, and which running proxy uses them."""
    from meshctl import clock
    from meshctl.control import issued, trust_state

    with session.store() as store:
        bundle = trust_state.bundle(store)
        records = issued.issued(store)
        revoked = issued.revoked(store)
    now = clock.wall()
    users = _users(records, live(session))
    trusted = _trusted(bundle)
    rows = [_row(each, now, revoked, trusted, users.get(each.serial, ())) for each in records]
    shown = [*_roots(bundle, now), *_intermediates(session, bundle, now), *(rows if every else _current(records, rows))]
    if output is Output.JSON:
        session.terminal.document(shown)
        return
    session.terminal.table(
        ["SUBJECT", "KIND", "STATE", "LEFT>", "OF ITS LIFE", "SERIAL", "USED BY", "IDENTITY"],
        [
            (
                row.subject,
                row.kind,
                row.state,
                left(row.not_after, now),
                bar(row.not_before, row.not_after, now),
                row.serial[:_SHORT],
                ", ".join(row.used_by),
                row.identity or ", ".join(row.hosts),
            )
            for row in shown
        ],
        empty="no certificate has been issued; the first proxy that needs one makes the authority",
        spare=("OF ITS LIFE", "IDENTITY"),
    )


@examples("""
    meshctl certs show orders
    meshctl certs show 5e0f27de6db0664c
    meshctl certs show localhost.crt -o json
""")
def show(
    session: Session,
    name: Annotated[str, typer.Argument(metavar="NAME", help="A serial, a service's or server's name, or a file.")],
    output: OutputOption = Output.TABLE,
) -> None:
    """Show all that is known of a certificate: one that was issued here, or those in a PEM file."""
    if Path(name).is_file():
        _show_file(session, Path(name), output)
        return
    from meshctl import clock
    from meshctl.control import issued, trust_state

    with session.store() as store:
        found = issued.find(store, name)
        revoked = issued.revoked(store)
        trusted = _trusted(trust_state.bundle(store))
    now = clock.wall()
    users = _users(found, live(session))
    if output is Output.JSON:
        session.terminal.document(
            [
                {"certificate": each, "revoked": revoked.get(each.serial), "used_by": users.get(each.serial, ())}
                for each in found
            ]
        )
        return
    for at, each in enumerate(found):
        if at:
            session.terminal.data("")
        row = _row(each, now, revoked, trusted, users.get(each.serial, ()))
        refusal = revoked.get(each.serial)
        session.terminal.pairs(
            [
                ("subject", each.subject),
                ("kind", each.kind),
                ("state", row.state),
                ("identity", each.identity),
                ("hosts", ", ".join(each.hosts)),
                ("serial", each.serial),
                ("valid from", clock.timestamp(each.not_before)),
                ("valid until", f"{clock.timestamp(each.not_after)} ({left(each.not_after, now)})"),
                ("root", each.root),
                ("generation", each.generation),
                ("issued to", each.proxy),
                ("issued by", each.who),
                ("used by", ", ".join(row.used_by)),
                ("revoked", f"{clock.timestamp(refusal.at)} by {refusal.who}" if refusal else ""),
            ]
        )


def _show_file(session: Session, path: Path, output: Output) -> None:
    from meshctl import clock
    from meshctl.pki.chain import hosts_of, identities_of, name_of
    from meshctl.pki.peer import serial_text
    from meshctl.pki.pem import fingerprint

    now = clock.wall()
    documents: list[dict[str, str | float]] = [
        {
            "subject": name_of(each),
            "issuer": each.issuer.rfc4514_string(),
            "identity": ", ".join(identities_of(each)),
            "hosts": ", ".join(hosts_of(each)),
            "serial": serial_text(each.serial_number),
            "not_before": each.not_valid_before_utc.timestamp(),
            "not_after": each.not_valid_after_utc.timestamp(),
            "fingerprint": fingerprint(each),
        }
        for each in read_file(path)
    ]
    if output is Output.JSON:
        session.terminal.document(documents)
        return
    for at, each in enumerate(documents):
        if at:
            session.terminal.data("")
        start, end = float(each.pop("not_before")), float(each.pop("not_after"))
        until = f"{clock.timestamp(end)} ({left(end, now)})"
        session.terminal.pairs([*each.items(), ("valid from", clock.timestamp(start)), ("valid until", until)])


def _trusted(bundle: Bundle | None) -> tuple[str, ...]:
    return bundle.fingerprints if bundle else ()


def _roots(bundle: Bundle | None, now: float) -> list[Row]:
    """The roots as rows: the one that issues first."""
    roots = sorted(bundle.roots, key=lambda root: root.number != bundle.active) if bundle else []
    return [
        Row(
            subject=f"root {root.number}",
            kind="root",
            state="expired" if now > root.not_after else "valid",
            serial="",
            identity="",
            hosts=(),
            not_before=root.not_before,
            not_after=root.not_after,
            issuer=root.fingerprint,
            used_by=(),
        )
        for root in roots
    ]


def _intermediates(session: Session, bundle: Bundle | None, now: float) -> list[Row]:
    """What signs under each root."""
    from meshctl.pki.peer import serial_text

    rows = []
    for root in bundle.roots if bundle else ():
        if (found := intermediate(session, root.number)) is None:
            continue
        start, end = found.not_valid_before_utc.timestamp(), found.not_valid_after_utc.timestamp()
        rows.append(
            Row(
                subject=f"intermediate {root.number}",
                kind="intermediate",
                state=_state(start, end, now, is_renewed=True),
                serial=serial_text(found.serial_number),
                identity="",
                hosts=(),
                not_before=start,
                not_after=end,
                issuer=root.fingerprint,
                used_by=(),
            )
        )
    return rows


def _state(start: float, end: float, now: float, *, is_renewed: bool) -> str:
    from meshctl.core.renewal import renewal_moment

    if now > end:
        return "expired"
    return "due" if is_renewed and now >= renewal_moment(start, end, 0) else "valid"


def _row(record: Issued, now: float, revoked: Container[str], trusted: Container[str], used_by: tuple[str, ...]) -> Row:
    # Nobody renews what a user asked for.
    state = _state(record.not_before, record.not_after, now, is_renewed=record.kind != "server")
    if record.root not in trusted and state != "expired":
        state = "untrusted"
    return Row(
        subject=record.subject,
        kind=record.kind,
        state="revoked" if record.serial in revoked else state,
        serial=record.serial,
        identity=record.identity,
        hosts=record.hosts,
        not_before=record.not_before,
        not_after=record.not_after,
        issuer=record.root,
        used_by=used_by,
    )


def _users(records: Iterable[Issued], proxies: Iterable[tuple[ProxyRecord, ProxyView]]) -> dict[str, tuple[str, ...]]:
    """Which running proxies use which serial. Of its certificate for browsers a proxy does not tell: that is the newest
    one that was made for it."""
    found: dict[str, list[str]] = {}
    running = set()
    for proxy, view in proxies:
        running.add(proxy.id)
        if view.identity is not None:
            found.setdefault(view.identity.serial, []).append(proxy.id)
    for record in records:
        if record.kind == "edge" and record.proxy in running:
            running.remove(record.proxy)
            found.setdefault(record.serial, []).append(record.proxy)
    return {serial: tuple(sorted(ids)) for serial, ids in found.items()}


def _current(records: Iterable[Issued], rows: Iterable[Row]) -> list[Row]:
    """Without those that nobody uses and that a newer one for the same proxy replaced."""
    shown, seen = [], set()
    for record, row in zip(records, rows, strict=True):
        place = (record.kind, record.service, record.proxy) if record.kind != "server" else (record.serial,)
        if place not in seen or row.used_by:
            shown.append(row)
        seen.add(place)
    return shown
