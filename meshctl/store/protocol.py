"""What every store promises. Nothing outside `store/` may know which one it has.

Keys are "/"-separated printable ASCII without spaces, values are bytes. Each commit gets the next *store revision*; an
entry remembers the store revision that last wrote it. A *lease* is a promise to be alive: entries written under it
vanish when it is released or when its time to live runs out without `keep_alive`.

Keys in use: `config/current`, `config/revisions/<number, 10 digits>` (who and when), `config/meshes/<number>` (what),
`proxies/<id>`, `acks/<id>`, `pki/bundle`, `pki/issued/<serial>`, `pki/revoked/<serial>`, `pki/generation/<service>`,
`pki/rotation`, `traffic/weights/<service>` (live weights), `traffic/history/<service>/<number>` (their changes),
`traffic/steering/…` (faults, mirrors), `auth/keys/<id>` (API keys, as digests),
`traffic/rollouts/<service>`, `traffic/past/<service>/<number>` (earlier rollouts), `duties/<name>` (who does what).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import msgspec

from meshctl.errors import MeshError


class Entry(msgspec.Struct, frozen=True):
    """A key's value, the store revision that last wrote it and the lease it lives under ("" for none)."""

    key: str
    value: bytes
    revision: int
    lease: str = ""


class Put(msgspec.Struct, frozen=True):
    """Write `value` under `key`, under `lease` where one is named."""

    key: str
    value: bytes
    lease: str = ""


class Delete(msgspec.Struct, frozen=True):
    """Remove `key`; removing what is not there is no error."""

    key: str


class Expect(msgspec.Struct, frozen=True):
    """A condition of a transaction: `key` was last written at `revision`; 0 means it does not exist."""

    key: str
    revision: int


class Audit(msgspec.Struct, frozen=True):
    """Who changed what, when (seconds since the epoch), from what to what: written in the transaction it tells of."""

    who: str
    when: float
    what: str
    before: str = ""
    after: str = ""
    revision: int = 0
    """The store revision of the change; filled in by the store."""


class Conflict(MeshError):  # noqa: N818 - the word of the design; every caller reads "except Conflict"
    """A transaction's expectation did not hold; `found` is the revision that `key` has now (0: there is none)."""

    def __init__(self, key: str, expected: int, found: int) -> None:
        numbers = f"expected store revision {expected}, found {found}"
        super().__init__("conflict", f'"{key}" was changed by someone else ({numbers})')
        self.key = key
        self.expected = expected
        self.found = found


class LeaseEnded(MeshError):  # noqa: N818 - as above
    """A transaction wanted to write under a lease that has run out or was released: ask for a new one."""

    def __init__(self, lease: str) -> None:
        super().__init__("conflict", f'the lease "{lease}" has ended', hint="ask for a new lease and write again")
        self.lease = lease


@runtime_checkable
class Watch(Protocol):
    """Tells cheaply whether anything was committed since it was last asked."""

    def changed(self) -> bool:
        """True once after one or more commits by any process, this one included. Costs a few microseconds."""

    def fileno(self) -> int:
        """A descriptor that is readable from a commit until `changed` is asked, so that it need not be asked all the
        time; -1 where there is none. A commit may fail to tell, so ask now and then all the same."""

    def close(self) -> None:
        """Give back what the watch holds."""


@runtime_checkable
class Store(Protocol):
    """See the module. Methods raise MeshError with code store_unavailable, store_corrupt or store_full."""

    def get(self, key: str) -> Entry | None:
        """The entry under `key`, or None."""

    def audits(self, limit: int = 100) -> list[Audit]:
        """The latest audit records, newest first."""

    def list(self, prefix: str, *, after: int = 0) -> list[Entry]:
        """All entries whose key starts with `prefix`, in key order; with `after` those alone that were written later
        than at that store revision. Entries of expired leases are not among them."""

    def count(self, prefix: str) -> int:
        """How many entries `list(prefix)` has now, which tells whether some are gone without reading the others."""

    def transact(
        self, changes: Sequence[Put | Delete], *, expect: Sequence[Expect] = (), audit: Audit | None = None
    ) -> int:
        """Commit all `changes` or none, durable when it returns; the new store revision. Later changes to a key win
        over earlier ones. Raises Conflict, LeaseEnded."""

    def revision(self) -> int:
        """The store revision of the last commit; 0 for a new store."""

    def watch(self) -> Watch:
        """A watch that first reports commits made after this call."""

    def grant(self, ttl: float) -> str:
        """A new lease that lives `ttl` seconds unless kept alive."""

    def keep_alive(self, lease: str) -> bool:
        """Start the lease's time anew; False where it has already run out."""

    def release(self, lease: str) -> None:
        """End the lease and drop its entries."""

    def close(self) -> None:
        """Close the store; it cannot be used afterwards."""
