"""Cross-checks of the parts of routes: whom they ask, what they need of each other, and what a route with parts does
not use.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from meshctl.config.build_parts import METHODS
from meshctl.config.checks_passing import stands_for_nothing
from meshctl.config.decode import Decoded
from meshctl.config.document_parts import PartTable
from meshctl.config.document_route import RouteTable
from meshctl.config.problems import Finding, Path, did_you_mean, one_of, quoted
from meshctl.core.assembly import cycle
from meshctl.core.part_target import Target, shown
from meshctl.core.template import PART
from meshctl.model.mesh import Mesh

_WITHOUT_EFFECT = ("request_query", "request_body", "retry", "body_bytes")


def check(decoded: Decoded, tables: Sequence[RouteTable], mesh: Mesh) -> Iterator[Finding]:
    """What is wrong with the parts of routes."""
    for number, table in enumerate(tables):
        path: Path = ("routes", number)
        if table.parts is None:
            continue
        yield from _names(path, table.parts)
        yield from _services(decoded, path, table.parts, mesh)
        yield from _variables(path, table, table.parts)
        yield from _needs(path, table.parts)
        yield from _route(path, table)


def _names(path: Path, parts: Sequence[PartTable]) -> Iterator[Finding]:
    first: dict[str, int] = {}
    for number, part in enumerate(parts):
        if part.name in first:
            message = f"{quoted(part.name)} is already the name of parts[{first[part.name]}]"
            yield Finding((*path, "parts", number, "name"), message, "a name that no other part of the route has")
        first.setdefault(part.name, number)


def _services(decoded: Decoded, path: Path, parts: Sequence[PartTable], mesh: Mesh) -> Iterator[Finding]:
    services = {service.name: service for service in mesh.services}
    for number, part in enumerate(parts):
        where: Path = (*path, "parts", number, "service")
        service = services.get(part.service)
        if service is None and not decoded.is_lost(("services", part.service)):
            expected = one_of(list(services)) or ("" if services else f"a table [services.{part.service}]")
            hint = did_you_mean(part.service, list(services))
            yield Finding(where, f"service {quoted(part.service)} does not exist", expected, hint)
        if service is not None and service.protocol == "tcp":
            message = f"service {quoted(part.service)} speaks tcp, and parts are asked for by HTTP"
            yield Finding(where, message, "a service that speaks http")
        versions = [version.name for version in service.versions] if service is not None else []
        is_told = service is not None and not decoded.is_damaged(("services", part.service))
        if part.version is not None and part.version not in versions and is_told:
            message = f"service {quoted(part.service)} has no version {quoted(part.version)}"
            expected = one_of(versions) or f"a table [services.{part.service}.versions.{part.version}]"
            hint = did_you_mean(part.version, versions)
            yield Finding((*path, "parts", number, "version"), message, expected, hint)


def _variables(path: Path, table: RouteTable, parts: Sequence[PartTable]) -> Iterator[Finding]:
    names = list(dict.fromkeys(part.name for part in parts))
    for number, part in enumerate(parts):
        where: Path = (*path, "parts", number, "path")
        for each in Target(part.path).variables:
            first = each.name.partition(".")[0]
            yield from stands_for_nothing(where, table, each, 'a path such as "/users/{id}"')
            if each.kind == PART and first not in names:
                hint = did_you_mean(first, names)
                yield Finding(where, f"{shown(each)}: there is no part {quoted(first)}", one_of(names), hint)


def _needs(path: Path, parts: Sequence[PartTable]) -> Iterator[Finding]:
    numbers = {part.name: number for number, part in enumerate(parts)}
    needs = {part.name: sorted(Target(part.path).parts & numbers.keys()) for part in parts}
    circle = cycle(needs)
    if circle:
        where: Path = (*path, "parts", min(numbers[name] for name in circle), "path")
        said = f"{quoted(circle[0])} needs itself"
        if len(circle) > 2:
            said = "parts need each other in a circle: " + " → ".join(circle)
        yield Finding(where, said, "parts of which one at least needs no other")
        return
    optional = {part.name for part in parts if part.need is not None and part.need.optional}
    for name, needed in needs.items():
        risky = optional.intersection(needed)
        if risky and name not in optional and parts[numbers[name]].need is None:
            message = f"is required, but needs {quoted(min(risky))}, which is optional: the whole fails with that"
            yield Finding((*path, "parts", numbers[name], "path"), message, severity="warning")


def _route(path: Path, table: RouteTable) -> Iterator[Finding]:
    for number, method in enumerate(table.methods or ()):
        if method not in METHODS:
            message = f"{quoted(method)} is not for a route with parts, which are asked for with GET"
            yield Finding((*path, "methods", number), message, " or ".join(METHODS))
    for name in _WITHOUT_EFFECT:
        if name in table.model_fields_set:
            message = "has no effect: parts are asked for as they and their services say"
            yield Finding((*path, name), message, severity="warning")
    if table.cache is not None:
        message = "has no effect: what is made of parts is not kept"
        yield Finding((*path, "cache"), message, severity="warning")
    if table.rewrite is not None:
        for name in ("prefix", "path"):
            if name in table.rewrite.model_fields_set:
                message = "has no effect: each part has a path of its own"
                yield Finding((*path, "rewrite", name), message, severity="warning")
