"""Texts with variables, such as `{client_ip}` and `user-{claim.sub}`: what they are made of.

A brace that is one is written twice. What a variable stands for is put in as it is and never read again, so nobody can
smuggle a variable in through its value. Pure; what the variables mean is known elsewhere.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from difflib import get_close_matches
from typing import Final, NamedTuple

PLAIN: Final = ("client_ip", "host", "method", "path", "request_id", "route", "scheme")
NAMED: Final = ("claim", "cookie", "header", "path", "query")
"""Kinds that are followed by a dot and the name of one of theirs."""
PART: Final = "part"
"""One more such kind, for the paths of parts alone: `{part.user.id}` is from the answer of the part "user"."""

_PIECE: Final = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]|[^{}]+")
_WORD: Final = re.compile(r"[A-Za-z0-9._-]+")


class Variable(NamedTuple):
    """What is put in: `{claim.sub}` is the kind "claim" and the name "sub"."""

    kind: str
    name: str = ""


Part = str | Variable


def parse(text: str, named: Sequence[str] = NAMED) -> tuple[Part, ...]:
    """The parts of a text, those that stand as they are joined together. `named` are the kinds that have names. Raises
    ValueError.

    >>> parse("u-{claim.sub}{{}}")
    ('u-', Variable(kind='claim', name='sub'), '{}')
    """
    parts: list[Part] = []
    for piece in _PIECE.finditer(text):
        found = piece[0]
        if found in ("{", "}"):
            raise ValueError(f'expected "{found}{found}" for a brace, or a variable such as "{{client_ip}}"')
        if piece[1] is not None:
            parts.append(_variable(piece[1], named))
            continue
        literal = found[0] if found in ("{{", "}}") else found
        if parts and isinstance(parts[-1], str):
            parts[-1] += literal
        else:
            parts.append(literal)
    return tuple(parts)


def variables(text: str) -> tuple[Variable, ...]:
    """The variables of a text that is one."""
    return tuple(part for part in parse(text) if isinstance(part, Variable))


def literal(text: str) -> str | None:
    """What a text says that has no variables; None where it has any."""
    parts = parse(text)
    return None if any(isinstance(part, Variable) for part in parts) else "".join(map(str, parts))


def _variable(said: str, named: Sequence[str]) -> Variable:
    kind, dot, name = said.partition(".")
    if not dot and kind in PLAIN:
        return Variable(kind)
    if dot and kind in named and name:
        return Variable(kind, name)
    if not _WORD.fullmatch(said):
        raise ValueError('expected "{{" and "}}" for braces, or a variable such as "{client_ip}"')
    near = get_close_matches(said, [*PLAIN, *named], n=1, cutoff=0.6)
    hint = f'; did you mean "{{{near[0]}}}"?' if near else ""
    known = ", ".join((*PLAIN, *(f"{each}.NAME" for each in named)))
    raise ValueError(f'expected one of the variables {known}, not "{said}"{hint}')
