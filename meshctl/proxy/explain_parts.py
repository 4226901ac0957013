"""What a request would be made of on a route with parts, in words, for `routes explain`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from meshctl.core.part_target import Target
from meshctl.core.template import Variable
from meshctl.model.units import format_duration, format_size
from meshctl.proxy.variables import captures

if TYPE_CHECKING:
    from meshctl.model.part import Part
    from meshctl.model.route import Route
    from meshctl.wire.message import Request

Destination = Callable[["Part"], tuple[str, str]]
"""The version and the endpoint that a part would get, in words."""

_NEEDS = {"required": "the whole fails without it", "optional": "left out where it fails"}


def describe_parts(route: Route, request: Request, destination: Destination) -> tuple[str, ...]:
    """A line for each part, in the order of the file."""
    return tuple(_part(route, part, request, destination) for part in route.parts)


def _part(route: Route, part: Part, request: Request, destination: Destination) -> str:
    target = Target(part.path)
    version, endpoint = destination(part)
    where = ", ".join(each for each in (version if version != "default" else "", endpoint) if each)
    said = [f"part {part.name}: GET {target.described(lambda each: _known(route, request, each))} of {part.service}"]
    if where:
        said.append(where)
    if target.parts:
        said.append(f"after {_listed(sorted(target.parts))}")
    if part.timeout:
        said.append(f"within {format_duration(part.timeout)}")
    said.append(f"up to {format_size(part.edits.limit)}")
    said.append(_NEEDS.get(part.need, f"{part.default} where it fails"))
    return "; ".join(said)


def _known(route: Route, request: Request, variable: Variable) -> str | None:
    """What is known of a variable before there is a request."""
    kind, name = variable
    if kind == "path" and name:
        found = captures(route.match.path)(request.path)
        return found[name] if found is not None and name in found.groupdict() else None
    if kind == "query":
        return request.query(name)
    if kind == "header":
        return request.header(name)
    if kind == "cookie":
        return request.cookie(name)
    plain = {"path": request.path, "method": request.method, "host": request.host, "route": route.name}
    return plain.get(kind)


def _listed(names: Sequence[str]) -> str:
    return " and ".join(names)
