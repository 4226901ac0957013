"""What a login leaves behind: the session that travels in cookies, and what is remembered between the way to the
provider and the way back. Pure values and their form; how they are sealed is not known here.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import inf
from typing import Any, Final

import msgspec

LONGEST_PART: Final = 3_800
"""Characters in one cookie: browsers take 4,096 with its name (RFC 6265 §6.1)."""
MOST_PARTS: Final = 4
SLOTS: Final = 8
"""Logins that a browser may have under way; one more takes the place of another."""
LOGIN_LIFE: Final = 600.0
"""Seconds that somebody may take to sign in."""

# What is of no use to a route once the ID token was verified.
_PROTOCOL: Final = frozenset(("nonce", "at_hash", "c_hash", "s_hash", "jti", "nbf", "exp", "iat", "azp", "aud"))


class Session(msgspec.Struct, frozen=True, array_like=True):
    """Somebody who has signed in. Times are seconds since the epoch."""

    id: bytes
    turn: int
    """How often its tokens were renewed."""
    began: float
    claims: dict[str, Any]
    scope: str
    access: str = ""
    """The access token, where it is passed on."""
    access_until: float = inf
    due: float = inf
    """When its tokens are to be renewed; infinity where they cannot be, or need not."""
    refresh: str = ""
    id_token: str = ""
    """As it came, where the provider wants to see it at the end."""


class Pending(msgspec.Struct, frozen=True, array_like=True):
    """A login that is under way."""

    state: str
    nonce: str
    verifier: str
    origin: str
    back: str
    """The path to return to."""
    began: float


def encode(value: Session | Pending) -> bytes:
    """As it is sealed."""
    return msgspec.msgpack.encode(value)


def decode_session(data: bytes) -> Session | None:
    """The session; None where it is none, as an older version may have made it."""
    try:
        return msgspec.msgpack.decode(data, type=Session)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def decode_pending(data: bytes) -> Pending | None:
    """The same of a login."""
    try:
        return msgspec.msgpack.decode(data, type=Pending)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def kept_claims(claims: Mapping[str, Any]) -> dict[str, Any]:
    """The claims that a session keeps."""
    return {name: value for name, value in claims.items() if name not in _PROTOCOL}


def due_at(now: float, life: float) -> float:
    """When tokens that live for so many seconds from now on are to be renewed: a minute before their end, or a tenth of
    their life where that is short."""
    return now + max(life * 0.9, life - 60.0)


# the cookies


def part_names(cookie: str) -> tuple[str, ...]:
    """The cookies that a session may be in."""
    return (cookie, *(f"{cookie}_{number}" for number in range(1, MOST_PARTS)))


def login_name(cookie: str, slot: int) -> str:
    """The cookie of a login under way: for one path alone, which "__Host-" would forbid (RFC 6265bis §4.1.3.2)."""
    return f"{cookie.removeprefix('__Host-')}_login{slot}"


def own_names(cookie: str) -> frozenset[str]:
    """All cookies that belong to the gateway."""
    return frozenset((*part_names(cookie), *(login_name(cookie, slot) for slot in range(SLOTS))))


def split(sealed: str) -> list[str]:
    """The values of the cookies that a sealed session is in; the first begins with their number. Raises ValueError
    where it is too long for them.

    >>> [len(each) for each in split("x" * 5_000)], split("abc")
    ([3800, 1201], ['1abc'])
    """
    count = -(-(len(sealed) + 1) // LONGEST_PART)
    if count > MOST_PARTS:
        raise ValueError(f"a session of {len(sealed)} characters does not fit into {MOST_PARTS} cookies")
    text = f"{count}{sealed}"
    return [text[at : at + LONGEST_PART] for at in range(0, len(text), LONGEST_PART)]


def joined(cookies: Mapping[str, str], cookie: str) -> str | None:
    """The sealed session out of a request's cookies; "" where parts of it are missing, None where there is none."""
    first = cookies.get(cookie)
    if first is None:
        return None
    count = int(first[0]) if first[:1] in frozenset("1234") else 0
    found = [first[1:], *(cookies.get(name, "") for name in part_names(cookie)[1:count])]
    return "".join(found) if count and all(found) else ""
