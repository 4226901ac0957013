"""The records of what the mesh's authority has issued and revoked. Knows neither keys nor files.

Keys: `pki/issued/<serial>` and `pki/revoked/<serial>`. A record is kept as long as its certificate is in its time, and
of those that proxies replace by themselves the newest.
"""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from meshctl.control.revisions import decode
from meshctl.control.trust_state import REVOKED
from meshctl.errors import MeshError
from meshctl.store.protocol import Audit, Delete, Put, Store

ISSUED: Final = "pki/issued/"
# An expired certificate is refused by its date; its record goes when even a clock that is this late agrees.
_KEPT: Final = 86400.0
MOST: Final = 20_000
"""Certificates of proxies that are remembered, at 350 bytes each: a thousand proxies, each rotated twenty times in the
two days of a record. One that is forgotten in its time can be refused no more but with all others, by another root."""
FEW: Final = 1_000
"""As long as there are no more, all are looked at with each new one. Of more that takes a while."""

Kind = Literal["workload", "edge", "server"]


class Issued(msgspec.Struct, frozen=True):
    """One certificate: a "workload" of the mesh, the gateway's own for browsers ("edge"), or a user's "server"."""

    serial: str
    kind: Kind
    subject: str
    identity: str
    """The SPIFFE ID; empty where it has none."""
    service: str
    hosts: tuple[str, ...]
    not_before: float
    not_after: float
    root: str
    """The fingerprint of the root it chains to."""
    generation: int
    proxy: str
    """The id of the proxy it was made for; empty for a user's."""
    who: str


class Revoked(msgspec.Struct, frozen=True):
    """Why and since when a certificate is refused."""

    serial: str
    at: float
    who: str
    subject: str
    not_after: float


def issued(store: Store) -> list[Issued]:
    """The certificates that may still be in their time, the newest first."""
    # Their own dates are whole seconds, in which several may be issued.
    entries = sorted(store.list(ISSUED), key=lambda entry: -entry.revision)
    return [decode(entry, Issued) for entry in entries]


def revoked(store: Store) -> dict[str, Revoked]:
    """What is refused, by serial."""
    found = (decode(entry, Revoked) for entry in store.list(REVOKED))
    return {each.serial: each for each in found}


def record(issued: Issued) -> Put:
    """The change that remembers a new certificate."""
    return Put(ISSUED + issued.serial, msgspec.json.encode(issued))


def forgotten(store: Store, serial: str, now: float) -> list[Delete]:
    """The changes that drop the records of certificates long past their time, and the oldest of too many, when one with
    this serial is issued: with every sixteenth where there are more than a few."""
    # Serials are drawn, so their last digit is a die that everybody sees alike.
    if store.count(ISSUED) > FEW and not serial.endswith("0"):
        return []
    known = issued(store)
    gone = [each for each in known if each.not_after + _KEPT < now]
    crowd = [each for each in known if each.kind != "server" and each.not_after + _KEPT >= now][MOST:]
    over = [each.serial for each in revoked(store).values() if each.not_after + _KEPT < now]
    return [*(Delete(ISSUED + each.serial) for each in (*gone, *crowd)), *(Delete(REVOKED + each) for each in over)]


def revoke(store: Store, certificates: list[Issued], *, at: float, who: str) -> list[Issued]:
    """Have every proxy refuse these certificates from now on; those that were not refused already."""
    before = revoked(store)
    fresh = [each for each in certificates if each.serial not in before]
    changes = [
        Put(REVOKED + each.serial, msgspec.json.encode(Revoked(each.serial, at, who, each.subject, each.not_after)))
        for each in fresh
    ]
    if changes:
        names = ", ".join(f"{each.subject} ({each.serial})" for each in fresh)
        store.transact(changes, audit=Audit(who, at, f"revoke {names}"))
    return fresh


def find(store: Store, name: str) -> list[Issued]:
    """The certificates that `name` means: a serial in any writing or the beginning of one (8 digits at least), a SPIFFE
    ID, or the name of a service or server. Raises MeshError not_found."""
    known = issued(store)
    serial = plain_serial(name)
    found = [each for each in known if each.serial == serial]
    found = found or [each for each in known if name in (each.identity, each.service, each.subject) and name]
    if not found and len(serial) >= 8:
        found = [each for each in known if each.serial.startswith(serial)]
        if len(found) > 1:
            message = f'"{name}" is the beginning of {len(found)} serial numbers'
            raise MeshError("usage", message, hint="write more of it")
    if not found:
        raise MeshError("not_found", f'no certificate "{name}" was issued here', hint="see `meshctl certs ls`")
    return found


def plain_serial(text: str) -> str:
    """A serial as certificates' tools write it ("0A:1B", "0xa1b") in the form that it is kept in."""
    return text.strip().lower().removeprefix("0x").replace(":", "").lstrip("0")
