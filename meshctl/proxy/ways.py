"""The ways to know who calls, as they are asked of a request: what is common to all, API keys and certificates. Tokens
and passwords, which need libraries, have modules of their own (`tokens`, `passwords`).

A way says who it is, why it cannot be said, or what it has to wait for. It never says what it was shown.
"""

from __future__ import annotations

from hashlib import sha256
from math import inf
from typing import TYPE_CHECKING, Final, TypeVar

from meshctl import clock
from meshctl.core.principal import Principal, Refused, told
from meshctl.model.api_key import PREFIX
from meshctl.model.auth import Auth
from meshctl.wire.challenge import challenge
from meshctl.wire.fields import Fields

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from meshctl.model.api_key import StoredKey
    from meshctl.pki.shown import Shown
    from meshctl.proxy.client_authorities import Arriving, Authority
    from meshctl.proxy.exchange import Exchange
    from meshctl.proxy.filtering import Waiting
    from meshctl.proxy.filters.reply import Reply
    from meshctl.proxy.stream import Stream
    from meshctl.proxy.vouching import Vouching

AUTHORIZATION: Final = b"authorization:"
KEY: Final = PREFIX.encode()
_LONGEST_KEY: Final = 512
_K = TypeVar("_K")
_V = TypeVar("_V")
_KEY_MARK: Final = slice(11, 12)
"""What stands between a key's id and its secret."""


class Way:
    """A way to know who calls."""

    uses_authorization = False
    """Whether the credential stands in Authorization."""
    purpose = b""
    """What its sessions are sealed for, where it has any."""
    is_remote = False
    """Whether another server is asked: not in vain."""

    def __init__(self, config: Auth, silent: str) -> None:
        self.config = config
        self.name = config.name
        self.silent = Refused("unauthenticated", silent)
        """What it says of a request without such a credential."""

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}>"

    def find(self, exchange: Exchange, shown: Fields) -> Principal | Refused | Waiting:
        """Who calls. `shown` are the fields of the request that credentials could stand in."""
        raise NotImplementedError  # pragma: no cover - an interface

    def challenge(self, realm: str, refused: Refused) -> str:
        """What the client is told that is not known."""
        raise NotImplementedError  # pragma: no cover - an interface

    def invite(self, exchange: Exchange) -> Reply | None:
        """Where a caller is sent who could become known there; None where nobody is."""
        return None

    def refresh(self) -> None:
        """A new revision has it, too: look at its files again. Raises ValueError where they cannot be used."""

    def forget(self, now: float) -> None:
        """Let go of those who were known, and are so no more at `now`, in seconds since the epoch."""


class KeyWay(Way):
    """API keys."""

    def __init__(self, config: Auth, vouching: Vouching) -> None:
        assert config.api_key is not None
        self._config = config.api_key
        said = self._config
        places = [f"the header {said.header}"] * bool(said.header) + ["Authorization: Bearer"] * said.bearer
        places += [f"the query parameter {said.query}"] * bool(said.query)
        super().__init__(config, f"an API key is needed, in {' or '.join(places)}")
        self.uses_authorization = said.bearer
        self._vouching = vouching
        self._epoch = vouching.epoch
        self._start = said.header.encode() + b":" if said.header else b""
        self._known: dict[bytes, Principal] = {}

    def find(self, exchange: Exchange, shown: Fields) -> Principal | Refused:
        """See `Way`."""
        key = self._key_of(exchange, shown)
        if key is None:
            return self.silent
        if self._epoch is not self._vouching.epoch:
            self._epoch = self._vouching.epoch
            self._known.clear()
        digest = sha256(key).digest()
        found = self._known.get(digest)
        if found is None:
            stored = self._vouching.keys.get(digest)
            if stored is None or len(key) > _LONGEST_KEY or stored.revoked:
                return Refused("key_invalid", "the API key is unknown or revoked")
            found = self._known[digest] = self._principal(stored)
        if found.until <= clock.wall():
            return Refused("key_expired", "the API key has expired")
        return found

    def challenge(self, realm: str, refused: Refused) -> str:
        """See `Way`: no scheme is registered for keys outside of Bearer."""
        if self._config.bearer:
            return bearer_challenge(realm, refused)
        return challenge("ApiKey", realm=realm, header=self._config.header, query=self._config.query)

    def _key_of(self, exchange: Exchange, shown: Fields) -> bytes | None:
        key = value_of(shown, self._start) if self._start else None
        if key is None and self._config.bearer:
            key = bearer(shown)
            if key is not None and not key.startswith(KEY):
                return None  # A token, which is another way's business.
        if key is None and self._config.query:
            return exchange.query_credential
        return key

    def _principal(self, stored: StoredKey) -> Principal:
        claims: dict[str, object] = {"sub": stored.owner, "owner": stored.owner, "key": stored.id}
        if stored.scopes:
            claims["scope"] = " ".join(stored.scopes)
        until = stored.expires or inf
        scopes = frozenset(stored.scopes)
        lines = told(self.config.headers, claims)
        return Principal(stored.owner, self.name, claims, scopes, owner=stored.owner, until=until, told=lines)


class CertificateWay(Way):
    """The client's certificate, which was verified when it connected: one of the mesh, or of an authority in a file."""

    def __init__(self, config: Auth, authority: Authority | None = None) -> None:
        super().__init__(config, f"a {'client certificate' if authority else 'certificate of the mesh'} is needed")
        self._authority = authority

    def find(self, exchange: Exchange, shown: Fields) -> Principal | Refused:
        """See `Way`."""
        stream = exchange.stream
        arriving: Arriving | None = getattr(stream, "arriving", None)
        found = arriving.shown if arriving is not None else None
        if found is not None and found.until <= clock.wall():
            return Refused("peer_expired", "the client's certificate has expired")
        until = found.until if found is not None else inf
        if self._authority is None and stream.peer:
            identity = identity_of(stream)
            claims: Mapping[str, object] = {"sub": stream.peer, "identity": identity}
            lines = told(self.config.headers, claims)
            return Principal(stream.peer, self.name, claims, identity=identity, until=until, told=lines)
        if arriving is None or found is None or not self._believes(arriving, found):
            return self.silent
        lines = told(self.config.headers, found.claims)
        return Principal(found.subject, self.name, found.claims, until=until, told=lines)

    def refresh(self) -> None:
        """See `Way`."""
        if self._authority is not None:
            self._authority.refresh()

    def _believes(self, arriving: Arriving, found: Shown) -> bool:
        if self._authority is None:
            return arriving.is_of_mesh
        return not self._authority.signers.isdisjoint(found.signers)

    def challenge(self, realm: str, refused: Refused) -> str:
        """See `Way`."""
        return challenge("Certificate", realm=realm)


def drop(known: dict[_K, _V], keys: Iterable[_K]) -> None:
    """Forget these of what is known."""
    for each in keys:
        del known[each]


def identity_of(stream: Stream) -> str:
    """The SPIFFE ID that a client proved; "" where it proved nothing."""
    return stream.identity or getattr(stream, "certified", "")


def value_of(fields: Fields, start: bytes) -> bytes | None:
    """The value of the field that begins with `start`, its name in lower case and a colon; b"" where it stands there
    twice, which is no value that could be meant; None where there is none."""
    size = len(start)
    found = None
    for line in fields:
        if line[:size].lower() == start:
            if found is not None:
                return b""
            found = line[size:].strip(b" \t")
    return found


def is_key(credential: bytes) -> bool:
    """Whether a bearer token is an API key: another way's business, and no other server's."""
    return credential.startswith(KEY) and credential[_KEY_MARK] == b"_"


def bearer(fields: Fields) -> bytes | None:
    """The bearer token of a request (RFC 6750 §2.1); None where there is none."""
    value = value_of(fields, AUTHORIZATION)
    if value == b"":
        return b""
    if value is None or value[:7].lower() != b"bearer ":
        return None
    return value[7:].strip(b" ")


def bearer_challenge(realm: str, refused: Refused) -> str:
    """What a client is told whose token was not there or not accepted (RFC 6750 §3)."""
    if refused.is_silent:
        return challenge("Bearer", realm=realm)
    return challenge("Bearer", realm=realm, error="invalid_token", error_description=refused.detail)
