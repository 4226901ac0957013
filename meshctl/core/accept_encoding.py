"""Which coding may an answer have for a client that says what it takes? RFC 9110 §12.5.3. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Final

_LONGEST: Final = 256
"""Of what is remembered: whoever sends more sends another each time."""


def preferred(accepted: str, offered: tuple[str, ...]) -> str:
    """The coding of `offered`, best first, that the client likes best; "" where it had rather have none.

    >>> preferred("gzip, deflate, br;q=0.9", ("zstd", "br", "gzip"))
    'gzip'
    """
    return _known(accepted, offered) if len(accepted) <= _LONGEST else _preferred(accepted, offered)


def _preferred(accepted: str, offered: tuple[str, ...]) -> str:
    weights = _weights(accepted)
    others = weights.get("*", 0.0)
    best, most = "", weights.get("identity", 0.0)
    for coding in offered:
        weight = weights.get(coding, weights.get(f"x-{coding}", others))
        # Of what is liked alike the first is taken, and any of them before none.
        if weight > most or (weight == most and weight > 0 and not best):
            best, most = coding, weight
    return best


_known: Final = lru_cache(maxsize=512)(_preferred)


def _weights(accepted: str) -> dict[str, float]:
    """The codings named with their weights; what is not understood is not wanted."""
    found = {}
    for part in accepted.lower().split(","):
        coding, *parameters = (each.strip() for each in part.split(";"))
        if coding:
            found[coding] = _weight(parameters)
    return found


def _weight(parameters: Sequence[str]) -> float:
    for each in parameters:
        name, _, value = each.partition("=")
        if name.strip() == "q":
            try:
                return max(0.0, min(1.0, float(value)))
            except ValueError:
                return 0.0
    return 1.0
