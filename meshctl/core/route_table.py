"""Which route takes this request? The rules of a snapshot, indexed by host and then by path.

The most specific host that has a rule for the request wins: exact, then the longest wildcard, then rules that ask for
none; within a host the precedence of `match.Score` holds. Where a rule's conditions fail the next specific one is
asked. The table is built once for each snapshot and never changes; it knows nothing of what its targets are.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from meshctl.core.match import Matchable, score
from meshctl.core.overlap import never_wins
from meshctl.core.path_index import PathIndex
from meshctl.model.route import Match

if TYPE_CHECKING:
    from meshctl.core.explain import Explanation

__all__ = ["Matchable", "RouteTable", "never_wins"]

T = TypeVar("T")

_FEW: Final = 8
"""Rules of a host up to which its index is worth finding again."""
_Key = tuple[int, ...]


class RouteTable(Generic[T]):
    """Routes compiled for lookup. Raises `re.error` for a regex that does not compile."""

    __slots__ = ("_anywhere", "_few", "_hosts", "_longest_suffix", "_routes", "_suffix_lengths", "_suffixes", "find")

    find: Callable[[Matchable], T | None]
    """The target of the route that takes a request, or None."""

    def __init__(self, routes: Sequence[tuple[Match, T]], before: RouteTable[T] | None = None) -> None:
        """`before` is the table in whose place this one comes: hosts with the very same matches and targets as there
        are not compiled again."""
        self._routes = tuple(routes)
        by_host: dict[str, list[int]] = {}
        for position, (match, _) in enumerate(self._routes):
            for host in dict.fromkeys(match.hosts) or ("",):
                by_host.setdefault(host, []).append(position)
        self._few: dict[_Key, PathIndex[T]] = {}
        known = before._few if before is not None else {}
        indexes = {host: self._index(host, positions, known) for host, positions in by_host.items()}
        self._anywhere = indexes.pop("") if "" in indexes else PathIndex[T](())
        self._suffixes = {host[1:]: index for host, index in indexes.items() if host.startswith("*.")}
        self._hosts = {host: index for host, index in indexes.items() if not host.startswith("*.")}
        self._suffix_lengths = frozenset(map(len, self._suffixes))
        self._longest_suffix = max(self._suffix_lengths, default=0)
        self.find = self._find_by_host if indexes else self._anywhere.find

    def _index(self, host: str, positions: list[int], known: dict[_Key, PathIndex[T]]) -> PathIndex[T]:
        """The index for a host. Hosts with the same few rules share one: the names of a service have, and may be
        three."""
        routes = self._routes
        if len(positions) > 1:
            # Best first. Scores differ at least in `order`.
            positions.sort(key=lambda each: score(routes[each][0], host, each), reverse=True)
        rules = [routes[each] for each in positions]
        if len(rules) > _FEW:
            return PathIndex(rules)
        # `_routes` keeps what these are the addresses of.
        key = tuple([id(part) for rule in rules for part in rule])
        found = self._few.get(key)
        if found is None:
            found = self._few[key] = known.get(key) or PathIndex(rules)
        return found

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
