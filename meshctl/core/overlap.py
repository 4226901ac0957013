"""Which routes can never win, because another one takes every request they ask for? A cross-check for configurations.

Only what is certain is reported: a rule whose host, path, header, cookie and query conditions another one has word for
word, and whose methods that one (or several together) takes first. Two regexes that happen to match alike are not
compared.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence

from meshctl.core.match import prefix_key
from meshctl.model.route import Match

_ANY = ""


def never_wins(routes: Sequence[Match]) -> list[tuple[int, int]]:
    """The position of every route that can never win, with that of one which takes its place, in file order."""
    taken: dict[Hashable, dict[str, int]] = {}
    losers: list[tuple[int, int]] = []
    for position, match in enumerate(routes):
        # With equal conditions the earlier route wins; a route without methods ranks below one with, so that each kind
        # only hides its own.
        claims = [(slot, method) for slot in _slots(match) for method in match.methods or (_ANY,)]
        winners = [taken.setdefault(slot, {}).setdefault(method, position) for slot, method in claims]
        if all(winner != position for winner in winners):
            losers.append((position, winners[0]))
    return losers


def _slots(match: Match) -> list[Hashable]:
    """What `match` asks besides its methods, once for each of its hosts, so that equal conditions are equal values."""
    path = prefix_key(match.path.value) if match.path.kind == "prefix" else match.path.value
    values = (frozenset(match.headers), frozenset(match.query), frozenset(match.cookies), match.api)
    return [(host, match.path.kind, path, *values) for host in dict.fromkeys(match.hosts) or ("",)]
