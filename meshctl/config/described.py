"""What the files say that say what a route asks of requests, and what is wrong with them.

What files say becomes part of the configuration, so that a revision is the same in all proxies, and the same when it is
taken back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from importlib.util import find_spec
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from meshctl.config.document import Document
from meshctl.config.endpoints import resolve
from meshctl.config.openapi import Description
from meshctl.config.problems import Finding, Path, Wrong, quoted
from meshctl.config.schemas import Schemas, dialect_of
from meshctl.config.sources import Broken, Place, Sources, pointer_text
from meshctl.core.instances import INSTALL, NotASchema, Schema
from meshctl.model.checked import Operation
from meshctl.model.mesh import Mesh
from meshctl.model.route import Match, Route

LARGEST: Final = 8 * 1024**2
"""Bytes of text that a document may come to."""
Read = Callable[[str, str], bytes]
"""Gives the bytes of a file that is named by a document: the document's path, and the file's name beside it."""


class Described:
    """What the files say that a configuration names, and what is wrong with them."""

    def __init__(self, document: Document, folder: str, read: Read | None) -> None:
        self.findings: list[Finding] = []
        self._folder = folder
        self._read = read or _nothing
        self._apis: dict[str, tuple[tuple[Operation, ...], list[str]]] = {}
        self._schemas: dict[str, str] = {}
        is_there = find_spec("jsonschema_rs") is not None
        for number, table in enumerate((document.routes or ()) if read is not None else ()):
            for key in ("openapi", "request_schema"):
                if getattr(table, key) is not None and not is_there:
                    message = "needs a library that is not installed"
                    self.findings.append(Finding(("routes", number, key), message, hint=INSTALL))
            if not is_there:
                continue
            if table.openapi is not None:
                self._openapi(("routes", number, "openapi"), table.openapi.document, folder)
            if table.request_schema is not None:
                self._schema(("routes", number, "request_schema"), table.request_schema.file, folder)

    def filled(self, mesh: Mesh) -> Mesh:
        """The mesh with what the files say, and with absolute paths."""
        routes, written = (tuple(map(self._filled, each)) for each in (mesh.routes, mesh.versioned))
        return replace(mesh, routes=routes, versioned=written)

    def _filled(self, route: Route) -> Route:
        api, body = route.openapi, route.request_schema
        if api is not None:
            file = resolve(api.document, self._folder)
            api = replace(api, document=file)
            if file in self._apis:
                operations, roots = self._apis[file]
                # A version in the path stands before all that the document has.
                before = route.api.before if route.api is not None else ""
                match = _without(route.match, before)
                root = before + _root(match, api.base, roots, [each.path for each in operations])
                api = replace(api, root=root, operations=operations)
            route = replace(route, openapi=api)
        if body is not None:
            file = resolve(body.file, self._folder)
            route = replace(route, request_schema=replace(body, file=file, schema=self._schemas.get(file, "")))
        return route

    def _openapi(self, path: Path, named: str, folder: str) -> None:
        file = resolve(named, folder)
        if file in self._apis:
            return
        sources = Sources(file.rpartition("/")[2], lambda name: self._read(file, name))
        try:
            described = Description(sources)
        except Wrong as error:
            self._say(path, named, sources, error)
            return
        for note in described.notes:
            self._say(path, named, sources, note, "warning")
        problems = described.problems or list(_not_schemas(described.schemas, described.places))
        if not problems and sum(map(len, described.places)) > LARGEST:
            problems = [Broken((sources.name, ()), "is too large", "8 MiB of schemas at most")]
        for problem in problems:
            self._say(path, named, sources, problem)
        self._apis[file] = described.operations, described.roots if not problems else [""]

    def _schema(self, path: Path, named: str, folder: str) -> None:
        file = resolve(named, folder)
        if file in self._schemas:
            return
        sources = Sources(file.rpartition("/")[2], lambda name: self._read(file, name))
        place: Place = sources.name, ()
        try:
            schemas = Schemas(sources, dialect_of(sources))
            text = schemas.text(place)
            problems: list[Wrong | Broken] = list(_not_schemas(schemas, {text: place}))
        except (Wrong, Broken) as error:
            problems = [error]
        for problem in problems:
            self._say(path, named, sources, problem)
        if not problems:
            self._schemas[file] = text

    def _say(self, path: Path, named: str, sources: Sources, error: Wrong | Broken, severity: Any = "error") -> None:
        message = described_at(named, sources, error)
        self.findings.append(Finding(path, message, error.expected, error.hint, severity))


def described_at(named: str, sources: Sources, error: Wrong | Broken) -> str:
    """What is wrong with the document called `named`, or one beside it, with where."""
    if isinstance(error, Wrong):
        return f"{quoted(named)} {error.message}"
    file, pointer = error.place
    folder = named.rpartition("/")[0]
    line = sources.line(error.place)
    where = f"{folder}/{file}" if folder else file
    said = f"{quoted(where)} line {line}" if line else quoted(where)
    if pointer:
        said += f", {pointer_text((*pointer[:-1], pointer[-1][:60]))}"
    return f"{said}: {error.message}"


def _nothing(document: str, name: str) -> bytes:
    raise Wrong(f"{quoted(name)} beside {quoted(document)} is not looked at")


def _not_schemas(schemas: Schemas, places: dict[str, Place]) -> Iterator[Broken]:
    """The schemas that none can be made of, each problem once."""
    if _is_one_schema(places):
        return
    told: set[Place] = set()
    for text, root in places.items():
        if not text:
            continue
        try:
            Schema(text)
        except NotASchema as error:
            place = schemas.place_of(error.path, root)
            if place not in told:
                told.add(place)
                yield Broken(place, str(error))


def _without(match: Match, before: str) -> Match:
    """The conditions as they would be without what stands before the path."""
    path = replace(match.path, value=match.path.value.removeprefix(before) or "/")
    return replace(match, path=path) if before else match


def _is_one_schema(texts: Iterable[str]) -> bool:
    """Whether all texts together are one schema: then each of them is, at a fraction of the time. What they refer to
    has the same name in all of them."""
    parts = [msgspec.json.decode(text) for text in texts if text]
    shared: dict[str, Any] = {}
    for each in parts:
        shared |= each.pop("$defs", {})
    try:
        Schema(msgspec.json.encode({"$defs": shared, "allOf": parts}).decode())
    except NotASchema:
        return False
    return not any("$schema" in each for each in parts)


def _root(match: Match, base: str | None, roots: list[str], paths: Iterable[str]) -> str:
    """Where the paths of a document begin: where the configuration says, else where one of its servers says, if the
    route leads to any of them so, else where the route's own begin."""
    if base is not None:
        return base.rstrip("/")
    prefix = match.path.value.rstrip("/")
    if match.path.kind == "prefix":
        for root in roots:
            if any(f"{root}{path}/".startswith(f"{prefix}/") for path in paths):
                return root
        return prefix
    return roots[0]
