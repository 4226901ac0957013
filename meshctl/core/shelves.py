"""Where answers are kept: by what was asked for, whose they are and by which of the request's headers they differ;
bounded in bytes, of which the least recently used go first.

    target ─▶ owner ─▶ names of headers ─▶ their values ─▶ answer

Pure: it does not know what an answer is but for its size, nor when it is too old.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Final, Generic, Protocol, TypeVar

Values = tuple[bytes, ...]
Owner = tuple[Any, ...]

MOST_NAMES: Final = 8
"""Sets of headers by which the answers to one request may differ; of more the oldest are forgotten."""
OVERHEAD: Final = 1_500
"""Bytes that an answer takes beside its own: the objects around it."""


class Sized(Protocol):
    """What is kept."""

    size: int
    """Its bytes."""
    at: float
    """When it came: of several the newest is found."""


T = TypeVar("T", bound=Sized)


class _Place(Generic[T]):
    """Where one answer stands."""

    __slots__ = ("answer", "names", "owner", "size", "target", "values")

    def __init__(self, target: str, owner: Owner, names: Values, values: Values, answer: T) -> None:
        self.target = target
        self.owner = owner
        self.names = names
        self.values = values
        self.answer = answer
        self.size = answer.size + len(target) + sum(map(len, values)) + OVERHEAD


_Shelf = dict[Values, dict[Values, _Place[T]]]


class Shelves(Generic[T]):
    """See the module."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.size = 0
        """Bytes of all that is kept, and of what is about to be."""
        self.evicted = 0
        """Answers that gave way to others."""
        self._held = 0
        self._targets: dict[str, dict[Owner, _Shelf[T]]] = {}
        self._places: OrderedDict[_Place[T], None] = OrderedDict()

    def __repr__(self) -> str:
        return f"<Shelves {len(self._places)} answers, {self.size} of {self.limit} bytes>"

    def __len__(self) -> int:
        return len(self._places)

    def find(self, target: str, owner: Owner, select: Callable[[Values], Values]) -> T | None:
        """The newest answer for a request, whose headers of these names have the values that `select` gives."""
        owners = self._targets.get(target)
        shelf = owners.get(owner) if owners is not None else None
        if shelf is None:
            return None
        found: _Place[T] | None = None
        for names, places in shelf.items():
            place = places.get(select(names) if names else ())
            if place is not None and (found is None or place.answer.at > found.answer.at):
                found = place
        if found is None:
            return None
        self._places.move_to_end(found)
        return found.answer

    def names(self, target: str, owner: Owner) -> Values | None:
        """The headers by which the latest kind of answer differs; None where nothing is kept."""
        shelf = self._targets.get(target, {}).get(owner)
        return next(reversed(shelf)) if shelf else None

    def put(self, target: str, owner: Owner, names: Values, values: Values, answer: T) -> bool:
        """Keep an answer in the place of the one for the same request; False where it is larger than all there may
        be."""
        place = _Place(target, owner, names, values, answer)
        self._drop_one(target, owner, names, values)
        if not self._make_room(place.size):
            return False
        shelf = self._targets.setdefault(target, {}).setdefault(owner, {})
        while names not in shelf and len(shelf) >= MOST_NAMES:
            for each in list(shelf[next(iter(shelf))].values()):
                self._drop(each)
            shelf = self._targets.setdefault(target, {}).setdefault(owner, {})
        shelf.setdefault(names, {})[values] = place
        self._places[place] = None
        self.size += place.size
        return True

    def hold(self, size: int) -> bool:
        """Make room for so many bytes of what is about to be kept; False where there is none: answers under way may
        take half of it."""
        if self._held + size > self.limit // 2 or not self._make_room(size):
            return False
        self._held += size
        self.size += size
        return True

    def let_go(self, size: int) -> None:
        """Give back what `hold` held."""
        self._held -= size
        self.size -= size

    def forget(self, target: str) -> int:
        """Drop all that is kept for a target, whoever's it is; how many that were."""
        return self._drop_all([each for shelf in self._targets.get(target, {}).values() for each in _of(shelf)])

    def forget_owners(self, is_gone: Callable[[Owner], bool]) -> int:
        """Drop what is kept for owners that are gone; how many answers that were."""
        return self._drop_all([each for each in self._places if is_gone(each.owner)])

    def resize(self, limit: int) -> None:
        """There may be so many bytes from now on."""
        self.limit = limit
        self._make_room(0)

    def _make_room(self, size: int) -> bool:
        while self.size + size > self.limit and self._places:
            self._drop(next(iter(self._places)))
            self.evicted += 1
        return self.size + size <= self.limit

    def _drop_one(self, target: str, owner: Owner, names: Values, values: Values) -> None:
        place = self._targets.get(target, {}).get(owner, {}).get(names, {}).get(values)
        if place is not None:
            self._drop(place)

    def _drop_all(self, places: list[_Place[T]]) -> int:
        for each in places:
            self._drop(each)
        return len(places)

    def _drop(self, place: _Place[T]) -> None:
        del self._places[place]
        self.size -= place.size
        owners = self._targets[place.target]
        shelf = owners[place.owner]
        places = shelf[place.names]
        del places[place.values]
        # Nothing empty stays, so that targets that are asked for once do not add up.
        if not places:
            del shelf[place.names]
        if not shelf:
            del owners[place.owner]
        if not owners:
            del self._targets[place.target]


def _of(shelf: _Shelf[T]) -> list[_Place[T]]:
    return [place for places in shelf.values() for place in places.values()]
