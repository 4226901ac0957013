"""A query with some parameters renamed, taken out, set and added. Pure; what is not touched stays byte for byte."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from urllib.parse import quote, unquote_plus


def edited(query: str | None, renamed: Mapping[str, str], dropped: Container[str], added: Sequence[str]) -> str | None:
    """`query` with `renamed` parameters under their new names, without those `dropped`, and then what is `added`, which
    is encoded already; None where nothing is left. A renamed one takes the place of those that had its new name.

    >>> edited("a=1&b=x%20y&c=3", {"b": "d"}, {"c"}, ["e=5"])
    'a=1&d=x%20y&e=5'
    """
    parts = query.split("&") if query else []
    names = [unquote_plus(part.partition("=")[0]) for part in parts]
    taken = {renamed[name] for name in names if name in renamed} if renamed else ()
    kept = []
    for part, name in zip(parts, names, strict=True):
        if name in renamed:
            if renamed[name] not in dropped:
                kept.append(encoded(renamed[name]) + part[len(part.partition("=")[0]) :])
        elif name not in dropped and name not in taken:
            kept.append(part)
    return "&".join([*kept, *added]) or None


def encoded(text: str) -> str:
    """A name or a value as it stands in a query, whatever it holds."""
    return quote(text, safe="")
