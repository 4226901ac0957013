"""What the store says about trust: which roots hold, what is revoked, which generation each service is in.

A proxy reads it whenever the store changed: a few small entries, no cryptography. Keys: `pki/bundle`,
`pki/revoked/<serial>`, `pki/generation/<service>`, and `pki/generation/*`, which counts for every service.
"""

from __future__ import annotations

from typing import Final

import msgspec

from meshctl.control.revisions import decode
from meshctl.store.protocol import Entry, Put, Store

BUNDLE: Final = "pki/bundle"
REVOKED: Final = "pki/revoked/"
GENERATIONS: Final = "pki/generation/"
EVERY_SERVICE: Final = "*"


class Root(msgspec.Struct, frozen=True):
    """A root that is trusted: `number` names its files, `fingerprint` is the SHA-256 of the certificate in hex."""

    number: int
    fingerprint: str
    certificate: str
    """PEM."""
    not_after: float
    not_before: float = 0.0


class Bundle(msgspec.Struct, frozen=True):
    """All roots that are trusted, and the number of the one under which certificates are issued."""

    active: int
    roots: tuple[Root, ...]
    retired: tuple[Root, ...] = ()
    """Roots that were trusted once, the last few: other programs may trust them still."""

    @property
    def pem(self) -> bytes:
        """The certificates of all roots."""
        return "".join(root.certificate for root in self.roots).encode()

    @property
    def issuing(self) -> Root:
        """The root under which certificates are issued."""
        return next(root for root in self.roots if root.number == self.active)

    @property
    def fingerprints(self) -> tuple[str, ...]:
        """Those of all roots, sorted."""
        return tuple(sorted(root.fingerprint for root in self.roots))


class Generation(msgspec.Struct, frozen=True):
    """How often all certificates of a service were replaced on demand, and who did it last."""

    number: int
    at: float
    who: str


class TrustState(msgspec.Struct, frozen=True):
    """All that a proxy of one service must follow. Two that are equal ask for nothing to be done."""

    bundle: bytes = b""
    """PEM of every trusted root; empty as long as the mesh has no authority."""
    roots: tuple[str, ...] = ()
    """Their fingerprints, sorted."""
    issuing: str = ""
    """The fingerprint of the root that certificates must chain to from now on."""
    generation: int = 0
    """Certificates of a smaller one are to be replaced."""
    revoked: tuple[str, ...] = ()
    """Serials that are refused, sorted."""


def read(store: Store, service: str) -> TrustState:
    """What a proxy of `service` must follow now. Costs four small reads."""
    found = bundle(store)
    revoked = tuple(entry.key.removeprefix(REVOKED) for entry in store.list(REVOKED))
    number = generation(store, service)
    if found is None:
        return TrustState(generation=number, revoked=revoked)
    return TrustState(found.pem, found.fingerprints, found.issuing.fingerprint, number, revoked)


def must_reissue(state: TrustState, *, serial: str, root: str, generation: int) -> str:
    """Why a certificate that is still in its time must be replaced all the same, or nothing. `root` is the fingerprint
    of the root that it chains to."""
    if serial in state.revoked:
        return "it is revoked"
    if generation < state.generation:
        return "its service is rotated"
    if state.issuing and root != state.issuing:
        return "its root is replaced"
    return ""


def bundle(store: Store) -> Bundle | None:
    """The trusted roots, None as long as the mesh has no authority."""
    entry = store.get(BUNDLE)
    return None if entry is None else decode(entry, Bundle)


def generation(store: Store, service: str) -> int:
    """The generation that certificates of `service` must be of. It only grows."""
    entries = [store.get(GENERATIONS + each) for each in (service, EVERY_SERVICE)]
    return sum(_number(entry) for entry in entries)


def next_generation(store: Store, service: str, *, at: float, who: str) -> Put:
    """The change that asks for new certificates of `service`, or of all with `EVERY_SERVICE`."""
    number = _number(store.get(GENERATIONS + service)) + 1
    return Put(GENERATIONS + service, msgspec.json.encode(Generation(number, at, who)))


def _number(entry: Entry | None) -> int:
    return decode(entry, Generation).number if entry else 0
