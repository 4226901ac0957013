"""Cross-checks of routes: their actions, their names, and rules that can never win."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from meshctl.config.decode import Decoded
from meshctl.config.document_route import RouteTable
from meshctl.config.problems import Finding, Path, did_you_mean, one_of, quoted
from meshctl.core.overlap import never_wins
from meshctl.model.mesh import Mesh
from meshctl.model.route import Route

_ACTIONS = ("service", "redirect", "respond", "parts")
_ONE_ACTION = "one of service, redirect, respond and parts"
# What only a forwarded request can use.
_FORWARDING = (
    "rewrite",
    "request_headers",
    "request_query",
    "request_body",
    "response_body",
    "cache",
    "retry",
    "timeout",
    "priority",
    "body_bytes",
)
# Comparing words costs; a person reads no more suggestions than this.
_SUGGESTIONS = 50


def check(decoded: Decoded, tables: Sequence[RouteTable], mesh: Mesh) -> Iterator[Finding]:
    """What is wrong with the routes."""
    for number, (table, route) in enumerate(zip(tables, mesh.routes, strict=True)):
        path: Path = ("routes", number)
        yield from _action(path, table)
        yield from _rewriting(path, table, route)
        yield from _answer(path, route)
    yield from _unknown_services(decoded, mesh)
    yield from _unknown_versions(decoded, mesh)
    yield from _tcp_services(mesh)
    yield from _names(tables)
    yield from _never_wins(decoded, mesh.routes)


def _action(path: Path, table: RouteTable) -> Iterator[Finding]:
    found = [name for name in _ACTIONS if name in table.model_fields_set]
    if not found and table.api is None:
        yield Finding(path, "a route needs an action", _ONE_ACTION)
    for extra in found[1:]:
        yield Finding((*path, extra), f"{quoted(found[0])} is given too", _ONE_ACTION)
    if found and not {"service", "parts"}.intersection(found):
        for name in _FORWARDING:
            if name in table.model_fields_set:
                message = f"has no effect: {found[0]} forwards nothing"
                yield Finding((*path, name), message, severity="warning")


def _rewriting(path: Path, table: RouteTable, route: Route) -> Iterator[Finding]:
    for name, change in (("rewrite", route.rewrite), ("redirect", route.redirect)):
        if change is None:
            continue
        if change.prefix is not None and change.path is not None:
            yield Finding((*path, name, "path"), '"prefix" is given too', "one of prefix and path")
        if change.prefix is not None and route.match.path.kind != "prefix":
            hint = f"use {name}.path"
            yield Finding(
                (*path, name, "prefix"), f"the route's path is no prefix but {route.match.path.kind}", hint=hint
            )
    if table.rewrite and not table.rewrite.model_fields_set:
        yield Finding((*path, "rewrite"), "an empty table says nothing", "prefix, path or host")


def _answer(path: Path, route: Route) -> Iterator[Finding]:
    redirect, respond = route.redirect, route.respond
    if redirect and not any((redirect.scheme, redirect.host, redirect.port, redirect.path, redirect.prefix)):
        yield Finding((*path, "redirect"), "would lead to itself", "scheme, host, port, path or prefix")
    if respond and respond.body and respond.status in (204, 205, 304):
        yield Finding((*path, "respond", "body"), f"an answer with status {respond.status} has no body")


def _unknown_services(decoded: Decoded, mesh: Mesh) -> Iterator[Finding]:
    names = [service.name for service in mesh.services]
    known = set(names)
    hints: dict[str, str] = {}
    for number, route in enumerate(mesh.routes):
        name = route.service
        if name is None or name in known or decoded.is_lost(("services", name)):
            continue
        if name not in hints:
            hints[name] = did_you_mean(name, names) if len(hints) < _SUGGESTIONS else ""
        path: Path = ("routes", number, "service")
        expected = one_of(names) or ("" if names else f"a table [services.{name}]")
        yield Finding(path, f"service {quoted(name)} does not exist", expected, hints[name])


def _unknown_versions(decoded: Decoded, mesh: Mesh) -> Iterator[Finding]:
    services = {service.name: service for service in mesh.services}
    for number, route in enumerate(mesh.routes):
        path: Path = ("routes", number, "version")
        if route.version is None or decoded.is_damaged(("services", route.service or "")):
            continue
        if route.service is None:
            yield Finding(path, "only a service has versions", "service")
        elif route.service in services:
            names = [version.name for version in services[route.service].versions]
            if route.version not in names:
                message = f"service {quoted(route.service)} has no version {quoted(route.version)}"
                expected = one_of(names) or f"a table [services.{route.service}.versions.{route.version}]"
                yield Finding(path, message, expected, did_you_mean(route.version, names))


def _tcp_services(mesh: Mesh) -> Iterator[Finding]:
    speak_tcp = {service.name for service in mesh.services if service.protocol == "tcp"}
    for number, route in enumerate(mesh.routes):
        if route.service in speak_tcp:
            message = f"service {quoted(route.service)} speaks tcp, and routes lead HTTP"
            hint = f"sidecars reach it with --upstream {route.service}:tcp"
            yield Finding(("routes", number, "service"), message, "a service that speaks http", hint)


def _names(tables: Sequence[RouteTable]) -> Iterator[Finding]:
    first: dict[str, int] = {}
    for number, table in enumerate(tables):
        if table.name is None:
            continue
        if table.name in first:
            message = f"{quoted(table.name)} is already the name of routes[{first[table.name]}]"
            yield Finding(("routes", number, "name"), message, "a name that no other route has")
        first.setdefault(table.name, number)


def _never_wins(decoded: Decoded, routes: Sequence[Route]) -> Iterator[Finding]:
    whole = [number for number in range(len(routes)) if not decoded.is_damaged(("routes", number))]
    for loser, winner in never_wins([routes[number].match for number in whole]):
        taker = whole[winner]
        message = f"can never match: routes[{taker}] {quoted(routes[taker].name)} takes all its requests"
        yield Finding(("routes", whole[loser]), message, hint="change its conditions or remove it")
