"""Every key that is in effect, its value in human units, and where it comes from: a line of the file or a default."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import msgspec

from meshctl.config.build_tracing import shown_tracing
from meshctl.config.files import Loaded
from meshctl.config.positions import Positions
from meshctl.config.problems import Path, path_text
from meshctl.config.render import FULL_ROUTE, basics, gateway, render, route, service
from meshctl.config.render_api import api
from meshctl.config.render_auth import auth
from meshctl.model.api import Api
from meshctl.model.auth import FORWARDED, ApiKey, Auth, ForwardAuth, Introspection, Jwt, Oidc
from meshctl.model.mesh import Gateway, Mesh
from meshctl.model.part import Part
from meshctl.model.policy import Breaker, HealthCheck, Limit, Retry
from meshctl.model.service import Endpoint, Service, Version
from meshctl.model.tracing import Tracing

DEFAULT = "default"
ELSEWHERE = "command line"
# Lists of tables that have names.
_NAMED: Final[tuple[Path, ...]] = (("routes",), ("allow",))

# With their optional tables, as `FULL_ROUTE` has them.
_AUTH = Auth(
    "",
    jwt=Jwt(),
    api_key=ApiKey(),
    oidc=Oidc(),
    introspection=Introspection("", "", ""),
    forward_auth=ForwardAuth(service="-"),
)
_SERVICE = Service(
    "",
    versions=(Version("", (Endpoint(tls=True),)),),
    health=HealthCheck(),
    breaker=Breaker(),
    limit=Limit(),
    retry=Retry(),
)


class Setting(msgspec.Struct, frozen=True):
    """One key in effect. `origin` is `mesh.toml:12`, "default", or "command line" for what the file does not have.
    `live` is the percentage that holds in the place of a version's weight, where one was shifted."""

    path: str
    value: str | int | float | bool | list[Any]
    origin: str
    live: float | None = None


def effective(loaded: Loaded) -> list[Setting]:
    """All settings of a configuration, in the file's order of tables. Keys without value and default are left out."""
    positions = Positions(loaded.text)
    document = render(loaded.mesh)
    defaults = _defaults()
    found = []
    for path, value in _leaves((), document):
        shown = path if path[:1] not in _NAMED else (path[0], document[str(path[0])][path[1]]["name"], *path[2:])
        is_default = path in defaults["gateway"] and defaults["gateway"][path] == value
        if path[-1] == "forward":
            is_default = value == (not FORWARDED.isdisjoint(document["auth"][path[1]]))
        elif path[0] in ("routes", "services", "auth", "api"):
            key = path[-1:] if path[-1] == "weight" else path[2:]
            key = key if key[:1] != ("parts",) else ("parts", 0, *key[2:])
            is_default = key in defaults[path[0]] and defaults[path[0]][key] == value
        said = _of_service(positions, path, document)
        found.append(Setting(path_text(shown), value, _origin(positions, loaded.name, said, is_default=is_default)))
    return found


def _of_service(positions: Positions, path: Path, document: dict[str, Any]) -> Path:
    """Where a route's key stands that its service says for it; else the path itself."""
    if path[:1] != ("routes",) or path[2] not in ("timeout", "retry") or positions.exact(path[:3]):
        return path
    service: Path = ("services", document["routes"][path[1]].get("service", ""), *path[2:])
    return service if positions.exact(service[:3]) else path


def _origin(positions: Positions, name: str, path: Path, *, is_default: bool) -> str:
    place = positions.exact(path)
    if place is None and is_default:
        return DEFAULT
    if place is None and path[:2] == ("gateway", "listen"):  # certificates of all listeners stand under gateway.tls
        shared = ("gateway", "tls") if "tls" in path else path[:3]
        place = positions.exact(path[:4]) or positions.exact(shared)
    line = (place or positions.of(path))[0]
    return f"{name}:{line}" if place or any(positions.exact(path[:end]) for end in range(1, len(path))) else ELSEWHERE


def _leaves(path: Path, value: Any) -> Iterator[tuple[Path, Any]]:
    """Keys and their values; an array of plain values is one value."""
    if isinstance(value, dict):
        for key, each in value.items():
            yield from _leaves((*path, key), each)
    elif isinstance(value, list) and (path in _NAMED or any(isinstance(each, dict) for each in value)):
        for number, each in enumerate(value):
            yield from _leaves((*path, number), each)
    else:
        yield path, value


def _defaults() -> dict[str, dict[Path, Any]]:
    """What the model says where a file says nothing; keys of routes and services without their name."""
    return {
        "gateway": dict(_leaves(("gateway",), gateway(Gateway())))
        | dict(_leaves(("mesh",), basics(Mesh())))
        | dict(_leaves(("tracing",), shown_tracing(Tracing("")))),
        "routes": dict(_leaves((), route(msgspec.structs.replace(FULL_ROUTE, parts=(Part("", "", ""),))))),
        "auth": dict(_leaves((), auth(_AUTH))),
        "api": dict(_leaves((), api(Api("")))),
        "services": dict(_leaves((), service(_SERVICE))) | {("weight",): 1},
    }
