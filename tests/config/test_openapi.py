"""OpenAPI documents and JSON Schemas that a mesh.toml names: what is read of them, and what is said of broken ones."""

from __future__ import annotations

import json
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meshctl.config.described import described_at
from meshctl.config.diff import changes
from meshctl.config.effective import effective
from meshctl.config.files import Loaded, load
from meshctl.config.openapi import Description
from meshctl.config.problems import ConfigInvalid, Wrong
from meshctl.config.render import to_toml
from meshctl.config.source_text import parse
from meshctl.config.sources import Sources
from meshctl.core.checking import operations
from meshctl.core.instances import NotASchema, Schema
from meshctl.model.checked import OpenApi
from meshctl.model.mesh import decode, encode

API = """\
openapi: 3.0.3
info: {title: Pets, version: "1"}
servers:
  - url: https://{where}/v1/
    variables: {where: {default: api.example.com}}
paths:
  x-note: not a path
  /pets:
    parameters:
      - $ref: "#/components/parameters/limit"
    get:
      operationId: listPets
    post:
      parameters:
        - {name: X-Dry, in: header, schema: {type: boolean}}
        - {name: Accept, in: header, schema: {type: string}}
        - {name: limit, in: query, schema: {type: string}}
      requestBody:
        required: true
        content:
          application/json: {schema: {$ref: "schemas/pet.yaml#/Pet"}}
          text/csv: {schema: {type: string}}
  /pets/{id}:
    $ref: "#/x-items/pet"
x-items:
  pet:
    get:
      parameters:
        - {name: id, in: path, required: true, schema: {type: integer, format: int32}}
components:
  parameters:
    limit: {name: limit, in: query, schema: {type: integer, minimum: 0, exclusiveMinimum: true}}
"""
PET = """\
Pet:
  allOf:
    - $ref: "#/Base"
    - required: [id, name]
  properties:
    parent: {$ref: "#/Pet"}
Base:
  type: object
  example: {enum: whatever}
  properties:
    id: {type: integer, readOnly: true}
    name: {type: string, nullable: true, enum: [a, no]}
"""
MESH = '[[routes]]\nname = "r"\npath = "{path}"\n{keys}\nrespond = {{ body = "ok" }}\n'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with api.yaml, and a file that it refers to."""
    (tmp_path / "api.yaml").write_text(API)
    (tmp_path / "schemas").mkdir()
    (tmp_path / "schemas" / "pet.yaml").write_text(PET)
    return tmp_path


def loaded(folder: Path, keys: str = 'openapi = "api.yaml"', path: str = "/") -> Loaded:
    """The configuration of one route with these keys."""
    file = folder / "mesh.toml"
    file.write_text(MESH.format(keys=keys, path=path))
    return load(file)


def said(folder: Path, keys: str = 'openapi = "api.yaml"', path: str = "/") -> list[str]:
    """What is said of it, without places in mesh.toml."""
    try:
        found = loaded(folder, keys, path).warnings
    except ConfigInvalid as error:
        found = error.problems
    assert all(problem.line == 4 for problem in found)
    return [str(problem).split(": ", 1)[1] for problem in found]


def test_operations(folder: Path) -> None:
    """Paths, methods, parameters and bodies are read, references followed, schemas made whole."""
    api = loaded(folder).mesh.routes[0].openapi
    assert api is not None
    assert (api.document, api.root) == (str(folder / "api.yaml"), "/v1")
    listed, create, show = api.operations
    assert [(each.method, each.path, each.name) for each in api.operations] == [
        ("GET", "/pets", "listPets"),
        ("POST", "/pets", ""),
        ("GET", "/pets/{id}", ""),
    ]
    assert [json.loads(each.schema) for each in listed.parameters] == [{"type": "integer", "exclusiveMinimum": 0}]
    assert [(each.name, json.loads(each.schema)) for each in create.parameters] == [
        ("limit", {"type": "string"}),
        ("x-dry", {"type": "boolean"}),
    ]
    assert json.loads(show.parameters[0].schema) == {"type": "integer", "minimum": -(2**31), "maximum": 2**31 - 1}
    assert create.needs_body
    assert create.body is not None
    assert [each.media for each in create.body] == ["application/json", "text/csv"]
    assert create.body[1].schema == ""
    pet = json.loads(create.body[0].schema)
    base = {
        "type": "object",
        "properties": {"id": False, "name": {"type": ["string", "null"], "enum": ["a", "no", None]}},
    }
    whole = {
        "allOf": [{"$ref": "#/$defs/Base"}, {"required": ["name"]}],
        "properties": {"parent": {"$ref": "#/$defs/Pet"}},
    }
    assert pet == {"$ref": "#/$defs/Pet", "$defs": {"Base": base, "Pet": whole}}


def test_the_content_is_part_of_the_revision(folder: Path) -> None:
    """What a document says is kept with the configuration: another content is another one, and is shown as that."""
    first = loaded(folder).mesh
    assert decode(encode(first)) == first == loaded(folder).mesh
    (folder / "api.yaml").write_text(API.replace("  /pets/{id}:", "  /animals/{id}:"))
    second = loaded(folder).mesh
    assert encode(second) != encode(first)
    change = changes(first, second)
    assert [each.path for each in change] == ["routes.r.openapi.content"]
    assert change[0].before.startswith("3 operations (")
    (folder / "api.yaml").write_text(API.replace("title: Pets", "title: Animals"))
    assert loaded(folder).mesh == first


def test_written_and_shown(folder: Path) -> None:
    """A configuration is written with the files' names, which lead to an equal one; defaults are shown as such."""
    first = loaded(folder, 'openapi = { document = "api.yaml", base = "/v1", limit = "2KiB" }')
    (folder / "again.toml").write_text(to_toml(first.mesh))
    assert load(folder / "again.toml").mesh == first.mesh
    found = {each.path: (each.value, each.origin.rpartition("/")[2]) for each in effective(loaded(folder))}
    assert found["routes.r.openapi.document"] == (str(folder / "api.yaml"), "mesh.toml:4")
    assert found["routes.r.openapi.limit"] == ("1MiB", "default")


@pytest.mark.parametrize(
    ("servers", "path", "base", "root"),
    [
        ("[]", "/", None, ""),
        ("[]", "/pets", None, ""),
        ("[]", "/v2", None, "/v2"),
        ("[{url: /v1}]", "/", None, "/v1"),
        ("[{url: /v1}]", "/v1", None, "/v1"),
        ("[{url: /v1}]", "/v1/pets", None, "/v1"),
        ("[{url: /v1}]", "/api", None, "/api"),
        ('[{url: /v1}, {url: "http://h/api/v1"}]', "/api", None, "/api/v1"),
        ('[{url: "http://h:8000"}]', "/api", None, "/api"),
        ("[{url: /v1}]", "/v1", "/", ""),
        ("[{url: /v1}]", "/", "/v3", "/v3"),
    ],
)
def test_where_paths_begin(folder: Path, servers: str, path: str, base: str | None, root: str) -> None:
    """Paths begin where the configuration says, else where a server does that the route leads to, else at the route."""
    text = API.replace(API[API.index("servers:") : API.index("paths:")], f"servers: {servers}\n")
    (folder / "api.yaml").write_text(text)
    key = f', base = "{base}"' if base else ""
    api = loaded(folder, f'openapi = {{ document = "api.yaml"{key} }}', path).mesh.routes[0].openapi
    assert api is not None
    assert api.root == root


def test_versions_of_an_api(folder: Path) -> None:
    """A route that stands for several has its document in each of them."""
    keys = 'openapi = "api.yaml"\napi = "pets"'
    file = folder / "mesh.toml"
    file.write_text(
        f'[[routes]]\nname = "r"\n{keys}\nservice = "s"\n[services.s]\nendpoints = ["127.0.0.1:1"]\n'
        '[api.pets]\nby = { header = "x-api-version" }\ndefault = "1"\n[api.pets.versions.1]\n[api.pets.versions.2]\n'
    )
    mesh = load(file).mesh
    found = {route.name: route.openapi for route in mesh.routes if route.service is not None}
    assert {name: len(each.operations) for name, each in found.items() if each} == {"r.1": 3, "r.2": 3, "r.default": 3}


BROKEN: dict[str, Any] = {
    "a value": ("type: integer, minimum: 0", "type: integr, minimum: 0",
        '"api.yaml" line 32, /components/parameters/limit/schema/type: type "integr" is not known'),
    "a reference": ("#/components/parameters/limit", "#/components/parameters/limits",
        '"api.yaml" line 10, /paths/~1pets/parameters/0: "#/components/parameters/limits" leads nowhere: '
        'there is nothing at "/components/parameters/limits"'),
    "the network": ("schemas/pet.yaml#/Pet", "http://127.0.0.1:9/pet.yaml",
        '"api.yaml" line 21, /paths/~1pets/post/requestBody/content/application~1json/schema/$ref: '
        '"http://127.0.0.1:9/pet.yaml" is no file here: nothing is fetched; expected a file beside the document'),
    "another folder": ("schemas/pet.yaml#/Pet", "../pet.yaml",
        '"api.yaml" line 21, /paths/~1pets/post/requestBody/content/application~1json/schema/$ref: '
        '"../pet.yaml" leads out of the document\'s folder; expected a file beside the document'),
    "a missing file": ("schemas/pet.yaml#/Pet", "none.yaml",
        '"api.yaml" line 21, /paths/~1pets/post/requestBody/content/application~1json/schema/$ref: '
        '"none.yaml": does not exist; expected a file beside the document; looked for'),
    "a method's parameter": ("name: id, in: path", "name: ident, in: path",
        '"api.yaml" line 27, /x-items/pet/get: has a path parameter "ident", which the path does not have'),
    "a place": ("name: X-Dry, in: header", "name: X-Dry, in: body",
        '"api.yaml" line 15, /paths/~1pets/post/parameters/0: parameter "X-Dry" is in "body"; expected in: one of '
        '"path", "query", "header", "cookie"'),
    "the same path": ("  /pets/{id}:", "  /pets/{name}: {}\n  /pets/{id}:",
        '"api.yaml" line 24, /paths/~1pets~1{id}: is the same path as "/pets/{name}"'),
    "the version": ("openapi: 3.0.3", "openapi: 4.0.0",
        '"api.yaml" line 1, /openapi: version "4.0.0" is not known; expected openapi: "3.0.…" or "3.1.…"'),
    "Swagger": ("openapi: 3.0.3", 'swagger: "2.0"',
        '"api.yaml" line 1, /swagger: is Swagger 2.0; expected openapi: "3.0.…" or "3.1.…"; converters'),
    "syntax": ("info: {title", "info: {{title", '"api.yaml" line 3, column 1: is not YAML: '),
    "a name twice": ("  /pets/{id}:", "  /pets: {}\n  /pets/{id}:",
        '"api.yaml" line 23, column 3: is not YAML: the name "/pets" is there twice'),
    "a slash": ("  /pets/{id}:", "  pets/{id}:",
        '"api.yaml" line 23, /paths/pets~1{id}: path "pets/{id}" does not begin with a slash; expected "/orders"'),
    "a style": ("limit, in: query, schema: {type: integer", "limit, in: query, style: tabs, schema: {type: integer",
        'warning: routes[0].openapi: "api.yaml" line 32, /components/parameters/limit: style "tabs" is not known: '
        '"limit" is not checked'),
}  # fmt: skip


@pytest.mark.parametrize(("old", "new", "expected"), BROKEN.values(), ids=BROKEN)
def test_broken_documents(folder: Path, old: str, new: str, expected: str) -> None:
    """A document that cannot be used is told of with its line, the place in it, and what would do."""
    assert API.count(old) == 1
    (folder / "api.yaml").write_text(API.replace(old, new))
    found = said(folder)
    assert found[0].removeprefix("routes[0].openapi: ").startswith(expected), found


def test_all_problems_are_told(folder: Path) -> None:
    """One problem does not hide the next, in this file or in one that it refers to."""
    (folder / "api.yaml").write_text(API.replace("format: int32", "pattern: '['").replace("#/components/par", "#/par"))
    (folder / "schemas" / "pet.yaml").write_text(PET.replace("required: [id, name]", "required: name"))
    found = said(folder)
    assert len(found) == 1  # a path without its parameters has no operations
    (folder / "api.yaml").write_text(API.replace("format: int32", "pattern: '['"))
    assert said(folder) == [
        'routes[0].openapi: "schemas/pet.yaml" line 4, /Pet/allOf/1/required: required is not an array',
        'routes[0].openapi: "api.yaml" line 29, /x-items/pet/get/parameters/0/schema/pattern: '
        "pattern is no regular expression that is known here",
    ]


def test_keys_that_exclude_each_other(folder: Path) -> None:
    """A document says what bodies are, so that no schema is needed beside it; a base that nothing leads to is told."""
    (folder / "s.json").write_text("{}")
    with pytest.raises(ConfigInvalid) as caught:
        loaded(folder, 'openapi = "api.yaml"\nrequest_schema = "s.json"')
    assert "one of openapi and request_schema" in str(caught.value)
    found = said(folder, 'openapi = { document = "api.yaml", base = "/v2" }', "/api")
    assert found[0].startswith('routes[0].openapi.base: no path under "/v2" comes to the route, whose path is "/api"')


SCHEMA = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "$id": "https://example.com/schemas/order.schema.json",
    "title": "An order",
    "type": "object",
    "properties": {
        "self": {"$ref": "https://example.com/schemas/order.schema.json#/$defs/money"},
        "other": {"$ref": "money.json"},
        "anchored": {"$ref": "#amount"},
    },
    "$defs": {"money": {"$anchor": "amount", "type": "integer", "description": "cents"}},
}


def test_schemas_alone(tmp_path: Path) -> None:
    """A schema may refer to itself by its address, and to those beside it."""
    (tmp_path / "order.schema.json").write_text(json.dumps(SCHEMA))
    (tmp_path / "money.json").write_text('{"type": "number"}')
    body = loaded(tmp_path, 'request_schema = "order.schema.json"').mesh.routes[0].request_schema
    assert body is not None
    assert json.loads(body.schema) == {
        "type": "object",
        "properties": {
            "self": {"$ref": "#/$defs/money"},
            "other": {"$ref": "#/$defs/document"},
            "anchored": {"$ref": "#/$defs/money"},
        },
        "$defs": {"money": {"type": "integer"}, "document": {"type": "number"}},
    }


def test_draft_7(tmp_path: Path) -> None:
    """In draft 7 nothing beside a reference counts, and items may be a list."""
    schema = {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "properties": {"a": {"$ref": "#/definitions/a", "type": "null"}},
        "definitions": {"a": {"items": [{"type": "string"}], "additionalItems": False}},
    }
    (tmp_path / "s.json").write_text(json.dumps(schema))
    body = loaded(tmp_path, 'request_schema = { file = "s.json", limit = "1KiB" }').mesh.routes[0].request_schema
    assert body is not None
    assert json.loads(body.schema) == {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "properties": {"a": {"$ref": "#/$defs/a"}},
        "$defs": {"a": {"items": [{"type": "string"}], "additionalItems": False}},
    }
    assert body.limit == 1024


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"$schema": "http://json-schema.org/draft-04/schema#"}', "line 1, /$schema: "),
        ('{"type": "object",\n "properties": {"a": {"$dynamicRef": "#x"}}}', "line 2, /properties/a/$dynamicRef: "),
        ('{"a": 1, "a": 2}', ' has an object with the name "a" twice'),
        ("[1]", "line 1: is no schema; expected an object"),
        ("{", " line 1, column 2: is not JSON"),
        ('{"allOf": {}}', "line 1, /allOf: allOf is no array"),
    ],
)
def test_broken_schemas(tmp_path: Path, text: str, expected: str) -> None:
    """A schema that is none is told of with where."""
    (tmp_path / "s.json").write_text(text)
    assert expected in said(tmp_path, 'request_schema = "s.json"')[0]


def test_bombs(tmp_path: Path) -> None:
    """A schema that is too deep, or becomes too much when it is written out, is refused and not followed."""
    deep: Any = {}
    for _ in range(150):
        deep = {"not": deep}
    (tmp_path / "s.json").write_text(json.dumps(deep))
    assert "is nested too deeply" in said(tmp_path, 'request_schema = "s.json"')[0]
    lines = ["a0: &a0 {type: string}"]
    lines += [f"a{n}: &a{n} {{allOf: [{', '.join([f'*a{n - 1}'] * 9)}]}}" for n in range(1, 8)]
    (tmp_path / "s.yaml").write_text("\n".join([*lines, "allOf: [*a7]"]))
    assert "too large a document" in said(tmp_path, 'request_schema = "s.yaml"')[0]
    values = [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 10)]
    (tmp_path / "s.yaml").write_text("\n".join(["a0: &a0 x", *values, "enum: *a9"]))
    assert "too large a document" in said(tmp_path, 'request_schema = "s.yaml"')[0]


JUNK: tuple[Any, ...] = (
    None, True, -1, 10**30, "", "#/", "x", [], {}, [{}], [[]], {"$ref": 3}, {"$ref": "#/paths"}, {"$ref": "x.yaml"},
    {"type": "x"}, "/{a}{a}", {"$ref": "#/components/schemas/NewPet"},
)  # fmt: skip
PETSTORE = Path(__file__).parents[1] / "e2e" / "petstore.yaml"


def parts(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The places of all parts of a document."""
    steps = list(value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ())
    return [(*path, step) for step, _ in steps] + [each for step, one in steps for each in parts(one, (*path, step))]


@settings(max_examples=60)
@given(st.data())
def test_any_damage(data: st.DataObject) -> None:
    """Whatever stands in the place of a part of a document, it is either taken or told of."""
    document = parse(PETSTORE.read_bytes(), "petstore.yaml")
    for _ in range(data.draw(st.integers(1, 2))):
        *path, last = data.draw(st.sampled_from(parts(document)))
        holder = document
        for step in path:
            holder = holder[step]
        holder[last] = deepcopy(data.draw(st.sampled_from(JUNK)))
    text = json.dumps(document).encode()

    def read(name: str) -> bytes:
        if name != "api.json":
            raise Wrong("does not exist")
        return text

    described = Description(Sources("api.json", read))
    for problem in described.problems:
        assert described_at("api.json", Sources("api.json", read), problem)
    if not described.problems and all(map(is_schema, described.places)):
        assert operations(OpenApi("", operations=described.operations)).find("/nothing/of/it") is None


def is_schema(text: str) -> bool:
    """Whether the text is a schema."""
    try:
        return not text or bool(Schema(text))
    except NotASchema:
        return False


def test_links_out_of_the_folder(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """A link in the folder to elsewhere is not followed."""
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "pet.yaml"
    elsewhere.write_text(PET)
    (folder / "schemas" / "pet.yaml").unlink()
    (folder / "schemas" / "pet.yaml").symlink_to(elsewhere)
    assert "leads out of the document's folder" in said(folder)[0]
