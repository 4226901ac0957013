"""Which of one host's rules takes this path? An index by dict, so that ten thousand rules cost what ten do.

Exact paths are one lookup, and so are most prefixes. Regexes are kept under the literal segments they
begin with, so that only those are run that could match. Knows nothing of hosts; the rules it is given are already in
the order of their scores.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

from meshctl.core.match import PATTERNS, Condition, Matchable, compile_conditions, hold, path_pattern, prefix_key
from meshctl.core.prefixes import Prefix, Prefixes
from meshctl.model.route import Match

T = TypeVar("T")

# What is left to ask once the path fits: methods, conditions, and what to answer with.
_Rule = tuple[frozenset[str] | None, tuple[Condition, ...] | None, T]
# A regex with its rank among all regexes of the host, lowest first.
_RegexRule = tuple[int, Callable[[str], object], frozenset[str] | None, tuple[Condition, ...] | None, T]

# A backslash before one of these makes it literal; before a letter or digit it means something else.
_ESCAPED = frozenset("/.-_~!$&'()*+,;=:@%[]{}|^?# ")
_META = frozenset(".^$*+?{}[]\\|()")


class PathIndex(Generic[T]):
    """The rules of one host pattern by path. `find` gives the target of the first that holds, or None."""

    __slots__ = ("_exact", "_prefixes", "_regexes")

    def __init__(self, ranked: Iterable[tuple[Match, T]]) -> None:
        exact: dict[str, list[_Rule[T]]] = {}
        prefixes: dict[str, list[_Rule[T]]] = {}
        regexes: dict[str, list[_RegexRule[T]]] = {}
        for rank, (match, target) in enumerate(ranked):
            methods, conditions = frozenset(match.methods) or None, compile_conditions(match)
            value = match.path.value
            if match.path.kind in PATTERNS:
                value = path_pattern(match.path)
                fits = re.compile(value).fullmatch
                regexes.setdefault(literal_segments(value), []).append((rank, fits, methods, conditions, target))
            elif match.path.kind == "exact":
                exact.setdefault(value, []).append((methods, conditions, target))
            else:
                prefixes.setdefault(prefix_key(value), []).append((methods, conditions, target))
        # Tuples lie closer together than lists.
        self._exact = {path: tuple(rules) for path, rules in exact.items()}
        self._prefixes = Prefixes({path: tuple(rules) for path, rules in prefixes.items()})
        self._regexes = Prefixes({path: tuple(rules) for path, rules in regexes.items()}) if regexes else None

    def find(self, request: Matchable) -> T | None:
        """The target of the best rule that takes `request`."""
        path = request.path
        if self._exact and path in self._exact:
            for methods, conditions, target in self._exact[path]:
                if (methods is None or request.method in methods) and (conditions is None or hold(conditions, request)):
                    return target
        if self._regexes is not None:
            found = _first_regex(self._regexes.nearest(path), request, path)
            if found is not None:
                return found
        prefix = self._prefixes.nearest(path)
        while prefix is not None:
            for methods, conditions, target in prefix.value:
                if (methods is None or request.method in methods) and (conditions is None or hold(conditions, request)):
                    return target
            prefix = prefix.above
        return None


def _first_regex(prefix: Prefix[tuple[_RegexRule[T], ...]] | None, request: Matchable, path: str) -> T | None:
    """The regex rule of the least rank that takes `request`, among those under `prefix` and above."""
    best: tuple[int, T] | None = None
    while prefix is not None:
        for rank, fits, methods, conditions, target in prefix.value:
            if best is not None and rank > best[0]:
                break
            if methods is not None and request.method not in methods:
                continue
            if fits(path) and (conditions is None or hold(conditions, request)):
                best = rank, target
                break
        prefix = prefix.above
    return best[1] if best is not None else None


def literal_segments(pattern: str) -> str:
    r"""The whole segments every match of `pattern` begins with: `/v1/users/\d+` → "/v1/users"; "" if uncertain."""
    literal: list[str] = []
    at = 0
    while at < len(pattern):
        char, width = pattern[at], 1
        if char == "\\" and pattern[at + 1 : at + 2] in _ESCAPED:
            char, width = pattern[at + 1 : at + 2], 2
        elif char in _META:
            break
        literal.append(char)
        at += width
    if pattern[at : at + 1] in ("*", "?", "{"):
        # The quantifier makes the last character optional.
        literal = literal[:-1]
    if _may_branch(pattern[at:]):
        return ""
    text = "".join(literal)
    return text[: text.rfind("/")] if "/" in text else ""


def _may_branch(rest: str) -> bool:
    """True where `rest` may hold an alternative outside of parentheses: what came before is then one branch only."""
    if "(?#" in rest:
        # Parentheses in a comment do not pair; nobody writes routes with them.
        return True
    depth, at = 0, 0
    while at < len(rest):
        char = rest[at]
        if char == "|" and depth <= 0:
            return True
        if char == "[":
            at = _class_end(rest, at)
            continue
        depth += (char == "(") - (char == ")")
        at += 2 if char == "\\" else 1
    return False


def _class_end(rest: str, at: int) -> int:
    """Where the character class that opens at `at` is over. A bracket right after "[" or "[^" belongs to it."""
    at += 2 if rest[at + 1 : at + 2] == "^" else 1
    at += rest[at : at + 1] == "]"
    while at < len(rest) and rest[at] != "]":
        at += 2 if rest[at] == "\\" else 1
    return at + 1
