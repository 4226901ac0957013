"""Texts that only this mesh's proxies can read and nobody can change: AES-256-GCM under keys that they share. Pure, but
loads `cryptography`; the nonce is an argument.

A sealed text names its key, so that keys can be replaced: the first one seals, all of them open. It is bound to what it
is for: opened for anything else it is nothing.
"""

from __future__ import annotations

import binascii
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from hashlib import sha256
from typing import Final

KEY_BYTES: Final = 32
NONCE_BYTES: Final = 12
LONGEST: Final = 16_384
"""Characters of a sealed text."""

_TEXT: Final = re.compile(r"[A-Za-z0-9_-]+").fullmatch
_VERSION: Final = b"\x01"
_ID_BYTES: Final = 4
_HEAD_BYTES: Final = len(_VERSION) + _ID_BYTES


class Sealer:
    """Seals and opens texts. `keys` are of `KEY_BYTES` each, at least one."""

    def __init__(self, keys: Sequence[bytes]) -> None:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        named = [(_VERSION + sha256(key).digest()[:_ID_BYTES], AESGCM(key)) for key in keys]
        self._first = named[0]
        self._keys = dict(named)

    def __repr__(self) -> str:
        return f"<Sealer {len(self._keys)} keys>"

    def seal(self, plain: bytes, purpose: bytes, nonce: bytes) -> str:
        """The sealed text, in letters, digits, "-" and "_". `nonce` is random, of `NONCE_BYTES`."""
        head, key = self._first
        return urlsafe_b64encode(head + nonce + key.encrypt(nonce, plain, head + purpose)).rstrip(b"=").decode()

    def open(self, text: str, purpose: bytes) -> bytes | None:
        """What was sealed for this purpose; None for anything else."""
        from cryptography.exceptions import InvalidTag

        # The library passes over what is no base64url: one text would have many spellings.
        if len(text) > LONGEST or not _TEXT(text):
            return None
        try:
            data = urlsafe_b64decode(text + "=" * (-len(text) % 4))
        except binascii.Error:
            return None
        head, nonce = data[:_HEAD_BYTES], data[_HEAD_BYTES : _HEAD_BYTES + NONCE_BYTES]
        key = self._keys.get(head)
        if key is None or len(nonce) < NONCE_BYTES:
            return None
        try:
            return key.decrypt(nonce, data[_HEAD_BYTES + NONCE_BYTES :], head + purpose)
        except InvalidTag:
            return None
