"""Which requests a tap wants: the words of a command line as a filter, and whether a request passes it. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from meshctl.model.tap import TapFilter

_STATUS: Final = re.compile(r"(\d{3})(?:-(\d{3}))?|([1-5])xx", re.ASCII | re.IGNORECASE)
_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", re.ASCII)


class Wanted:
    """A filter, ready for use."""

    def __init__(self, told: TapFilter) -> None:
        self.filter = told
        self._services = frozenset(told.services)
        self._sources = frozenset(told.sources)
        self._destinations = frozenset(told.destinations)
        self._methods = frozenset(method.upper() for method in told.methods)
        self._path = _either(map(_path_pattern, told.paths))
        self.is_picky = bool(self._services or self._sources or self._destinations)
        """Whether it matters who calls whom."""
        self.is_particular = bool(self._methods or self._path or told.statuses or told.slow or told.headers)
        """Whether it matters what was asked and how that ended."""
        self.headers = tuple((name, re.compile(_wild(value), re.DOTALL)) for name, value in told.headers)

    def __repr__(self) -> str:
        return f"<Wanted {self.filter}>"

    def takes(self, source: str, client: str, destination: str, version: str) -> bool:
        """Whether it is about who calls whom."""
        if self._services and not {source, destination} & self._services:
            return False
        if self._sources and not {source, client} & self._sources:
            return False
        return not self._destinations or bool({destination, f"{destination}/{version}"} & self._destinations)

    def takes_request(self, method: str, path: str, status: int, seconds: float) -> bool:
        """Whether it is about what was asked and how that ended. `path` is without its query."""
        if seconds < self.filter.slow:
            return False
        if self._methods and method not in self._methods:
            return False
        if self.filter.statuses and not any(low <= status <= high for low, high in self.filter.statuses):
            return False
        return self._path is None or self._path.fullmatch(path) is not None


def parse_status(text: str) -> tuple[tuple[int, int], ...]:
    """Statuses as they are typed: "503", "5xx", "400-499", several with commas. Raises ValueError."""
    found = []
    for word in text.split(","):
        match = _STATUS.fullmatch(word.strip())
        if match is None:
            raise ValueError(f'"{word}" is no status: write 503, 5xx or 400-499')
        first, last, hundred = match.groups()
        low = int(hundred) * 100 if hundred else int(first)
        high = low + 99 if hundred else int(last or first)
        if high < low:
            raise ValueError(f'"{word}" ends before it begins')
        found.append((low, high))
    return tuple(found)


def parse_header(text: str) -> tuple[str, str]:
    """A header as it is typed: "x-user: alice", "x-user: al*", or a name alone. Raises ValueError."""
    name, colon, value = text.partition(":")
    if not _NAME.fullmatch(name.strip()):
        raise ValueError(f'"{text}" is not a header: write it as "name: value", or a name alone')
    return name.strip().lower(), value.strip() if colon else "*"


def _path_pattern(path: str) -> str:
    if "*" in path:
        return _wild(path)
    return rf"{re.escape(path.rstrip('/'))}(?:/.*)?"


def _wild(text: str) -> str:
    return ".*".join(map(re.escape, text.split("*")))


def _either(patterns: Iterable[str]) -> re.Pattern[str] | None:
    joined = "|".join(patterns)
    return re.compile(joined, re.DOTALL) if joined else None
