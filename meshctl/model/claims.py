"""Claims: what somebody vouches for of a caller, as values of JSON, and how they are looked up and said in text. Pure.

>>> claims = {"sub": "ada", "realm": {"roles": ["admin", "ops"]}, "https://a.example/tier": "gold"}
>>> claim_text(claims, "sub"), claim_values(claims, "realm.roles"), claim_text(claims, "https://a.example/tier")
('ada', ('admin', 'ops'), 'gold')
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

NO_CLAIMS: Final[Mapping[str, object]] = {}


def find_claim(claims: Mapping[str, object], name: str) -> object:
    """The value of a claim; where none has the name, its dots lead into tables. None where there is none."""
    if name in claims or "." not in name:
        return claims.get(name)
    found: object = claims
    for part in name.split("."):
        if not isinstance(found, Mapping):
            return None
        found = found.get(part)
    return found


def claim_values(claims: Mapping[str, object], name: str) -> tuple[str, ...]:
    """The values of a claim as texts: those of a list, or the one that it is. Tables have no text."""
    found = find_claim(claims, name)
    listed = found if isinstance(found, list | tuple) else (found,)
    return tuple(text for each in listed if (text := _text(each)) is not None)


def claim_text(claims: Mapping[str, object], name: str) -> str | None:
    """The value of a claim as one text, that of a list with commas; None where there is none."""
    values = claim_values(claims, name)
    return ",".join(values) if values else None


def words(claims: Mapping[str, object], name: str) -> frozenset[str]:
    """The words of a claim that is a list, or a text with spaces between words (RFC 8693 §4.2)."""
    return frozenset(word for text in claim_values(claims, name) for word in text.split(" ") if word)


def _text(value: object) -> str | None:
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value)
    return None
