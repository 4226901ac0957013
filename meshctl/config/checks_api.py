"""Cross-checks of versions of an API: names that nothing has, versions that lead nowhere, ends before beginnings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from meshctl.config.decode import Decoded
from meshctl.config.document_api import ApiTable
from meshctl.config.document_route import RouteTable
from meshctl.config.problems import Finding, Path, did_you_mean, one_of, quoted
from meshctl.model.api import Api, ApiVersion
from meshctl.model.mesh import Mesh
from meshctl.model.names import check_route_name
from meshctl.model.route import Route

_PARTS: Final = ("default", "unknown", "missing")
_ELSEWHERE: Final = ("redirect", "respond", "parts")


def check(
    decoded: Decoded, tables: Mapping[str, ApiTable], routes: Sequence[RouteTable], mesh: Mesh
) -> Iterator[Finding]:
    """What is wrong with the APIs and the routes that belong to them."""
    apis = {api.name: api for api in mesh.apis}
    for api in mesh.apis:
        yield from _api(("api", api.name), tables[api.name], api, mesh)
        if not decoded.is_damaged(("routes",)) and not any(each.api == api.name for each in routes):
            yield Finding(("api", api.name), "no route belongs to it", severity="warning")
    for number, (table, route) in enumerate(zip(routes, mesh.routes, strict=True)):
        if table.api is None:
            continue
        path: Path = ("routes", number)
        if table.api in apis:
            yield from _route(path, table, route, apis[table.api], mesh)
        elif not decoded.is_lost(("api", table.api)):
            expected = one_of(list(apis)) or f"a table [api.{table.api}]"
            hint = did_you_mean(table.api, list(apis))
            yield Finding((*path, "api"), f"api {quoted(table.api)} does not exist", expected, hint)


def _api(path: Path, table: ApiTable, api: Api, mesh: Mesh) -> Iterator[Finding]:
    names = [each.name for each in api.versions]
    if api.default is not None and api.default not in names:
        message = f"{quoted(api.default)} is none of the versions"
        yield Finding((*path, "default"), message, one_of(names), did_you_mean(api.default, names))
    if table.strip is not None and api.by.kind != "path":
        yield Finding((*path, "strip"), "has no effect: no version is in a path", severity="warning")
    if api.enforce_sunset and all(each.sunset is None for each in api.versions):
        yield Finding((*path, "enforce_sunset"), "has no effect: no version has a sunset", severity="warning")
    first: dict[str, str] = {}
    for version in api.versions:
        where = (*path, "versions", version.name)
        yield from _version(where, version, mesh)
        if version.aliases and api.by.kind == "path":
            yield Finding((*where, "aliases"), "a version has one name in paths", "no aliases, or a version of its own")
        if version.name in _PARTS:
            yield Finding(where, f"{quoted(version.name)} is what routes of an API are called by", "another name")
        for spelling in version.spellings:
            # Media types have no case (RFC 9110 §8.3.1).
            key = spelling.lower() if api.by.kind == "media_type" else spelling
            if key in first:
                yield Finding(where, f"{quoted(spelling)} is already what {quoted(first[key])} is called")
            first.setdefault(key, version.name)


def _version(path: Path, version: ApiVersion, mesh: Mesh) -> Iterator[Finding]:
    services = [each.name for each in mesh.services]
    if version.service is not None and version.service not in services:
        message = f"service {quoted(version.service)} does not exist"
        hint = did_you_mean(version.service, services)
        yield Finding((*path, "service"), message, one_of(services), hint)
    elif version.service is not None:
        yield from _leads((*path, "service"), (*path, "version"), version.service, version.version, mesh)
    if version.deprecated is not None and version.sunset is not None and version.sunset < version.deprecated:
        message = "it would be gone before it is deprecated"
        yield Finding((*path, "sunset"), message, "the same moment as deprecated, or a later one (RFC 9745 §4)")
    if version.link and not version.is_ending:
        yield Finding((*path, "link"), "is told of no version that stays", "deprecated or sunset", severity="warning")


def _leads(path: Path, pinned: Path, service: str, version: str | None, mesh: Mesh) -> Iterator[Finding]:
    """What keeps requests from that version of that service, which exists."""
    found = next(each for each in mesh.services if each.name == service)
    if found.protocol == "tcp":
        message = f"service {quoted(service)} speaks tcp, and routes lead HTTP"
        yield Finding(path, message, "a service that speaks http")
    names = [each.name for each in found.versions]
    if version is not None and version not in names:
        message = f"service {quoted(service)} has no version {quoted(version)}"
        yield Finding(pinned, message, one_of(names), did_you_mean(version, names))


def _route(path: Path, table: RouteTable, route: Route, api: Api, mesh: Mesh) -> Iterator[Finding]:
    where = (*path, "api")
    extra = next((each for each in _ELSEWHERE if each in table.model_fields_set), None)
    if extra is not None:
        yield Finding(where, f"{quoted(extra)} is given too", "a service, of the route or of each version")
        return
    match, name = route.match, api.by.value
    if api.by.kind == "path" and match.path.kind == "regex":
        hint = 'path = "/users/{id}" has names for segments'
        yield Finding(where, "its versions stand in the path, which is a regex", "a path that is none", hint)
    values = {"header": match.headers, "query": match.query}.get(api.by.kind, ())
    if any(each.name == name for each in values):
        yield Finding(where, f"the route asks for {api.by.kind} {quoted(name)} already, which tells the version")
    known = {each.name for each in mesh.services}
    for version in api.versions:
        if version.service is None and table.service is None:
            message = f"version {quoted(version.name)} of api {quoted(api.name)} leads nowhere"
            yield Finding(where, message, "a service, of the route or of the version")
        elif version.service is None and version.version is not None and table.service in known:
            yield from _leads(where, where, str(table.service), version.version, mesh)
        if version.prefix is not None and match.path.kind != "prefix":
            message = f"version {quoted(version.name)} replaces a prefix, and the route's path is {match.path.kind}"
            yield Finding(where, message, "a prefix")
    yield from _names(where, route, api, mesh)


def _names(path: Path, route: Route, api: Api, mesh: Mesh) -> Iterator[Finding]:
    taken = {each.name for each in mesh.routes}
    for part in (*(each.name for each in api.versions), *_PARTS):
        name = f"{route.name}.{part}"
        if name in taken:
            yield Finding(path, f"one of its routes is called {quoted(name)}, and so is another", "another name")
        try:
            check_route_name(name)
        except ValueError as error:
            yield Finding(path, f"{quoted(name)} is no name for a route", str(error).removeprefix("expected "))
