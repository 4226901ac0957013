"""A checked configuration as traffic has it: each route of an API is replaced by one for each of its versions."""

from __future__ import annotations

from msgspec.structs import replace

from meshctl.config.build import route
from meshctl.config.build_api import versions
from meshctl.config.document import Document
from meshctl.config.document_route import RouteTable
from meshctl.model.api import Api
from meshctl.model.mesh import Mesh
from meshctl.model.route import Route
from meshctl.model.service import Service


def versioned(document: Document, mesh: Mesh) -> Mesh:
    """`mesh`, which was built of `document` and found right, with its routes by version."""
    if not mesh.apis:
        return mesh
    apis = {api.name: api for api in mesh.apis}
    services = {service.name: service for service in mesh.services}
    found: list[Route] = []
    for table, written in zip(document.routes or (), mesh.routes, strict=True):
        api = apis.get(written.api.api) if written.api is not None else None
        found += [written] if api is None else versions(written, api, _leading(table, written, api, services))
    return replace(mesh, routes=tuple(found), versioned=tuple(each for each in mesh.routes if each.api is not None))


def _leading(table: RouteTable, written: Route, api: Api, services: dict[str, Service]) -> dict[str, Route]:
    """For each version the route as it would be if it led where the version says: its service may have timeouts and
    retries of its own."""
    found = {}
    for each in api.versions:
        service = each.service or table.service
        pinned = each.version or (None if each.service else table.version)
        led = table.model_copy(update={"service": service, "version": pinned})
        found[each.name] = route(led, written.name, services)
    return found
