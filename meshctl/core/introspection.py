"""What a server says of a token that it was asked about (RFC 7662 §2.2), and what follows from it here and now. Pure:
asking is done elsewhere, and `now` is an argument.

Whatever the server says that it could not mean is no answer: nobody is let in by one, and nobody is told that the token
is bad.
"""

from __future__ import annotations

import re
from base64 import b64encode
from typing import Any, Final
from urllib.parse import quote_plus, urlencode

from meshctl.core.principal import Principal, Refused
from meshctl.core.tokens import LONGEST, BadToken, is_for, is_time, read_json
from meshctl.model.auth import Introspection
from meshctl.model.claims import words

LEEWAY: Final = 30.0
"""Seconds by which the server's clock and ours may differ."""

_TOKEN: Final = re.compile(rb"[A-Za-z0-9._~+/-]+=*").fullmatch


class BadAnswer(Exception):  # noqa: N818 - a claim about an answer
    """An answer that says nothing about the token; says why without a word of it."""


def flaw(token: bytes) -> str:
    """Why nobody need be asked about a token, in words; "" where it could be one (RFC 6750 §2.1)."""
    if len(token) > LONGEST:
        return f"the token is longer than {LONGEST} bytes"
    return "" if _TOKEN(token) else "the token has characters that no token has"


def form(token: bytes, config: Introspection) -> bytes:
    """The body of the question."""
    asked = {"token": token.decode("ascii")}
    if config.token_type_hint:
        asked["token_type_hint"] = config.token_type_hint
    return urlencode(asked).encode()


def basic(client: str, secret: str) -> bytes:
    """The value of Authorization by which a client proves itself: its name and its secret, each form-encoded first (RFC
    6749 §2.3.1).

    >>> basic("a:b", "x y")
    b'Basic YSUzQWI6eCt5'
    """
    return b"Basic " + b64encode(f"{quote_plus(client)}:{quote_plus(secret)}".encode())


def judge(document: bytes, config: Introspection, way: str, now: float) -> Principal | Refused:
    """Who a token is about, or why it does not hold here and now. Raises BadAnswer."""
    claims = _read(document)
    if not claims["active"]:
        return Refused("token_invalid", "the token is not active: unknown, expired or revoked")
    until, since = claims.get("exp"), claims.get("nbf")
    for name, found in (("exp", until), ("nbf", since)):
        if found is not None and not is_time(found):
            raise BadAnswer(f"answers with an {name} that is no time")
    if until is not None and now >= until + LEEWAY:
        return Refused("token_expired", "the token has expired")
    if since is not None and since - LEEWAY > now:
        return Refused("token_invalid", "the token is not valid yet")
    if config.issuer and claims.get("iss") != config.issuer:
        return Refused("token_invalid", "the token is of another issuer")
    if config.audience and not is_for(claims.get("aud"), config.audience):
        return Refused("token_invalid", "the token is for another audience")
    lasts = now + config.cache if until is None else min(until, now + config.cache)
    scopes, roles = words(claims, config.scopes), words(claims, config.roles)
    return Principal(_subject(claims), way, claims, scopes, roles, until=lasts)


def _read(document: bytes) -> dict[str, Any]:
    try:
        claims = read_json(document)
    except BadToken as error:
        raise BadAnswer("answers with what is no JSON object") from error
    if not isinstance(claims.get("active"), bool):
        raise BadAnswer("does not answer whether the token is active")
    return claims


def _subject(claims: dict[str, Any]) -> str:
    """Whom a token is about: none of what could say so has to be there."""
    for name in ("sub", "username", "client_id"):
        found = claims.get(name, "")
        if not isinstance(found, str):
            raise BadAnswer(f"answers with a {name} that is no text")
        if found:
            return found
    return ""
