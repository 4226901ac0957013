"""How is one document made of the answers to several requests, in which order are they asked for, and what status does
the whole have? Pure: who asks, and what came of it, are arguments.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from graphlib import CycleError, TopologicalSorter
from typing import Any, Final, NamedTuple

_PASSED_ON: Final = frozenset((400, 401, 403, 404, 410, 422, 429, 503, 504))
"""What a part is answered with that says the same of the whole."""
BAD_GATEWAY: Final = 502


class Gap(NamedTuple):
    """A part that failed, without which the whole does."""

    name: str
    why: str
    """A reason of the proxy, or `status_404`."""
    is_filled: bool = False
    """Whether its default stands in its place."""


def cycle(needs: Mapping[str, Iterable[str]]) -> tuple[str, ...]:
    """Names that need each other in a circle, the first one again at the end; empty where there are none. `needs` says
    for each whom it needs.

    >>> cycle({"a": ["b"], "b": ["a"], "c": []}), cycle({"a": ["b"], "b": []})
    (('a', 'b', 'a'), ())
    """
    try:
        TopologicalSorter(needs).prepare()
    except CycleError as error:
        return tuple(error.args[1][::-1])
    return ()


def merged(below: Any, above: Any) -> Any:
    """Two documents in one: objects member by member at any depth; of anything else that both have the one `above`
    holds, lists included.

    >>> merged({"a": {"x": 1, "y": [1]}}, {"a": {"y": [2]}, "b": 3})
    {'a': {'x': 1, 'y': [2]}, 'b': 3}
    """
    if not isinstance(below, dict) or not isinstance(above, dict):
        return above
    found = dict(below)
    for name, value in above.items():
        found[name] = merged(found[name], value) if name in found else value
    return found


def assembled(parts: Iterable[tuple[str, Any]]) -> Any:
    """The result of what each part contributes, in order: the member it becomes, or "" for the result itself, and its
    document."""
    result: Any = {}
    for group, document in parts:
        result = merged(result, {group: document} if group else document)
    return result


def whole_status(status: int) -> int:
    """The status of the whole where a part that it needs was answered with `status`: the same where that is about the
    request or about waiting, else 502."""
    return status if status in _PASSED_ON else BAD_GATEWAY


def missing(gaps: Iterable[Gap]) -> str:
    """The header that names what is missing: a list with parameters (RFC 9651 §3.1).

    >>> missing([Gap("ads", "status_404"), Gap("tips", "part_timeout", True)])
    'ads;reason=status_404, tips;reason=part_timeout;default'
    """
    return ", ".join(f"{each.name};reason={each.why}{';default' if each.is_filled else ''}" for each in gaps)
