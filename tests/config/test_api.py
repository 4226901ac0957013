"""Versions of an API in mesh.toml: what is refused and why, moments, and a file said again."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import jsonschema
import pytest

from meshctl.config.diff import changes
from meshctl.config.effective import effective
from meshctl.config.files import decode_text
from meshctl.config.render import to_toml
from meshctl.config.render_api import moment
from meshctl.config.schema import json_schema
from meshctl.model.mesh import Mesh, decode, encode
from tests.config.reading import problems, read

VALIDATOR = jsonschema.Draft202012Validator(json_schema())
ROUTE = '[[routes]]\nname = "r"\npath = "/r"\napi = "a"\n'
SERVICE = 'service = "s"\n[services.s.versions.x]\nendpoints = ["127.0.0.1:1"]\n'
WAYS = (
    '"path"',
    '{ path = "/api/{version}" }',
    '{ header = "X-Version" }',
    '{ query = "v" }',
    '{ media_type = "application/vnd.a.{version}+json" }',
    '{ media_type = "application/json;v={version}" }',
)


def api(lines: str = "", v1: str = "", route: str = "") -> str:
    """A file with an API of version v1 and lines of its own."""
    return f"{ROUTE}{route}{SERVICE}[api.a]\n{lines}\n[api.a.versions.v1]\n{v1}\n"


@pytest.mark.parametrize("rest", ['default = "v1"', "enforce_sunset = true"])
@pytest.mark.parametrize("by", WAYS)
def test_a_file_said_again(by: str, rest: str) -> None:
    """Nothing is lost between a file, its mesh, the file written out and the store; the text fits the schema."""
    v1 = "deprecated = 2026-01-01\nsunset = 2026-06-30T10:00:00+02:00\nlink = 'https://example.com/a'\nversion = 'x'"
    route = 'methods = ["GET"]\nrequire = { addresses = ["10.0.0.0/8"] }\nrate_limits = { limit = "1/s" }\n'
    found = read(api(f"by = {by}\n{rest}", v1, route)).mesh
    assert [each.name for each in found.routes][:2] == ["r.v1", "r.unknown"]
    text = to_toml(found)
    assert read(text).mesh == found
    assert list(VALIDATOR.iter_errors(tomllib.loads(text))) == []
    assert decode(encode(found)) == found


def test_versions_may_lead_elsewhere_than_their_routes() -> None:
    """A route without a service is right, for editors too, where every version has one; its timeouts are that
    service's."""
    text = f"""{ROUTE}[api.a.versions.v1]\nservice = "s"\n[services.s]\ntimeout = "7s"\nendpoints = ["127.0.0.1:1"]"""
    assert problems(text) == []
    assert list(VALIDATOR.iter_errors(tomllib.loads(text))) == []
    assert read(text).mesh.routes[0].timeout == 7.0
    without = tomllib.loads(text.replace('api = "a"', ""))
    assert list(VALIDATOR.iter_errors(without))


@pytest.mark.parametrize(
    ("said", "seconds", "again"),
    [
        ("2026-06-30", 1782777600.0, "2026-06-30"),
        ('"2026-06-30"', 1782777600.0, "2026-06-30"),
        ("2026-06-30T00:00:00Z", 1782777600.0, "2026-06-30"),
        ("2026-06-30T02:00:00.5+02:00", 1782777600.0, "2026-06-30"),
        ('"2026-06-30T12:30:01Z"', 1782822601.0, "2026-06-30T12:30:01Z"),
        ("1970-01-01", 0.0, "1970-01-01"),
    ],
)
def test_moments(said: str, seconds: float, again: str) -> None:
    """Dates begin in UTC, times have zones, both may be strings; people are shown the shorter one."""
    version = read(api(v1=f"sunset = {said}")).mesh.apis[0].versions[0]
    assert version.sunset == seconds
    assert moment(seconds) == again


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (api(v1="sunset = 2026-06-30T12:00:00"), "is not one moment: its zone is missing"),
        (api(v1="sunset = 12:00:00"), '"12:00:00" is not valid; expected a date such as'),
        (api(v1="sunset = 20260630"), "an integer is not valid here; expected a date such as"),
        (api(v1='sunset = "2026-02-30"'), '"2026-02-30" is not valid'),
        (api(v1='sunset = "soon"'), '"soon" is not valid'),
        (api(v1="sunset = 9999-01-01"), "expected a moment from 1970 to 9998"),
        (api(v1="deprecated = 2026-02-01\nsunset = 2026-01-01"), "it would be gone before it is deprecated"),
        (api(v1='sunset = 2026-01-01\nlink = "docs/v1"'), 'expected a URL such as "https://example.com/docs/v1-ends"'),
        (api(v1='sunset = 2026-01-01\nlink = "https://a.b/>, <x"'), "expected a URL such as"),
        (api(v1='link = "https://example.com"'), "warning: api.a.versions.v1.link: is told of no version that stays"),
        (api('default = "v3"'), 'api.a.default: "v3" is none of the versions; expected one of "v1"'),
        (api("default = 1"), 'did you mean "1"?'),
        (api('by = "header"'), 'expected "path", { header = "x-api-version" } or the like'),
        (api('by = { path = "/{version}/api" }'), "expected a path that ends with the version"),
        (api('by = { media_type = "application/json" }'), "expected a media type such as"),
        (api('by = { media_type = "a/b;q={version}" }'), "expected a parameter that is the version"),
        (api('by = { header = "x-v", query = "v" }'), '"header" and "query" are both given'),
        (api('by = { header = "x-v" }\nstrip = true'), "warning: api.a.strip: has no effect"),
        (api("enforce_sunset = true"), "warning: api.a.enforce_sunset: has no effect: no version has a sunset"),
        (api(v1='aliases = ["1"]'), "a version has one name in paths"),
        (
            api('by = { header = "x-v" }', 'aliases = ["v2"]\n[api.a.versions.v2]'),
            'api.a.versions.v2: "v2" is already what "v1" is called',
        ),
        (api(v1="[api.a.versions.default]"), '"default" is what routes of an API are called by'),
        (api(v1='service = "t"'), 'api.a.versions.v1.service: service "t" does not exist'),
        (api(v1='version = "y"'), 'service "s" has no version "y"'),
        (api(v1='service = "s"\nversion = "y"'), 'api.a.versions.v1.version: service "s" has no version "y"'),
        (api(v1='prefix = "/x"').replace('"/r"', '"/r/{id}"'), "replaces a prefix, and the route's path is template"),
        (api().replace('"/r"', '{ regex = "/r.*" }'), "its versions stand in the path, which is a regex"),
        (api('by = { header = "x-v" }', route='headers = { x-v = "1" }\n'), 'asks for header "x-v" already'),
        (api().replace('api = "a"', 'api = "b"'), 'routes[0].api: api "b" does not exist; expected one of "a"'),
        (api().replace('api = "a"', ""), "warning: api.a: no route belongs to it"),
        (api().replace('service = "s"', ""), 'version "v1" of api "a" leads nowhere'),
        (api().replace('service = "s"', "respond = {}"), '"respond" is given too'),
        (
            api() + '[[routes]]\nname = "r.v1"\npath = "/x"\nservice = "s"',
            'one of its routes is called "r.v1", and so is another',
        ),
        (f"{ROUTE}{SERVICE}[api.a]\nversions = {{}}", "expected at least 1 element"),
        (f"{ROUTE}{SERVICE}[api.a.versions.'a b']", 'expected a version such as "v2", "2" or "2026-01-01"'),
    ],
)
def test_problems(text: str, expected: str) -> None:
    """What is wrong is said with its place, what was expected, and nothing else is wrong."""
    severity = "warning" if "warning" in expected else "error"
    found = [str(each) for each in problems(text) if each.severity == severity]
    assert len(found) == 1, found
    assert expected in found[0]


@pytest.mark.parametrize(
    ("by", "strip", "expected"),
    [
        ('"path"', "", ["/v1", ""]),
        ('{ path = "/api/{version}" }', "strip = true", ["/api/v1", "/api"]),
        ('{ header = "x-v" }', "", ["", ""]),
    ],
)
def test_documents_begin_behind_the_version(tmp_path: Path, by: str, strip: str, expected: list[str]) -> None:
    """The paths of an OpenAPI document are those behind the version, for each version and without one."""
    operations = {"/r/{id}": {"get": {"responses": {}}}}
    document = {"openapi": "3.1.0", "info": {"title": "t", "version": "1"}, "paths": operations}
    (tmp_path / "api.json").write_text(json.dumps(document))
    text = api(f'by = {by}\ndefault = "v1"\n{strip}', route='openapi = "api.json"\n')
    routes = {each.name: each for each in decode_text(text, folder=tmp_path).mesh.routes}
    found = [routes[name].openapi for name in ("r.v1", "r.default")]
    assert [each.root for each in found if each is not None] == expected
    assert routes["r.unknown"].openapi is None


def test_where_settings_come_from() -> None:
    """What the file says has its line, the rest is a default; routes are shown as the file has them."""
    found = {each.path: (each.value, each.origin) for each in effective(read(api('default = "v1"')))}
    assert found["api.a.default"] == ("v1", "mesh.toml:9")
    assert found["api.a.strip"] == (False, "default")
    assert found["api.a.by.path"] == ("/{version}", "default")
    assert found["routes.r.api"] == ("a", "mesh.toml:4")
    assert not [path for path in found if path.startswith("routes.r.v1")]


def test_differences() -> None:
    """A change of an API is told as the file has it, and nothing of the routes made of it."""
    old = read(api(v1="sunset = 2026-06-30")).mesh
    new = read(api('default = "v1"', "sunset = 2026-12-31\n[api.a.versions.v2]")).mesh
    assert [str(each) for each in changes(old, new)] == [
        "api.a.versions.v1.sunset: 2026-06-30 → 2026-12-31",
        "api.a.versions.v2: added",
        "api.a.default: added (v1)",
    ]
    assert changes(new, new) == []
    assert changes(Mesh(), old)
