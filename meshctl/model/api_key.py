"""An API key as the store has it and proxies know it: what it allows, and its digest. The key itself is nowhere."""

from __future__ import annotations

from typing import Final

import msgspec

PREFIX: Final = "mk_"
"""What every key begins with, for people and for scanners of leaked secrets."""


class StoredKey(msgspec.Struct, frozen=True):
    """One key. It is known by `id`, which stands in the key itself."""

    id: str
    digest: bytes
    """SHA-256 of the whole key: with 256 random bits in it there is nothing to guess, so nothing to slow down."""
    owner: str
    scopes: tuple[str, ...] = ()
    created: float = 0.0
    who: str = ""
    """Who made it."""
    expires: float = 0.0
    """When it ends, in seconds since the epoch; 0 is never."""
    successor: str = ""
    """The id of the key that replaces it, where it was rotated."""
    revoked: float = 0.0
    """When it was revoked; 0 where it was not. A revoked key is kept so that people see what became of it."""
