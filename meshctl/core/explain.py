"""Why does this route take a request, and why does every other one not? Said in words, for `routes explain`.

Asks every rule in turn and compares their scores, those the route table sorts by. Too slow for traffic, and
independent of the table's indexes, so that each can be held against the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from meshctl.core.api_version import UNKNOWN, asked, told_by
from meshctl.core.match import PATTERNS, Matchable, Score, api_fits, host_fits, path_fits, prefix_key, score, value_fits
from meshctl.model.api import ApiMatch
from meshctl.model.route import Match, PathMatch, ValueMatch


class Explanation(msgspec.Struct, frozen=True):
    """The position of the winning route, or None, and why each other lost: the best first, then the nearest misses."""

    winner: int | None
    losers: tuple[tuple[int, str], ...]


class Fit(NamedTuple):
    """A rule that takes the request, by which of its hosts, and how specifically."""

    score: Score
    host: str


class Miss(NamedTuple):
    """A rule that does not take the request. The greater `nearness`, the less was missing."""

    nearness: tuple[int, int, int]
    reason: str


def judge(match: Match, position: int, request: Matchable) -> Fit | Miss:
    """How `match`, at `position` of the file, fares with `request`."""
    fits = [Fit(score(match, host, position), host) for host in match.hosts if host_fits(request.host, host)]
    if not match.hosts:
        fits = [Fit(score(match, "", position), "")]
    failed = _failed_conditions(match, request)
    path_is_met = path_fits(request.path, match.path)
    if not fits:
        return Miss((0, path_is_met, -len(failed)), _host_reason(request.host, match.hosts))
    if not path_is_met:
        return Miss((1, _shared(request.path, match.path.value), -len(failed)), _path_reason(request.path, match.path))
    if failed:
        return Miss((2, -len(failed), len(match.path.value)), ", ".join(failed))
    return max(fits)


def explain(rules: Sequence[tuple[Match, str]], request: Matchable) -> Explanation:
    """What becomes of `request` under `rules`, each with the name it is known by."""
    fits: list[tuple[Fit, int]] = []
    misses: list[tuple[Miss, int]] = []
    for position, (match, _) in enumerate(rules):
        verdict = judge(match, position, request)
        if isinstance(verdict, Fit):
            fits.append((verdict, position))
        else:
            misses.append((verdict, position))
    fits.sort(reverse=True)
    misses.sort(key=lambda each: (each[0].nearness, -each[1]), reverse=True)
    lost = [
        (position, _beaten_reason(fit, rules[position][0], fits[0], *rules[fits[0][1]])) for fit, position in fits[1:]
    ]
    missed = [(position, miss.reason) for miss, position in misses]
    return Explanation(fits[0][1] if fits else None, (*lost, *missed))


def _failed_conditions(match: Match, request: Matchable) -> list[str]:
    """A reason for each condition besides host and path that does not hold."""
    reasons = []
    if match.methods and request.method not in match.methods:
        reasons.append(f"method {request.method} is {_not_one_of(match.methods)}")
    for each in match.headers:
        value = request.header(each.name)
        if not value_fits(value, each):
            reasons.append(_value_reason("header", value, each))
    for each in match.cookies:
        value = request.cookie(each.name)
        if not value_fits(value, each):
            reasons.append(_value_reason("cookie", value, each))
    for each in match.query:
        value = request.query(each.name)
        if not value_fits(value, each):
            reasons.append(_value_reason("query parameter", value, each))
    return reasons if api_fits(match.api, request) else [*reasons, _api_reason(match.api, request)]


def _api_reason(condition: ApiMatch | None, request: Matchable) -> str:
    """Why the version asked for is not the one meant."""
    if condition is None or condition.kind == "path":
        return "the path asks for no version that there is not"
    said, by = request.said(told_by(condition)), told_by(condition)
    if condition.kind == "media_type":
        found, by = asked(condition.form, condition.known)(said or "\n"), "Accept or Content-Type"
    else:
        found = said if said is None or said in condition.known else UNKNOWN
    if found is None:
        return f"{by} asks for no version"
    return f'{by} asks for version "{found}"' if found else f"{by} asks for a version that there is not"


def _host_reason(host: str, patterns: Sequence[str]) -> str:
    quoted = [f'"{pattern}"' for pattern in patterns]
    reason = f'host "{host}" is {_not_one_of(quoted)}'
    if f"*.{host}" in patterns:
        reason += " (a wildcard needs a label before the dot)"
    return reason


def _path_reason(path: str, condition: PathMatch) -> str:
    if condition.kind == "exact":
        return f'path "{path}" is not "{condition.value}"'
    if condition.kind in PATTERNS:
        return f'path "{path}" does not match "{condition.value}"'
    reason = f'path "{path}" is not under "{condition.value}"'
    if path.startswith(prefix_key(condition.value)):
        reason += " (a prefix ends where a segment ends)"
    return reason


def _value_reason(kind: str, value: str | None, condition: ValueMatch) -> str:
    if value is None:
        return f"{kind} {condition.name} is missing"
    verb = "does not match" if condition.kind == "regex" else "is not"
    return f'{kind} {condition.name} "{value}" {verb} "{condition.value}"'


def _not_one_of(wanted: Sequence[str]) -> str:
    """ "not A", "neither A nor B", "none of A, B, C and 4 more"."""
    if len(wanted) == 1:
        return f"not {wanted[0]}"
    if len(wanted) == 2:
        return f"neither {wanted[0]} nor {wanted[1]}"
    more = f" and {len(wanted) - 3} more" if len(wanted) > 3 else ""
    return f"none of {', '.join(wanted[:3])}{more}"


def _beaten_reason(loser: Fit, match: Match, best: tuple[Fit, int], winning: Match, name: str) -> str:
    """Why `loser` loses to the winner, called `name`: the first field in which their scores differ."""
    winner = best[0]
    field = next(field for field in Score._fields if getattr(loser.score, field) != getattr(winner.score, field))
    theirs, ours = winning.path.value, match.path.value
    reason = {
        "host": f'a more specific host ("{winner.host}" over {_quoted(loser.host)})',
        "host_length": f'a longer wildcard ("{winner.host}" over "{loser.host}")',
        "path": f'a more specific path ({winning.path.kind} "{theirs}" over {match.path.kind} "{ours}")',
        "path_length": f'a longer {winning.path.kind} ("{theirs}" over "{ours}")',
        "method": f"a method condition ({', '.join(winning.methods)})",
        "headers": f"more header conditions ({winner.score.headers} over {loser.score.headers})",
        "query": f"more query conditions ({winner.score.query} over {loser.score.query})",
    }.get(field)
    return f'matches, but "{name}" has {reason}' if reason else f'matches, but "{name}" comes first'


def _quoted(host: str) -> str:
    return f'"{host}"' if host else "any host"


def _shared(path: str, value: str) -> int:
    """How many characters `path` and `value` begin with alike."""
    count = 0
    for ours, theirs in zip(path, value, strict=False):
        if ours != theirs:
            break
        count += 1
    return count
