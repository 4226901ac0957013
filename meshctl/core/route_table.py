"""Which route takes this request? The rules of a snapshot, indexed by host and then by path.

The most specific host that has a rule for the request wins: exact, then the longest wildcard, then rules that ask for
none; within a host the precedence of `match.Score` holds. Where a rule's conditions fail the next specific one is
asked. The table is built once for each snapshot and never changes; it knows nothing of what its targets are.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Generic, TypeVar

from meshctl.core.match import Matchable, Score, score
from meshctl.core.overlap import never_wins
from meshctl.core.path_index import PathIndex
from meshctl.model.route import Match

if TYPE_CHECKING:
    from meshctl.core.explain import Explanation

__all__ = ["Matchable", "RouteTable", "never_wins"]

T = TypeVar("T")


class RouteTable(Generic[T]):
    """Routes compiled for lookup. Raises `re.error` for a regex that does not compile."""

    __slots__ = ("_anywhere", "_hosts", "_longest_suffix", "_routes", "_suffix_lengths", "_suffixes", "find")

    find: Callable[[Matchable], T | None]
    """The target of the route that takes a request, or None."""

    def __init__(self, routes: Sequence[tuple[Match, T]]) -> None:
        self._routes = tuple(routes)
        by_host: dict[str, list[tuple[Score, Match, T]]] = {}
        for position, (match, target) in enumerate(self._routes):
            for host in dict.fromkeys(match.hosts) or ("",):
                by_host.setdefault(host, []).append((score(match, host, position), match, target))
        indexes = _indexes(by_host)
        self._anywhere = indexes.pop("") if "" in indexes else PathIndex[T](())
        self._suffixes = {host[1:]: index for host, index in indexes.items() if host.startswith("*.")}
        self._hosts = {host: index for host, index in indexes.items() if not host.startswith("*.")}
        self._suffix_lengths = frozenset(map(len, self._suffixes))
        self._longest_suffix = max(self._suffix_lengths, default=0)
        self.find = self._find_by_host if indexes else self._anywhere.find

    def _find_by_host(self, request: Matchable) -> T | None:
        index = self._hosts.get(request.host)
        if index is not None:
            found = index.find(request)
            if found is not None:
                return found
        if self._suffixes:
            found = self._find_wildcard(request)
            if found is not None:
                return found
        return self._anywhere.find(request)

    def _find_wildcard(self, request: Matchable) -> T | None:
        """The target by the longest wildcard that has a rule; at least one character must stand before its dot."""
        host = request.host
        length = len(host)
        at = host.find(".", max(1, length - self._longest_suffix))
        while at > 0:
            if length - at in self._suffix_lengths:
                index = self._suffixes.get(host[at:])
                if index is not None:
                    found = index.find(request)
                    if found is not None:
                        return found
            at = host.find(".", at + 1)
        return None

    def explain(self, request: Matchable, name: Callable[[T], str] = str) -> Explanation:
        """Which route takes `request` and why every other one does not, in words; `name` gives a target's name for
        them. Asks every rule in turn: for people, not for traffic."""
        from meshctl.core.explain import explain

        return explain([(match, name(target)) for match, target in self._routes], request)

    def __len__(self) -> int:
        return len(self._routes)

    def __repr__(self) -> str:
        return f"RouteTable({len(self._routes)} routes, {len(self._hosts) + len(self._suffixes)} hosts)"


def _indexes(by_host: dict[str, list[tuple[Score, Match, T]]]) -> dict[str, PathIndex[T]]:
    """An index for each host; hosts with the same rules share one: the names of a service have, and may be three."""
    made: dict[tuple[int, ...], PathIndex[T]] = {}
    found = {}
    for host, rules in by_host.items():
        # Best first. Scores differ at least in `order`, so nothing else is compared.
        rules.sort(key=lambda rule: rule[0], reverse=True)
        same = tuple(score.order for score, _, _ in rules)
        if same not in made:
            made[same] = PathIndex((match, target) for _, match, target in rules)
        found[host] = made[same]
    return found
