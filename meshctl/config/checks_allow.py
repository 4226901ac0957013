"""Cross-checks of `[[allow]]`: names, and rules that cannot do what they seem to.

A name that no service of the file has is no error: an app may be wrapped under it. So only what is nearly a known name
is told, as a warning.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from meshctl.config.decode import Decoded
from meshctl.config.document_allow import AllowTable
from meshctl.config.problems import Finding, Path, did_you_mean, quoted
from meshctl.model.mesh import Mesh
from meshctl.model.names import GATEWAY

ANYONE = "*"
_BY_DEFAULT = "default"
# Comparing words costs; a person reads no more suggestions than this.
_SUGGESTIONS = 50


def check(decoded: Decoded, tables: Sequence[AllowTable], mesh: Mesh) -> Iterator[Finding]:
    """What is wrong with the rules between services."""
    yield from _names(tables)
    yield from _near_misses(decoded, tables, mesh)
    speak_tcp = {service.name for service in mesh.services if service.protocol == "tcp"}
    for number, table in enumerate(tables):
        yield from _without_effect(("allow", number), table, speak_tcp)
    yield from _closed_to_the_gateway(decoded, mesh)


def _names(tables: Sequence[AllowTable]) -> Iterator[Finding]:
    first: dict[str, int] = {}
    for number, table in enumerate(tables):
        if table.name is None:
            continue
        path: Path = ("allow", number, "name")
        if table.name == _BY_DEFAULT:
            yield Finding(path, f"{quoted(_BY_DEFAULT)} is what refusals without a rule are called", "another name")
        if table.name in first:
            message = f"{quoted(table.name)} is already the name of allow[{first[table.name]}]"
            yield Finding(path, message, "a name that no other rule has")
        first.setdefault(table.name, number)


def _near_misses(decoded: Decoded, tables: Sequence[AllowTable], mesh: Mesh) -> Iterator[Finding]:
    known = [*(service.name for service in mesh.services), GATEWAY]
    fine = {*known, ANYONE}
    hints: dict[str, str] = {}
    for number, table in enumerate(tables):
        for side, names in (("from", table.sources), ("to", table.targets)):
            for index, name in enumerate(names):
                if name in fine or decoded.is_lost(("services", name)):
                    continue
                if name not in hints:
                    hints[name] = did_you_mean(name, known) if len(hints) < _SUGGESTIONS else ""
                if hints[name]:
                    message = f"service {quoted(name)} is not in this file"
                    yield Finding(("allow", number, side, index), message, hint=hints[name], severity="warning")


def _without_effect(path: Path, table: AllowTable, speak_tcp: set[str]) -> Iterator[Finding]:
    if GATEWAY in table.targets:
        message = "has no effect: no service calls the gateway"
        yield Finding((*path, "to", table.targets.index(GATEWAY)), message, severity="warning")
    mute = next((name for name in table.targets if name in speak_tcp), None)
    for key in ("methods", "paths") if mute else ():
        if key in table.model_fields_set:
            yield Finding((*path, key), f"never holds for {quoted(mute)}: tcp has no {key}", severity="warning")


def _closed_to_the_gateway(decoded: Decoded, mesh: Mesh) -> Iterator[Finding]:
    """Services that routes lead to, but whose sidecars refuse the gateway whatever it asks."""
    if mesh.access.shadow or any(map(decoded.is_damaged, [("allow",), ("services",), ("mesh",)])):
        return
    rules = mesh.access.rules
    ruled = {name for rule in rules for name in rule.targets}
    letting_in = {name for rule in rules if {GATEWAY, ANYONE} & set(rule.sources) for name in rule.targets}
    are_all_closed = mesh.access.default == "deny" or ANYONE in ruled
    waiting = {service.name for service in mesh.services if not service.has_endpoints}
    for number, route in enumerate(mesh.routes):
        for at, name in enumerate(route.services):
            if name in waiting and (are_all_closed or name in ruled) and not {name, ANYONE} & letting_in:
                waiting.remove(name)  # said once
                message = f"service {quoted(name)} refuses the gateway: no [[allow]] lets it in"
                hint = f'add one with from = "gateway" and to = {quoted(name)}'
                where: Path = ("parts", at, "service") if route.parts else ("service",)
                yield Finding(("routes", number, *where), message, hint=hint, severity="warning")
