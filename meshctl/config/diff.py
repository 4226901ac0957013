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
from meshctl.config.render import endpoint_text, number, render
from meshctl.model.mesh import Listener, Mesh
from meshctl.model.service import Service, Version


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
    before, after = _common_order(old, new), _common_order(new, old)
    if before != after:
        # Order decides between routes that are equally specific, so it is a change although no route changed.
        found.append(Change("changed", "routes", f"order {', '.join(before)}", f"order {', '.join(after)}"))
    return found


def _keyed(mesh: Mesh) -> dict[str, Any]:
    """The mesh in the file's shape, with names for numbers, so that things are compared with their like."""
    document = render(mesh)
    document["gateway"]["listen"] = {each.address: _listener(each) for each in mesh.gateway.listeners}
    document["routes"] = {table.pop("name"): table for table in document["routes"]}
    for service in mesh.services:
        table = document["services"][service.name]
        table.pop("endpoints", None)
        table["versions"] = {each.name: _version(each) for each in service.versions}
        if _is_direct(service):
            table["endpoints"] = table.pop("versions")["default"]["endpoints"]
    return document


def _is_direct(service: Service) -> bool:
    return [each.name for each in service.versions] == ["default"]


def _listener(value: Listener) -> dict[str, Any]:
    return {"tls": [f"{each.certificate} ({each.key})" for each in value.tls]} if value.tls else {}


def _version(value: Version) -> dict[str, Any]:
    endpoints = {endpoint_text(each): {"weight": number(each.weight)} for each in value.endpoints}
    return {"weight": number(value.weight), "endpoints": endpoints}


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
        return ", ".join(map(str, value)) or "none"
    if not isinstance(value, dict):
        return str(value)
    if target := next((name for name in ("service", "redirect", "respond") if name in value), ""):
        path = value.get("path", "/")
        goal = f"service {value[target]}" if target == "service" else target
        return f"{path if isinstance(path, str) else _summary(path)} → {goal}"
    if "versions" in value:
        return "versions " + ", ".join(value["versions"])
    if "endpoints" in value:
        return ", ".join(value["endpoints"])
    if value and all(isinstance(each, dict) for each in value.values()):
        return ", ".join(value)
    return ", ".join(f"{name} = {_summary(each)}" for name, each in value.items())


def _common_order(mesh: Mesh, other: Mesh) -> list[str]:
    names = {route.name for route in other.routes}
    return [route.name for route in mesh.routes if route.name in names]
