"""Tokens as a way to know who calls: verified once, then known by their hash for as long as they hold."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, Final

import msgspec

from meshctl import clock
from meshctl.core.jwk import has_kid
from meshctl.core.principal import Principal, Refused, told
from meshctl.core.tokens import LONGEST, BadToken, judge, read, read_json
from meshctl.core.verify import verify
from meshctl.model.auth import Auth
from meshctl.proxy.ways import Way, bearer, bearer_challenge, drop

if TYPE_CHECKING:
    from meshctl.proxy.exchange import Exchange
    from meshctl.proxy.filtering import Waiting
    from meshctl.proxy.sources import Source
    from meshctl.proxy.vouching import Vouching
    from meshctl.wire.fields import Fields

MOST_KNOWN: Final = 10_000
"""Tokens that are remembered."""


class TokenWay(Way):
    """Signed tokens (RFC 6750)."""

    uses_authorization = True

    def __init__(self, config: Auth, vouching: Vouching, source: Source) -> None:
        super().__init__(config, "a token is needed, in Authorization: Bearer")
        self._vouching = vouching
        self._epoch = vouching.epoch
        assert config.jwt is not None
        self._jwt = config.jwt
        self._algorithms = frozenset(config.jwt.algorithms)
        self._source = source
        self._known: dict[bytes, Principal] = {}

    def find(self, exchange: Exchange, shown: Fields) -> Principal | Refused | Waiting:
        """See `Way`."""
        token = bearer(shown)
        if token is None:
            return self.silent
        if len(token) > LONGEST:
            return Refused("token_invalid", f"the token is longer than {LONGEST} bytes")
        if self._epoch is not self._vouching.epoch:
            self._epoch = self._vouching.epoch
            self._known.clear()
        digest = sha256(token).digest()
        found: Principal | Refused | Waiting | None = self._known.pop(digest, None)
        if not isinstance(found, Principal) or found.until <= clock.wall():
            found = self._first_seen(token)
        if isinstance(found, Principal):
            # The one that was used last stands last.
            self._known[digest] = found
            if len(self._known) > MOST_KNOWN:
                del self._known[next(iter(self._known))]
        return found

    def challenge(self, realm: str, refused: Refused) -> str:
        """See `Way`."""
        return bearer_challenge(realm, refused)

    def refresh(self) -> None:
        """See `Way`."""
        self._source.refresh()

    def forget(self, now: float) -> None:
        """See `Way`."""
        drop(self._known, [each for each, found in self._known.items() if found.until <= now])

    def _first_seen(self, text: bytes) -> Principal | Refused | Waiting:
        source = self._source
        try:
            token = read(text)
            if token.header["alg"] not in self._algorithms:
                raise BadToken("the token is signed in a way that is not accepted here")
            if not source.keys:
                return source.absent()
            if not has_kid(source.keys, token.header.get("kid")) and source.may_know_more():
                return source.waiting
            verify(token, source.keys, self._jwt.algorithms)
            found = judge(read_json(token.payload), self._jwt, self.name, clock.wall())
        except BadToken as error:
            return Refused("token_invalid", str(error))
        if isinstance(found, Refused):
            return found
        return msgspec.structs.replace(found, told=told(self.config.headers, found.claims))
