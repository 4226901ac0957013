"""Who calls, once that is known, and what keeps a caller from being known. Pure values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import inf

import msgspec

from meshctl.model.claims import NO_CLAIMS, claim_text


class Principal(msgspec.Struct, frozen=True):
    """A caller who is known."""

    subject: str
    way: str
    """The name of the [auth] table that knows it."""
    claims: Mapping[str, object] = NO_CLAIMS
    scopes: frozenset[str] = frozenset()
    roles: frozenset[str] = frozenset()
    owner: str = ""
    """Of the API key it came with."""
    identity: str = ""
    """The SPIFFE ID of the mesh's member that it is."""
    until: float = inf
    """When this is no longer so, in seconds since the epoch."""
    told: tuple[bytes, ...] = ()
    """The fields by which a service is told of it."""


class Refused(msgspec.Struct, frozen=True):
    """Why a caller is not known: a code of `wire.reasons`, and words for the caller that give nothing away."""

    reason: str
    detail: str

    @property
    def is_silent(self) -> bool:
        """Whether the caller said nothing of who it is."""
        return self.reason == "unauthenticated"


class RefusedElsewhere(Refused, frozen=True):
    """A refusal in the words of another server that was asked: what the client is answered."""

    status: int
    fields: tuple[bytes, ...]
    body: bytes


def joined(principals: Sequence[Principal]) -> Principal:
    """One who is known in several ways at once: called as the first has it, with all that each of them may."""
    first = principals[0]
    if len(principals) == 1:
        return first
    claims: dict[str, object] = {}
    for each in reversed(principals):
        claims |= each.claims
    return msgspec.structs.replace(
        first,
        claims=claims,
        scopes=frozenset().union(*(each.scopes for each in principals)),
        roles=frozenset().union(*(each.roles for each in principals)),
        owner=next((each.owner for each in principals if each.owner), ""),
        identity=next((each.identity for each in principals if each.identity), ""),
        until=min(each.until for each in principals),
        told=tuple(line for each in principals for line in each.told),
    )


def told(headers: Sequence[tuple[str, str]], claims: Mapping[str, object]) -> tuple[bytes, ...]:
    """The fields that tell claims, by header and claim. What cannot stand in a field is left out: the service sees
    nobody rather than somebody else."""
    found = ((name, claim_text(claims, claim)) for name, claim in headers)
    return tuple(f"{name}: {text.strip()}".encode() for name, text in found if text is not None and text.isprintable())
