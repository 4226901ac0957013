"""Configurations without a file: `--route PATH=URL` and `--listen ADDRESS` → routes, services and listeners.

/=http://127.0.0.1:8000          everything goes to the service
/api=http://127.0.0.1:9000       /api/x goes on as /api/x
/api=http://127.0.0.1:9000/v2    /api/x goes on as /v2/x: a path in the URL takes the prefix's place
shop.localhost/=unix:/run/a.sock for one host
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

import msgspec

from meshctl.config.endpoints import split_url
from meshctl.config.naming import Names, made_label, made_name
from meshctl.config.problems import Wrong, quoted
from meshctl.core.paths import normalise
from meshctl.errors import MeshError
from meshctl.model.address import parse_address
from meshctl.model.mesh import Listener, Mesh
from meshctl.model.names import TAKEN, check_host_pattern
from meshctl.model.route import Match, PathMatch, Rewrite, Route
from meshctl.model.service import DIRECT, Endpoint, Service, Version

_SPEC: Final = re.compile(r"(?P<where>[^=]*(?:=[^=]*)*?)=(?P<url>(?:[a-z]+://|unix:).*)", re.DOTALL)
_EXAMPLE: Final = 'for example "/api=http://127.0.0.1:9000"'


class _Rule(msgspec.Struct, frozen=True):
    """One `--route`, read: the key under which rules share a service, and where it leads."""

    host: str
    prefix: str
    rewrite: str | None
    endpoint: Endpoint


def routes_mesh(specs: Sequence[str], base: Mesh | None, *, folder: str = "/") -> Mesh:
    """`base`, or a mesh of defaults, with a route for each `PATH=URL`. Several for one path share the load.

    They stand before the base's routes, so that the command line wins a tie. Relative socket paths stand in `folder`.
    Raises MeshError usage.
    """
    mesh = base or Mesh()
    rules: dict[tuple[str, str], list[_Rule]] = {}
    for spec in specs:
        rule = _rule(spec, folder)
        same = rules.setdefault((rule.host, rule.prefix), [])
        if same and same[0].rewrite != rule.rewrite:
            raise _usage(spec, f"another --route for {quoted(rule.host + rule.prefix)} has a different path in its URL")
        if any(each.endpoint == rule.endpoint for each in same):
            raise _usage(spec, "is given twice")
        same.append(rule)
    route_names = Names(route.name for route in mesh.routes)
    service_names = Names([*TAKEN, *(service.name for service in mesh.services)])
    routes, services = [], []
    for group in rules.values():
        hosts = (group[0].host,) if group[0].host else ()
        service = service_names.free(made_label(group[0].prefix, hosts))
        routes.append(_route(route_names.free(made_name(group[0].prefix, hosts)), group[0], hosts, service))
        services.append(Service(service, (Version(DIRECT, tuple(each.endpoint for each in group)),)))
    return msgspec.structs.replace(mesh, routes=(*routes, *mesh.routes), services=(*mesh.services, *services))


def listener(text: str) -> Listener:
    """The listener of a `--listen`: "127.0.0.1:8080", ":8080", "[::1]:8080"; port 0 is any. Raises MeshError usage."""
    try:
        return Listener(*parse_address(text))
    except ValueError as error:
        hint = f"did you mean {quoted('127.0.0.1:' + text)}?" if text.isdecimal() else ""
        raise MeshError("usage", f"--listen {quoted(text)}: {error}", hint=hint) from None


def _route(name: str, rule: _Rule, hosts: tuple[str, ...], service: str) -> Route:
    match = Match(hosts=hosts, path=PathMatch("prefix", rule.prefix))
    return Route(name, match, service, rewrite=Rewrite(prefix=rule.rewrite))


def _rule(spec: str, folder: str) -> _Rule:
    found = _SPEC.fullmatch(spec)
    where, separator, url = (found["where"], "=", found["url"]) if found else spec.partition("=")
    if not separator or not url:
        raise _usage(spec, "expected PATH=URL")
    host, slash, rest = where.partition("/")
    if not slash:
        raise _usage(spec, "the path begins with a slash")
    prefix = _path(spec, slash + rest)
    try:
        endpoint, path = split_url(url, folder=folder)
        pattern = check_host_pattern(host) if host else ""
    except Wrong as error:
        raise _usage(spec, "; expected ".join(filter(None, (error.message, error.expected)))) from None
    except ValueError as error:
        raise _usage(spec, f"host {quoted(host)}: {error}") from None
    rewrite = _path(spec, path) if path else None
    return _Rule(pattern, prefix, None if rewrite == prefix else rewrite, endpoint)


def _path(spec: str, path: str) -> str:
    try:
        if any(c in path for c in "?# "):
            raise ValueError('expected a path without "?", "#" and spaces')
        return normalise(path).removesuffix("/") or "/"
    except ValueError as error:
        raise _usage(spec, f"{quoted(path)}: {error}") from None


def _usage(spec: str, message: str) -> MeshError:
    return MeshError("usage", f"--route {quoted(spec)}: {message}", hint=_EXAMPLE)
