"""Which operation of an API a request would be, and what would be refused of it, in words, for `routes explain`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from meshctl.model.units import format_size

if TYPE_CHECKING:
    from meshctl.core.checking import Checked
    from meshctl.model.checked import OpenApi
    from meshctl.model.route import Route
    from meshctl.wire.message import Request


def describe_checked(route: Route, request: Request) -> tuple[str, ...]:
    """A line for each thing; of a body only what it must be, since there is none."""
    if route.openapi is not None:
        return tuple(_openapi(route.openapi, request))
    if route.request_schema is not None:
        name = _name(route.request_schema.file)
        return (f"body: JSON of up to {format_size(route.request_schema.limit)} that meets {name}",)
    return ()


def _openapi(api: OpenApi, request: Request) -> Iterator[str]:
    from meshctl.core.checking import operations
    from meshctl.proxy.judging import said

    name = f"openapi {_name(api.document)}"
    found = operations(api).find(request.path)
    if found is None:
        yield f"{name}: no such path under {api.root or '/'}: unknown_operation"
        return
    item, values = found
    operation = item.find(request.method)
    if operation is None:
        yield f"{name}: the path is for {item.allowed}: method_not_allowed"
        return
    asked = operation.operation
    yield (
        f"{name}: " + (f"{asked.name}, " if asked.name else "") + f"{asked.method} {asked.path} under {api.root or '/'}"
    )
    for fault in operation.faults(request, item.names, values):
        yield f"{said(fault)}: invalid_request"
    if operation.body is not None:
        yield _body(operation, api.limit)


def _body(operation: Checked, limit: int) -> str:
    assert operation.body is not None
    needed = "needed" if operation.operation.needs_body else "may be there"
    checked = any(each.schema for each in operation.operation.body or ())
    looked = f", looked at up to {format_size(limit)}" if checked else ""
    return f"body: {needed}, {operation.body.accepted}{looked}"


def _name(path: str) -> str:
    return path.rpartition("/")[2]
