"""API keys in the store, and the one door through which they change: made, replaced, revoked, each in one transaction
with an audit record. A key is told once, to who made it; the store has its digest, and proxies follow that.
"""

from __future__ import annotations

from hashlib import sha256
from secrets import token_hex, token_urlsafe
from typing import Final

import msgspec

from meshctl import clock
from meshctl.control.revisions import decode
from meshctl.errors import MeshError
from meshctl.model.api_key import PREFIX, StoredKey
from meshctl.model.units import format_duration
from meshctl.store.protocol import Audit, Conflict, Delete, Entry, Expect, Put, Store

KEYS: Final = "auth/keys/"
KEPT: Final = 30 * 86400.0
"""Seconds for which a key that holds no more is still listed."""


class Made(msgspec.Struct, frozen=True):
    """A new key: the key itself, which nobody can be told again, what is stored of it, and the store revision from
    which on it holds."""

    key: str
    stored: StoredKey
    revision: int


def create(store: Store, owner: str, scopes: tuple[str, ...], expires: float, *, who: str) -> Made:
    """Make a key. `expires` is in seconds since the epoch, 0 for never. Raises MeshError."""
    key, stored = _new(owner, scopes, expires, who)
    audit = Audit(who, stored.created, f"API key {stored.id} for {owner}", "", _said(stored))
    return Made(key, stored, _commit(store, [_put(stored), *_outlived(store)], [Expect(KEYS + stored.id, 0)], audit))


def rotate(store: Store, name: str, overlap: float, *, who: str) -> tuple[Made, StoredKey]:
    """Make a key with the same owner, scopes and life in the place of another one, which holds for `overlap` seconds
    more: the new one, and the old one as it is now. Raises MeshError not_found, refused."""
    entry, old = _held(store, name)
    now = clock.wall()
    if not holds(old, now):
        raise MeshError("refused", f"key {old.id} holds no more", hint="make a new one with `meshctl keys create`")
    expires = now + (old.expires - old.created) if old.expires else 0.0
    key, stored = _new(old.owner, old.scopes, expires, who)
    end = min(now + overlap, old.expires or now + overlap)
    ended = msgspec.structs.replace(old, expires=end, successor=stored.id)
    audit = Audit(who, now, f"API key {old.id} replaced by {stored.id}", _said(old), _said(stored))
    expected = [Expect(entry.key, entry.revision), Expect(KEYS + stored.id, 0)]
    return Made(key, stored, _commit(store, [_put(stored), _put(ended)], expected, audit)), ended


def revoke(store: Store, name: str, *, who: str) -> tuple[StoredKey, int]:
    """Have a key hold no more; the key as it is now, and the store revision from which on it does not. Raises MeshError
    not_found."""
    entry, old = _held(store, name)
    if old.revoked:
        return old, store.revision()
    now = clock.wall()
    revoked = msgspec.structs.replace(old, revoked=now)
    audit = Audit(who, now, f"API key {old.id} revoked", _said(old), "revoked")
    return revoked, _commit(store, [_put(revoked)], [Expect(entry.key, entry.revision)], audit)


def listed(store: Store, owner: str = "") -> list[StoredKey]:
    """The keys, the oldest first."""
    found = (decode(each, StoredKey) for each in store.list(KEYS))
    return sorted((each for each in found if not owner or each.owner == owner), key=lambda each: each.created)


def holds(key: StoredKey, now: float) -> bool:
    """Whether a key opens anything at `now`."""
    return not key.revoked and not 0 < key.expires <= now


def state(key: StoredKey, now: float) -> str:
    """How a key stands, in a word or two."""
    if key.revoked:
        return "revoked"
    if not holds(key, now):
        return "expired"
    return "replaced" if key.successor else "active"


def _new(owner: str, scopes: tuple[str, ...], expires: float, who: str) -> tuple[str, StoredKey]:
    number = token_hex(4)
    key = f"{PREFIX}{number}_{token_urlsafe(32)}"
    digest = sha256(key.encode()).digest()
    return key, StoredKey(f"{PREFIX}{number}", digest, owner, scopes, clock.wall(), who, expires)


def _held(store: Store, name: str) -> tuple[Entry, StoredKey]:
    """The key that `name` means: its id, or the key itself."""
    parts = name.split("_")
    number = "_".join(parts[:2])
    entry = store.get(KEYS + number) if number.isascii() and number.isprintable() and " " not in number else None
    if entry is None:
        raise MeshError("not_found", "there is no such API key", hint="`meshctl keys ls` shows all, by id")
    return entry, decode(entry, StoredKey)


def _outlived(store: Store) -> list[Delete]:
    """Keys that hold no more for long are cleared away with the next one that is made."""
    before = clock.wall() - KEPT
    found = ((entry.key, decode(entry, StoredKey)) for entry in store.list(KEYS))
    return [Delete(name) for name, key in found if 0 < (key.revoked or key.expires) < before]


def _put(key: StoredKey) -> Put:
    return Put(KEYS + key.id, msgspec.json.encode(key))


def _said(key: StoredKey) -> str:
    scopes = f", scopes {' '.join(key.scopes)}" if key.scopes else ""
    left = key.expires - key.created
    return f"{key.owner}{scopes}" + (f", for {format_duration(float(int(left)))}" if key.expires else "")


def _commit(store: Store, changes: list[Put | Delete], expected: list[Expect], audit: Audit) -> int:
    try:
        return store.transact(changes, expect=expected, audit=audit)
    except Conflict as error:
        message = "somebody else has changed the same key at the same time"
        raise MeshError("conflict", message, hint="look at `meshctl keys ls`, then try again") from error
