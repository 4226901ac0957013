"""Versions of an API, as the model has them: the tables of `[api]`, and the routes that a route of an API stands for.

Everything a request says of a version becomes conditions of ordinary routes, so that traffic pays for nothing new.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from msgspec.structs import replace

from meshctl.config.document_api import ApiTable, ApiVersionTable, ToldTable
from meshctl.core.api_version import VERSION
from meshctl.core.path_template import pattern
from meshctl.model.api import Api, ApiMatch, ApiRoute, ApiVersion, Told
from meshctl.model.route import HeaderEdits, Match, PathMatch, QueryEdits, Respond, Rewrite, Route

_NAME: Final = re.compile(r"\{([a-z][a-z0-9_]*)\*?\}", re.ASCII)
_MEDIA_HEADERS: Final = ("Accept", "Content-Type")
# What only requests use that are let in.
_BEYOND: Final[dict[str, Any]] = {
    "version": None, "rewrite": Rewrite(), "auth": None, "require": (), "quotas": (), "compression": None,
    "request_body": None, "response_body": None, "openapi": None, "request_schema": None, "cache": None,
    "request_headers": HeaderEdits(), "response_headers": HeaderEdits(), "request_query": QueryEdits(),
}  # fmt: skip


def apis(tables: Mapping[str, ApiTable]) -> tuple[Api, ...]:
    """The APIs of a document."""
    return tuple(_api(name, table) for name, table in tables.items())


def _api(name: str, table: ApiTable) -> Api:
    given = table.given() | {"name": name}
    given["versions"] = tuple(_version(each, one) for each, one in table.versions.items())
    if table.by is not None:
        given["by"] = _told(table.by)
    if table.default is not None:
        # By its name, whatever it was called.
        by_spelling = {spelling: each.name for each in given["versions"] for spelling in each.spellings}
        given["default"] = by_spelling.get(table.default, table.default)
    return Api(**given)


def _version(name: str, table: ApiVersionTable) -> ApiVersion:
    given = table.given() | {"name": name}
    if table.aliases is not None:
        given["aliases"] = tuple(dict.fromkeys(table.aliases))
    return ApiVersion(**given)


def _told(table: ToldTable) -> Told:
    if table.header is not None:
        return Told("header", table.header)
    if table.query is not None:
        return Told("query", table.query)
    return Told("path", table.path) if table.path is not None else Told("media_type", table.media_type or "")


def versions(route: Route, api: Api, leading: Mapping[str, Route]) -> Iterator[Route]:
    """The routes that `route` of `api` stands for. `leading` has for each version the route as it would be if it led
    where the version says."""
    headers = _vary(api.by)
    for each in api.versions:
        yield _served(leading[each.name], route, api, each, "version")
    known = tuple(each.name for each in api.versions)
    status = 406 if api.by.kind == "media_type" else 404
    unknown = ApiRoute(api.name, route.name, "unknown", "", known, status, headers)
    yield _refusing(route, _unknown(route.match, api), unknown)
    default = next((each for each in api.versions if each.name == api.default), None)
    if default is not None:
        yield _served(leading[default.name], route, api, default, "default")
        return
    status = 404 if api.by.kind == "path" else 400
    match = replace(route.match, path=_moved(route.match.path, _before(api.by)))
    yield _refusing(route, match, ApiRoute(api.name, route.name, "missing", "", known, status, headers))


def _served(leading: Route, route: Route, api: Api, version: ApiVersion, part: Any) -> Route:
    said = ApiRoute(
        api.name,
        route.name,
        part,
        version.name,
        before=_before(api.by) if part == "default" else _full(api.by, version.name),
        vary=_vary(api.by),
        deprecated=version.deprecated,
        sunset=version.sunset,
        link=version.link,
        is_enforced=api.enforce_sunset,
    )
    match = _meant(route.match, api, version) if part == "version" else route.match
    rewrite = leading.rewrite
    if version.prefix is not None:
        rewrite = replace(rewrite, prefix=version.prefix, path=None)
    if api.by.kind == "path":
        bare = _moved(route.match.path, _before(api.by))
        full = _moved(route.match.path, _full(api.by, version.name))
        match = replace(match, path=full if part == "version" else bare)
        if rewrite.prefix is None and rewrite.path is None:
            rewrite = _forwarded(rewrite, match.path, bare if api.strip else full)
    return replace(leading, name=f"{route.name}.{said.version if part == 'version' else part}", match=match,
                   rewrite=rewrite, api=said)  # fmt: skip


def _refusing(route: Route, match: Match, said: ApiRoute) -> Route:
    action = {"service": None, "respond": Respond(said.status)} | _BEYOND
    return replace(route, name=f"{route.name}.{said.part}", match=match, api=said, **action)


def _meant(match: Match, api: Api, version: ApiVersion) -> Match:
    """The conditions under which a request means `version`."""
    if api.by.kind == "path":
        return match
    return replace(match, api=ApiMatch(api.by.kind, api.by.value, _spellings(api), version.spellings))


def _unknown(match: Match, api: Api) -> Match:
    """The conditions under which a request means a version that there is not."""
    if api.by.kind != "path":
        return replace(match, api=ApiMatch(api.by.kind, api.by.value, _spellings(api)))
    # Under the shortest prefix, so that it takes nothing from any other route that is about the path.
    before = _before(api.by)
    shape = rf"{re.escape(before)}/(?!(?:{_either(_spellings(api))})(?:/|\Z))(?:{_shapes(api)}){_rest(match.path)}"
    return replace(match, path=PathMatch("prefix", before or "/"), api=ApiMatch("path", shape))


def _shapes(api: Api) -> str:
    """A regex for what looks like one of the versions there are: with "v1" there may be "v27" and "v2.1"."""
    found = (re.sub(r"[0-9]+", "[0-9]+", re.escape(each)) for each in _spellings(api))
    return "|".join(dict.fromkeys(f"{each}(?:[.][0-9]+)*" if each.endswith("+") else each for each in found))


def _rest(path: PathMatch) -> str:
    if path.kind == "template":
        return pattern(path.value)
    return re.escape(path.value.removesuffix("/") if path.kind == "prefix" else path.value) + (
        "(?:/.*)?" if path.kind == "prefix" else ""
    )


def _forwarded(rewrite: Rewrite, matched: PathMatch, sent: PathMatch) -> Rewrite:
    """The rewriting of what is matched to what is sent."""
    if matched == sent:
        return rewrite
    if matched.kind == "prefix":
        return replace(rewrite, prefix=sent.value)
    return replace(rewrite, path=_NAME.sub(r"{path.\1}", sent.value))


def _moved(path: PathMatch, before: str) -> PathMatch:
    """The condition on paths that have `before` in front of them."""
    if not before:
        return path
    if path.kind == "prefix":
        return PathMatch("prefix", before + path.value.removesuffix("/"))
    return PathMatch(path.kind, before + path.value)


def _before(by: Told) -> str:
    """What stands before the version in a path, and stands there without it, too."""
    return by.value.removesuffix(f"/{VERSION}") if by.kind == "path" else ""


def _full(by: Told, version: str) -> str:
    """The same with a version."""
    return by.value.replace(VERSION, version) if by.kind == "path" else ""


def _vary(by: Told) -> tuple[str, ...]:
    return {"header": (by.value,), "media_type": _MEDIA_HEADERS}.get(by.kind, ())


def _spellings(api: Api) -> tuple[str, ...]:
    return tuple(spelling for each in api.versions for spelling in each.spellings)


def _either(spellings: tuple[str, ...]) -> str:
    return "|".join(map(re.escape, spellings))
