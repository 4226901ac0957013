"""Names for what was given none: a route is called after its path, else its host, and never like another."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

_LONGEST = 63


def made_name(path: str, hosts: tuple[str, ...]) -> str:
    """A name for a route or service: "/v1/orders" → "v1-orders", "/" on "*.a.com" → "a.com", else "root"."""
    slug = re.sub(r"[^A-Za-z0-9._]+", "-", path).strip("-._")
    if not slug and hosts:
        slug = re.sub(r"[^a-z0-9.-]+", "-", hosts[0].removeprefix("*.")).strip("-.")
    return slug[:_LONGEST].rstrip("-._") or "root"


def made_label(path: str, hosts: tuple[str, ...]) -> str:
    """The same as a DNS label, for services: "/v1/Orders" → "v1-orders"."""
    return re.sub(r"[^a-z0-9]+", "-", made_name(path, hosts).lower()).strip("-") or "root"


def made_rule_name(sources: Sequence[str], targets: Sequence[str]) -> str:
    """A name for a rule between services: "web" and "orders" → "web-to-orders"; "*" is "any"."""
    callers, called = ("-".join("any" if each == "*" else each for each in side) for side in (sources, targets))
    return f"{callers}-to-{called}"[:_LONGEST].rstrip("-")


class Names:
    """Gives every name once: "orders", then "orders-2", "orders-3"."""

    def __init__(self, taken: Iterable[str] = ()) -> None:
        self._taken = set(taken)
        self._last: dict[str, int] = {}

    def free(self, stem: str) -> str:
        """`stem`, or `stem` with the first number that makes it new."""
        name = stem
        while name in self._taken:
            self._last[stem] = self._last.get(stem, 1) + 1
            suffix = f"-{self._last[stem]}"
            name = stem[: _LONGEST - len(suffix)] + suffix
        self._taken.add(name)
        return name
