"""The parts that a route's answer may be made of, instead of being one service's."""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from meshctl.model.passing import JsonEdits

MOST_PARTS: Final = 16
"""Parts that a route may have: each is a request of its own."""


class Part(msgspec.Struct, frozen=True):
    """One request that goes out for a route, and what becomes of its answer."""

    name: str
    service: str
    path: str
    """What it asks for, path and query; with variables (`core.part_target`)."""
    need: Literal["required", "optional", "default"] = "required"
    """What its failure means: that of the whole, that it is left out, or that `default` stands in its place."""
    default: str = "null"
    """A value as JSON."""
    group: str = ""
    """The member of the result that it becomes; "" is the result itself, whose members are merged."""
    timeout: float = 0.0
    """Seconds for this part; 0 is as long as the whole may take."""
    headers: tuple[str, ...] = ("accept-language",)
    """The client's headers that it gets, in lower case, beside those that the gateway itself sets."""
    version: str | None = None
    """The one version of the service that is meant, whatever the weights; None is the service's split."""
    edits: JsonEdits = JsonEdits()
    """Edits to its answer, whose limit is that of the answer."""


def part_name(route: str, part: str) -> str:
    """Under which name a part's requests are counted and logged. No route has such a one."""
    return f"{route}#{part}"
