"""In which order services start and end: each after those it is `after`, and gone before them.

`after` says for each name whom it is after; names that are no keys of it are nobody's business here. Knows neither
processes nor time: who has begun, who is ready and who still runs are arguments.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence

from meshctl.errors import MeshError, nearest
from meshctl.model.service import Service

After = Mapping[str, Collection[str]]


def selected(services: Sequence[Service], names: Collection[str]) -> tuple[Service, ...]:
    """Those of `services` that `names` mean and whom they are after, at any distance; all of them without names.

    Raises MeshError not_found for a name that no service has, usage for one without a command."""
    if not names:
        return tuple(services)
    known = {service.name: service for service in services}
    for name in names:
        if name not in known:
            hint = nearest(name, known) or _existing(known)
            raise MeshError("not_found", f'service "{name}" does not exist', hint=hint)
        if not known[name].commands:
            hint = f"give it one in [services.{name}], or wrap it with `meshctl sidecar wrap`"
            raise MeshError("usage", f'service "{name}" has no command', hint=hint)
    after = {service.name: service.after for service in services}
    wanted = {*names, *(below for name in names for below in closure(after, name))}
    return tuple(service for service in services if service.name in wanted)


def closure(after: After, name: str) -> set[str]:
    """All that `name` is after, at any distance."""
    found: set[str] = set()
    ahead = list(after.get(name, ()))
    while ahead:
        each = ahead.pop()
        if each not in found:
            found.add(each)
            ahead += after.get(each, ())
    return found


def may_start(after: After, begun: Collection[str], ready: Collection[str]) -> list[str]:
    """Who has not begun, and is after nobody who is not ready."""
    return [name for name in after if name not in begun and all(each in ready for each in after[name] if each in after)]


def may_end(after: After, running: Collection[str]) -> list[str]:
    """Who runs, while nobody that is after it does."""
    needed = {below for name in running for below in closure(after, name) - {name}}
    return [name for name in after if name in running and name not in needed]


def waiting(after: After, begun: Collection[str], ready: Collection[str]) -> Iterator[tuple[str, str]]:
    """Who has not begun, and for whom each waits: pairs of names."""
    for name in after:
        if name not in begun:
            yield from ((name, each) for each in after[name] if each in after and each not in ready)


def _existing(known: Collection[str]) -> str:
    return f"there are {', '.join(sorted(known))}" if known else "the configuration has no services"
