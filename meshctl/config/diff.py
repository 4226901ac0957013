"""What differs between two meshes, as people would say it: objects by name, fields in human units.

services.orders.versions.v2.weight: 10 → 20
routes.orders.retry.attempts: 1 → 3
services.orders.endpoints.127.0.0.1:9003: added
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

import msgspec

from meshctl.config.problems import Path, path_text
from meshctl.config.render import conditions, endpoint_text, is_direct, number, render
from meshctl.config.render_checked import contents
from meshctl.model.mesh import Listener, Mesh
from meshctl.model.service import DIRECT, Version


class Change(msgspec.Struct, frozen=True):
    """One difference. Values are text in human units; what was added has no `before`, what was removed no `after`."""

    kind: Literal["added", "removed", "changed"]
    path: str
    before: str = ""
    after: str = ""

    def __str__(self) -> str:
        if self.kind == "changed":
            return f"{self.path}: {self.before} → {self.after}"
        value = self.after or self.before
        return f"{self.path}: {self.kind}" + (f" ({value})" if value else "")


def changes(old: Mesh, new: Mesh) -> list[Change]:
    """The differences, removed and changed things in the old order, then added ones. Empty where both mean the same."""
    found = list(_compare((), _keyed(old), _keyed(new)))
    # Order decides between routes that are equally specific, which rule a refusal names and which of two parts has the
    # last word: it is a change although nothing else is.
    found += _order("routes", *([each.name for each in mesh.written_routes] for mesh in (old, new)))
    after = {route.name: route for route in new.written_routes}
    for route in old.written_routes:
        for key in ("require", "parts"):
            names = [[each.name for each in getattr(one, key, ())] for one in (route, after.get(route.name))]
            found += _order(path_text(("routes", route.name, key)), *names)
    found += _order("allow", [each.name for each in old.access.rules], [each.name for each in new.access.rules])
    return found


def _keyed(mesh: Mesh) -> dict[str, Any]:
    """The mesh in the file's shape, with names for numbers, so that things are compared with their like."""
    document = render(mesh)
    document["gateway"]["listen"] = {each.address: _listener(each) for each in mesh.gateway.listeners}
    document["routes"] = {table.pop("name"): table for table in document["routes"]}
    for table in document["routes"].values():
        if "require" in table:
            table["require"] = {rule.pop("name"): rule for rule in table["require"]}
        for key in ("rate_limits", "quotas", "parts"):
            if key in table:
                table[key] = {each.pop("name"): each for each in table[key]}
    for route in mesh.written_routes:
        for key, said in contents(route).items():
            document["routes"][route.name][key]["content"] = said
    document["allow"] = {table.pop("name"): table for table in document["allow"]}
    for service in mesh.services:
        table = document["services"][service.name]
        table.pop("endpoints", None)
        table["versions"] = {each.name: _version(each) for each in service.versions}
        if is_direct(service) or not service.versions:
            versions = table.pop("versions")
            table["endpoints"] = versions[DIRECT]["endpoints"] if versions else {}
    return document


def _listener(value: Listener) -> dict[str, Any]:
    issued = ["mesh"] if value.mesh == "edge" else []
    certificates = issued + [f"{each.certificate} ({each.key})" for each in value.tls]
    table = {"tls": certificates, "connections_per_client": value.connections_per_client}
    return {name: each for name, each in table.items() if each}


def _version(value: Version) -> dict[str, Any]:
    endpoints = {endpoint_text(each): {"weight": number(each.weight)} for each in value.endpoints}
    table: dict[str, Any] = {"weight": number(value.weight), "endpoints": endpoints}
    own = {"match": conditions(value.match), "command": value.command, "port": value.port}
    return table | {name: each for name, each in own.items() if each}


def _compare(path: Path, old: Any, new: Any) -> Iterator[Change]:
    if isinstance(old, dict) and isinstance(new, dict):
        for key, value in old.items():
            if key in new:
                yield from _compare((*path, key), value, new[key])
            else:
                yield Change("removed", path_text((*path, key)), before=_summary(value))
        for key, value in new.items():
            if key not in old:
                yield Change("added", path_text((*path, key)), after=_summary(value))
    elif old != new:
        yield Change("changed", path_text(path), _summary(old), _summary(new))


def _summary(value: Any) -> str:
    """A value in a few words; of a whole object, what it is for."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return ", ".join(map(_summary, value)) or "none"
    if not isinstance(value, dict):
        return str(value)
    if target := next((name for name in ("service", "redirect", "respond", "parts") if name in value), ""):
        path = value.get("path", "/")
        goal = f"service {value[target]}" if target == "service" else target
        if target == "parts":
            goal = f"parts {', '.join(value[target])}"
        return f"{path if isinstance(path, str) else _summary(path)} → {goal}"
    if "from" in value:
        return f"{_summary(value['from'])} → {_summary(value['to'])}"
    if "versions" in value:
        return "versions " + ", ".join(value["versions"])
    if "endpoints" in value:
        return ", ".join(value["endpoints"])
    if value and all(isinstance(each, dict) for each in value.values()):
        return ", ".join(value)
    return ", ".join(f"{name} = {_summary(each)}" for name, each in value.items())


def _order(path: str, old: list[str], new: list[str]) -> Iterator[Change]:
    """The change of order among what both have, if there is any."""
    before, after = ([name for name in names if name in set(others)] for names, others in ((old, new), (new, old)))
    if before != after:
        yield Change("changed", path, f"order {', '.join(before)}", f"order {', '.join(after)}")
