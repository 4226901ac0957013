"""What is asked of the mesh's authority, and what it gives: values, that travel to the issuing process and back.

Loads nothing, because that process is started for each certificate: every import is paid for each time.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from meshctl.model.views import IdentityView


class Order(msgspec.Struct, frozen=True):
    """A certificate that is wanted: an identity of the mesh ("workload"), the gateway's own for `hosts` ("edge") or a
    user's ("server")."""

    kind: Literal["workload", "edge", "server"]
    trust_domain: str
    service: str = ""
    hosts: tuple[str, ...] = ()
    """Host names, "*.host" and addresses; a workload has its mesh names instead."""
    proxy: str = ""
    """The id of the proxy that will use it."""
    life: float = 0.0
    """Seconds; 0 is a day. A workload's is always a day."""
    is_client: bool = False
    """Whether a server's certificate is good for a client too."""


class Credentials(msgspec.Struct, frozen=True):
    """A certificate with its private key, and whom to trust. Its `repr` tells nothing of the key."""

    identity: str
    """The SPIFFE ID; empty for what is no workload."""
    service: str
    certificate: bytes
    """PEM: the leaf, then the intermediate."""
    key: bytes
    """PEM, without passphrase."""
    bundle: bytes
    """PEM of every trusted root."""
    serial: str
    """In lower-case hex."""
    not_before: float
    not_after: float
    generation: int
    """Of the service, when it was issued: see `trust_state.generation`."""
    root: str
    """The fingerprint of the root it chains to."""
    roots: tuple[str, ...]
    """The fingerprints of all in `bundle`, sorted."""
    intermediate_not_after: float = 0.0
    """When the intermediate in `certificate` ends."""

    def __repr__(self) -> str:
        return f"<Credentials {self.identity or self.service} serial {self.serial}>"

    @property
    def view(self) -> IdentityView:
        """What a proxy that uses them tells of itself."""
        return IdentityView(
            spiffe=self.identity,
            serial=self.serial,
            issuer=self.root,
            not_before=self.not_before,
            not_after=self.not_after,
            generation=self.generation,
            roots=self.roots,
            intermediate_not_after=self.intermediate_not_after,
        )


class Task(msgspec.Struct, frozen=True):
    """What the issuing process reads."""

    home: str
    order: Order


class Refused(msgspec.Struct, frozen=True, tag=True):
    """What it says where it cannot."""

    code: str
    message: str
    hint: str


class Issued(msgspec.Struct, frozen=True, tag=True):
    """What it says where it can."""

    credentials: Credentials


Reply = Refused | Issued
