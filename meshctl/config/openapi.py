"""An OpenAPI 3.0 or 3.1 document → the operations it has: paths, methods, parameters and bodies of requests.

Every problem is collected, each with its place. What a document says of answers, security and examples is not read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final
from urllib.parse import urlsplit

from meshctl.config.problems import quoted
from meshctl.config.schemas import Dialect, Schemas
from meshctl.config.sources import Broken, Place, Sources
from meshctl.core.operations import shape
from meshctl.model.checked import Content, Operation, Parameter

METHODS: Final = ("get", "put", "post", "delete", "options", "head", "patch", "trace")
MOST_PROBLEMS: Final = 20
_STYLES: Final = {
    "path": {"simple": "simple"},
    "query": {"form": "form", "spaceDelimited": "space", "pipeDelimited": "pipe", "deepObject": "deep"},
    "header": {"simple": "simple"},
    "cookie": {"form": "form"},
}
_VARIABLE: Final = re.compile(r"\{([^{}]*)\}")
# What other keywords of the document describe.
_NOT_PARAMETERS: Final = ("accept", "content-type", "authorization")
_JSON: Final = re.compile(r"application/([a-z0-9!#$&^_.+*-]+\+)?json|application/\*|\*/\*")


class Description:
    """What a document says. `operations` are those without problems; `notes` is what is not checked of them."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources
        self.problems: list[Broken] = []
        self.notes: list[Broken] = []
        self.operations: tuple[Operation, ...] = ()
        self.schemas = Schemas(sources, "3.1")
        self.places: dict[str, Place] = {}
        """Where each text of a schema comes from, for those who cannot do with it."""
        try:
            self.schemas = Schemas(sources, self._dialect())
            self.operations = tuple(self._all())
        except Broken as error:
            self.problems.append(error)

    @property
    def roots(self) -> list[str]:
        """The paths of the servers, "" for the root; the first server's first."""
        listed = self._sources.top.get("servers")
        found = [_server_path(each) for each in listed if isinstance(each, dict)] if isinstance(listed, list) else []
        return list(dict.fromkeys(found or [""]))

    def _dialect(self) -> Dialect:
        top = self._sources.top
        if not isinstance(top, dict):
            raise Broken((self._sources.name, ()), "is no OpenAPI document", 'an object with "openapi" and "paths"')
        expected = 'openapi: "3.0.…" or "3.1.…"'
        if "swagger" in top:
            hint = "converters make an OpenAPI 3 document of it"
            raise Broken((self._sources.name, ("swagger",)), f"is Swagger {top['swagger']}", expected, hint)
        said = str(top.get("openapi", ""))
        if not re.match(r"3\.[01](\.|$)", said):
            where = ("openapi",) if "openapi" in top else ()
            what = f"version {quoted(said)} is not known" if said else "does not say which OpenAPI it is"
            raise Broken((self._sources.name, where), what, expected)
        return "3.0" if said.startswith("3.0") else "3.1"

    def _all(self) -> Iterator[Operation]:
        top: Place = self._sources.name, ("paths",)
        paths = self._sources.top.get("paths")
        if not isinstance(paths, dict) or not any(str(each).startswith("/") for each in paths):
            where = top if paths is not None else (top[0], ())
            raise Broken(where, "has no paths", 'paths: with names such as "/orders/{id}"')
        known: dict[str, str] = {}
        for path in paths:
            place: Place = top[0], ("paths", path)
            if path.startswith("x-"):
                continue
            try:
                first = known.setdefault(_shape(place, path), path)
                if first != path:
                    raise Broken(place, f"is the same path as {quoted(first)}")
                yield from self._path(place, path)
            except Broken as error:
                self._broken(error)

    def _path(self, place: Place, path: str) -> Iterator[Operation]:
        place = self._sources.followed(place)
        item = _object(place, self._sources.at(place))
        shared = list(self._parameters(place, item))
        for method in METHODS:
            if method not in item:
                continue
            at: Place = place[0], (*place[1], method)
            try:
                yield self._operation(at, path, method, shared)
            except Broken as error:
                self._broken(error)

    def _operation(self, place: Place, path: str, method: str, shared: list[Parameter]) -> Operation:
        table = _object(place, self._sources.at(place))
        own = {(each.place, each.name): each for each in shared}
        own |= {(each.place, each.name): each for each in self._parameters(place, table)}
        names = set(_VARIABLE.findall(path))
        for where, each in own:
            if where == "path" and each not in names:
                raise Broken(place, f"has a path parameter {quoted(each)}, which the path does not have")
        name = table.get("operationId")
        body, needs_body = self._body(place, table)
        said = name if isinstance(name, str) else ""
        return Operation(method.upper(), path, said, tuple(own.values()), body, needs_body)

    def _parameters(self, place: Place, table: dict[str, Any]) -> Iterator[Parameter]:
        listed = table.get("parameters", [])
        if not isinstance(listed, list):
            raise Broken((place[0], (*place[1], "parameters")), "is no array", "an array of parameters")
        for number in range(len(listed)):
            at = self._sources.followed((place[0], (*place[1], "parameters", str(number))))
            found = self._parameter(at, _object(at, self._sources.at(at)))
            if found is not None:
                yield found

    def _parameter(self, place: Place, table: dict[str, Any]) -> Parameter | None:
        name = table.get("name")
        where: Any = table.get("in")
        if not isinstance(name, str) or not name:
            raise Broken(place, "has no name")
        if not any(where == each for each in _STYLES):
            expected = ", ".join(map(quoted, _STYLES))
            raise Broken(place, f"parameter {quoted(name)} is in {quoted(where)}", f"in: one of {expected}")
        if where == "header":
            name = name.lower()
            if name in _NOT_PARAMETERS:
                return None
        required = table.get("required") is True
        if where == "path" and not required:
            raise Broken(place, f"path parameter {quoted(name)} is not required", "required: true")
        default = "form" if where in ("query", "cookie") else "simple"
        said = table.get("style", default)
        style = _STYLES[where].get(said) if isinstance(said, str) else None
        content = table.get("content")
        if isinstance(content, dict) and len(content) == 1:
            media = next(iter(content))
            at = (*place[1], "content", media, "schema")
            if not _JSON.fullmatch(media.lower()) or "schema" not in _object(place, content[media]):
                return Parameter(name, where, required=required)
            return Parameter(name, where, self._schema((place[0], at)), required, "json")
        if style is None:
            self.notes.append(Broken(place, f"style {quoted(said)} is not known: {quoted(name)} is not checked"))
            return Parameter(name, where, required=required)
        explode = table.get("explode", style == "form")
        text = self._schema((place[0], (*place[1], "schema"))) if "schema" in table else ""
        return Parameter(name, where, text, required, style, explode is True, table.get("allowEmptyValue") is True)  # type: ignore[arg-type]

    def _body(self, place: Place, table: dict[str, Any]) -> tuple[tuple[Content, ...] | None, bool]:
        if "requestBody" not in table:
            return None, False
        at = self._sources.followed((place[0], (*place[1], "requestBody")))
        body = _object(at, self._sources.at(at))
        content = body.get("content")
        if not isinstance(content, dict) or not content:
            raise Broken(
                at, "does not say what the body may be", 'content: with a media type such as "application/json"'
            )
        found = []
        for media, each in content.items():
            where: Place = at[0], (*at[1], "content", media)
            bare = media.partition(";")[0].strip().lower()
            if not re.fullmatch(r"[^\s/]+/[^\s/]+", bare):
                raise Broken(where, f"{quoted(media)} is no media type", '"application/json"')
            has_schema = _JSON.fullmatch(bare) and "schema" in _object(where, each)
            found.append(Content(bare, self._schema((where[0], (*where[1], "schema"))) if has_schema else ""))
        return tuple(found), body.get("required") is True

    def _schema(self, place: Place) -> str:
        text = self.schemas.text(place)
        self.places.setdefault(text, place)
        return text

    def _broken(self, error: Broken) -> None:
        if len(self.problems) >= MOST_PROBLEMS:
            raise error
        self.problems.append(error)


def _shape(place: Place, path: str) -> str:
    if not path.startswith("/"):
        raise Broken(place, f"path {quoted(path)} does not begin with a slash", '"/orders"')
    if _VARIABLE.sub("", path).count("{") or _VARIABLE.sub("", path).count("}"):
        raise Broken(place, "has a brace without its other one", '"/orders/{id}"')
    try:
        return shape(path)
    except ValueError as error:
        raise Broken(place, str(error)) from error


def _object(place: Place, value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise Broken(place, "is no object", "an object")
    return value


def _server_path(server: dict[str, Any]) -> str:
    """The path of a server's URL, variables by their defaults."""
    url = server.get("url")
    variables = server.get("variables")
    if not isinstance(url, str):
        return ""
    for name, each in variables.items() if isinstance(variables, dict) else ():
        if isinstance(each, dict):
            url = url.replace(f"{{{name}}}", str(each.get("default", "")))
    try:
        path = urlsplit(url).path
    except ValueError:
        return ""
    return ("/" + path.strip("/")) if path.strip("/") else ""
