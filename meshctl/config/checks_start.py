"""Cross-checks of what `meshctl up` starts: the order of services, and the ports of their commands."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from meshctl.config.decode import Decoded
from meshctl.config.document_service import ServiceTable
from meshctl.config.problems import Finding, Path, did_you_mean, one_of, quoted
from meshctl.model.mesh import Mesh

# Comparing words costs; a person reads no more suggestions than this.
_SUGGESTIONS = 50
_LONGEST_CYCLE = 8


def check(decoded: Decoded, tables: Mapping[str, ServiceTable], mesh: Mesh) -> Iterator[Finding]:
    """What is wrong with the way the services start."""
    after = {service.name: tuple(tables[service.name].after or ()) for service in mesh.services}
    yield from _unknown(decoded, after)
    yield from _cycles(after)
    yield from _ports(tables, mesh)


def _unknown(decoded: Decoded, after: Mapping[str, Sequence[str]]) -> Iterator[Finding]:
    hints: dict[str, str] = {}
    for service, names in after.items():
        for number, name in enumerate(names):
            if name in after or decoded.is_lost(("services", name)):
                continue
            if name not in hints:
                hints[name] = did_you_mean(name, after) if len(hints) < _SUGGESTIONS else ""
            path: Path = ("services", service, "after", number)
            yield Finding(path, f"service {quoted(name)} does not exist", one_of(after), hints[name])


def _cycles(after: Mapping[str, Sequence[str]]) -> Iterator[Finding]:
    """Where a service waits for itself: depth first, and each step that leads back into the way is one finding."""
    done: set[str] = set()
    for start in after:
        way: dict[str, int] = {start: 0} if start not in done else {}
        while way:
            name, number = way.popitem()
            if number == len(after[name]):
                done.add(name)
                continue
            way[name] = number + 1
            below = after[name][number]
            if below in way:
                message = f"starts after itself: {_cycle(list(way), below)}"
                yield Finding(("services", name, "after", number), message, hint="take one of them out")
            elif below in after and below not in done:
                way[below] = 0


def _cycle(way: list[str], back_to: str) -> str:
    names = [*way[way.index(back_to) :], back_to]
    if len(names) > _LONGEST_CYCLE:
        names[_LONGEST_CYCLE // 2 : -_LONGEST_CYCLE // 2] = ["…"]
    return " after ".join(names)


def _ports(tables: Mapping[str, ServiceTable], mesh: Mesh) -> Iterator[Finding]:
    """Commands that would listen on the same port. Different services may run on different machines."""
    first: dict[int, tuple[str, str]] = {}
    for service in mesh.services:
        for command in service.commands:
            if not command.port:
                continue
            version = (tables[service.name].versions or {}).get(command.version)
            own = version is not None and version.port is not None
            path: Path = ("services", service.name, *(("versions", command.version) if own else ()), "port")
            other, other_version = first.setdefault(command.port, (service.name, command.version))
            if other == service.name and other_version != command.version:
                message = f"versions {quoted(other_version)} and {quoted(command.version)} would both listen there"
                yield Finding(path, message, "a port for each version, or none: $PORT has a free one")
            elif other != service.name:
                message = f"the command of {quoted(other)} listens there too"
                yield Finding(path, message, hint="they cannot run on one machine", severity="warning")
