"""Is this a signed token (RFC 7515, RFC 7519), and does what it claims hold here and now? Pure: signatures are verified
elsewhere, and `now` is an argument.

Strict where leniency has cost others: the compact form alone, base64url without padding and without bits that mean
nothing, JSON without names that stand there twice, no extension that has to be understood.
"""

from __future__ import annotations

import binascii
import json
import re
from base64 import urlsafe_b64decode
from collections.abc import Mapping
from typing import Any, Final, NamedTuple, NoReturn, TypeGuard

from meshctl.core.principal import Principal, Refused
from meshctl.model.auth import Jwt
from meshctl.model.claims import words

LONGEST: Final = 16_384
"""Bytes of a token; a longer one is refused before anything of it is read."""

_COMPACT: Final = re.compile(rb"([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]*)\.([A-Za-z0-9_-]*)").fullmatch
# By the length of the last group: the characters whose unused bits are zero, so that each value has one spelling.
_LAST: Final = {2: frozenset(b"AQgw"), 3: frozenset(b"AEIMQUYcgkosw048")}


class BadToken(Exception):  # noqa: N818 - a claim about a text
    """A text that is no token that could be accepted; says why without a word of it."""


class Token(NamedTuple):
    """A token that is well formed. Nothing of it may be believed yet."""

    header: Mapping[str, Any]
    payload: bytes
    signed: bytes
    """What the signature is about."""
    signature: bytes


def read(text: bytes) -> Token:
    """The parts of a token. Raises BadToken."""
    if len(text) > LONGEST:
        raise BadToken(f"the token is longer than {LONGEST} bytes")
    found = _COMPACT(text)
    if found is None:
        raise BadToken("the token is no signed JWT: three parts in base64url with dots between them")
    header = read_json(_bytes(found[1]))
    if not isinstance(header.get("alg"), str):
        raise BadToken("the token does not say how it is signed")
    if "crit" in header or "b64" in header:
        raise BadToken("the token asks for an extension that is not known")
    if not isinstance(header.get("kid", ""), str):
        raise BadToken("the token's kid is no text")
    return Token(header, _bytes(found[2]), text[: found.end(2)], _bytes(found[3]))


def read_json(data: bytes) -> dict[str, Any]:
    """The JSON object in `data`. Raises BadToken."""
    try:
        found = json.loads(data.decode(), object_pairs_hook=_unique, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise BadToken("the token's JSON is not valid") from error
    if not isinstance(found, dict):
        raise BadToken("the token's JSON is no object")
    return found


def judge(claims: Mapping[str, Any], config: Jwt, way: str, now: float) -> Principal | Refused:
    """Who a verified token is about, or why it does not hold here and now (RFC 7519 §4.1)."""
    until = claims.get("exp")
    if not is_time(until):
        return Refused("token_invalid", "the token does not say when it expires")
    if now >= until + config.leeway:
        return Refused("token_expired", "the token has expired")
    for name in ("nbf", "iat"):
        since = claims.get(name)
        if since is not None and not is_time(since):
            return Refused("token_invalid", f"the token's {name} is no time")
        if since is not None and since - config.leeway > now:
            return Refused("token_invalid", "the token is not valid yet")
    if config.issuer and claims.get("iss") != config.issuer:
        return Refused("token_invalid", "the token is of another issuer")
    if config.audience and not is_for(claims.get("aud"), config.audience):
        return Refused("token_invalid", "the token is for another audience")
    subject = claims.get("sub", "")
    if not isinstance(subject, str):
        return Refused("token_invalid", "the token's sub is no text")
    scopes = words(claims, config.scopes)
    return Principal(subject, way, claims, scopes, words(claims, config.roles), until=until + config.leeway)


def is_time(value: object) -> TypeGuard[float]:
    """Whether it is a NumericDate (RFC 7519 §2) within what a date can be."""
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 1e12


def is_for(audience: object, wanted: tuple[str, ...]) -> bool:
    """Whether one of the wanted is in `aud`, which is a text or a list of them (RFC 7519 §4.1.3)."""
    if isinstance(audience, list):
        return any(isinstance(each, str) and each in wanted for each in audience)
    return isinstance(audience, str) and audience in wanted


def _bytes(part: bytes) -> bytes:
    rest = len(part) % 4
    if rest == 1 or (rest and part[-1] not in _LAST[rest]):
        raise BadToken("the token's base64url is not valid")
    try:
        return urlsafe_b64decode(part + b"=" * (-len(part) % 4))
    except binascii.Error as error:  # pragma: no cover - the pattern lets nothing else through
        raise BadToken("the token's base64url is not valid") from error


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands there twice")
    return found


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")
