"""Names and passwords as a way to know who calls (RFC 7617). A hash that is slow on purpose must not hold up traffic: a
thread computes it, one after another, and whoever waits for it is asked again. What was right is remembered for a while
under a keyed hash; neither a password nor anything to try one against is kept.
"""

from __future__ import annotations

import binascii
from base64 import b64decode
from concurrent.futures import ThreadPoolExecutor
from hashlib import blake2b
from pathlib import Path
from secrets import token_bytes
from typing import TYPE_CHECKING, Final

from meshctl import clock
from meshctl.core.htpasswd import LARGEST, is_argon2, read_users
from meshctl.core.principal import Principal, Refused, told
from meshctl.model.auth import Auth
from meshctl.proxy.filtering import Waiting
from meshctl.proxy.sources import read_file
from meshctl.proxy.tasks import spawn
from meshctl.proxy.ways import AUTHORIZATION, Way, drop, value_of
from meshctl.wire.challenge import challenge

if TYPE_CHECKING:
    from meshctl.proxy.exchange import Exchange
    from meshctl.proxy.worker import Worker
    from meshctl.wire.fields import Fields

LASTS: Final = 300.0
"""Seconds for which a right password is remembered."""
WRONG_LASTS: Final = 5.0
"""The same for a wrong one: for all who wait for the answer, and against trying it again and again."""
PATIENCE: Final = 10.0
"""Seconds that a request waits for the answer."""
MOST_CHECKS: Final = 32
"""Passwords that wait to be looked at; more are refused at once."""
_MOST_KNOWN: Final = 10_000
_LONGEST: Final = 1_024

_WRONG: Final = Refused("password_invalid", "the name and the password do not fit")
_BUSY: Final = Refused("overloaded", "too many passwords are being looked at")


class PasswordWay(Way):
    """Names and passwords."""

    uses_authorization = True
    _thread: Final = ThreadPoolExecutor(1, thread_name_prefix="passwords")

    def __init__(self, config: Auth, worker: Worker) -> None:
        super().__init__(config, "a name and a password are needed")
        assert config.basic is not None
        self._path = Path(config.basic.users)
        self._realm = config.basic.realm
        self._worker = worker
        self._text = b""
        self._users: dict[str, str] = {}
        self._secret = token_bytes(32)
        self._known: dict[bytes, Principal] = {}
        """Whom a credential is right for."""
        self._wrong_until: dict[bytes, float] = {}
        self._checks: dict[bytes, Waiting] = {}
        self.refresh()

    def find(self, exchange: Exchange, shown: Fields) -> Principal | Refused | Waiting:
        """See `Way`."""
        value = value_of(shown, AUTHORIZATION)
        if value is None or (value and value[:6].lower() != b"basic "):
            return self.silent
        name, password = credentials(value[6:])
        if not name or len(value) > _LONGEST:
            return _WRONG
        digest = blake2b(value[6:].strip(), key=self._secret, digest_size=32).digest()
        found = self._known.get(digest)
        now = clock.wall()
        if found is not None and found.until > now:
            return found
        if self._wrong_until.get(digest, 0.0) > now:
            return _WRONG
        waiting = self._checks.get(digest)
        if waiting is None:
            if len(self._checks) >= MOST_CHECKS:
                return _BUSY
            waiting = self._checks[digest] = Waiting("overloaded", PATIENCE)
            spawn(self._check(digest, name, password, waiting), name="password")
        return waiting

    def challenge(self, realm: str, refused: Refused) -> str:
        """See `Way`."""
        return challenge("Basic", realm=self._realm or realm, charset="UTF-8")

    def refresh(self) -> None:
        """See `Way`."""
        text = read_file(self._path, LARGEST)
        if text == self._text:
            return
        try:
            users = read_users(text.decode())
        except ValueError as error:
            raise ValueError(f'"{self._path}": {error}') from error
        self._text, self._users = text, users
        self._known.clear()
        self._wrong_until.clear()
        self._worker.vouching.change()

    def forget(self, now: float) -> None:
        """See `Way`."""
        drop(self._known, [each for each, found in self._known.items() if found.until <= now])
        drop(self._wrong_until, [each for each, until in self._wrong_until.items() if until <= now])

    async def _check(self, digest: bytes, name: str, password: bytes, waiting: Waiting) -> None:
        users = self._users
        # Whoever asks for a name that nobody has must not be told so by the clock.
        hashed = users.get(name) or next(iter(users.values()))
        is_right = await self._worker.loop.run_in_executor(self._thread, is_password, password, hashed)
        now = clock.wall()
        if users is self._users:
            if is_right and name in users:
                self._known[digest] = self._principal(name, now)
                self._bound(self._known)
            else:
                self._wrong_until[digest] = now + WRONG_LASTS
                self._bound(self._wrong_until)
        self._checks.pop(digest, None)
        waiting.over(self._worker.loop)

    def _principal(self, name: str, now: float) -> Principal:
        claims = {"sub": name}
        return Principal(name, self.name, claims, until=now + LASTS, told=told(self.config.headers, claims))

    @staticmethod
    def _bound(known: dict[bytes, Principal] | dict[bytes, float]) -> None:
        if len(known) > _MOST_KNOWN:
            del known[next(iter(known))]


def is_password(password: bytes, hashed: str) -> bool:
    """Whether the password is the one that was hashed. Slow on purpose."""
    if is_argon2(hashed):
        from argon2 import PasswordHasher
        from argon2.exceptions import Argon2Error, InvalidHashError

        try:
            return PasswordHasher().verify(hashed, password)
        except (Argon2Error, InvalidHashError):
            return False
    import bcrypt

    try:
        # What is longer was cut when it was hashed, too.
        return bcrypt.checkpw(password[:72], hashed.encode())
    except ValueError:
        return False


def credentials(encoded: bytes) -> tuple[str, bytes]:
    """Name and password; no name where there are none."""
    try:
        name, mark, password = b64decode(encoded.strip(), validate=True).partition(b":")
        return (name.decode() if mark else ""), password
    except (binascii.Error, UnicodeDecodeError):
        return "", b""
