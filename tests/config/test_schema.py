"""The JSON schema for editors: valid, in step with the decoder and with the model's defaults."""

from __future__ import annotations

import json
import tomllib
from typing import Any

import jsonschema
import pytest

from meshctl.config import templates
from meshctl.config.schema import json_schema
from tests.config.reading import problems, read
from tests.config.test_problems import cases

SCHEMA = json_schema()
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)


def tables() -> list[tuple[str, dict[str, Any]]]:
    """Every table of the schema, by name."""
    return [("mesh.toml", SCHEMA), *SCHEMA["$defs"].items()]


def test_it_is_a_schema() -> None:
    """The schema is one by its own dialect, has a title and survives JSON."""
    VALIDATOR.check_schema(SCHEMA)
    assert (SCHEMA["title"], SCHEMA["$schema"]) == ("mesh.toml", "https://json-schema.org/draft/2020-12/schema")
    assert json.loads(json.dumps(SCHEMA)) == SCHEMA


@pytest.mark.parametrize(("name", "table"), tables(), ids=[name for name, _ in tables()])
def test_every_key_is_described(name: str, table: dict[str, Any]) -> None:
    """Each table and each key of it has a description, no key may be null, and unknown keys are errors."""
    assert table["description"]
    assert table["additionalProperties"] is False
    for key, schema in table["properties"].items():
        assert schema.get("description", "").endswith("."), (name, key)
        assert "null" not in json.dumps(schema), (name, key)


@pytest.mark.parametrize("name", templates.names())
def test_templates_fit(name: str) -> None:
    """Every template is valid for editors, for which a date of TOML is a string."""
    document = json.loads(json.dumps(tomllib.loads(templates.text(name)), default=str))
    assert list(VALIDATOR.iter_errors(document)) == []


@pytest.mark.parametrize(
    "text",
    [
        "[gateway]\nzzz = 1",
        "[[routes]]\npath = '/'",
        "[[routes]]\nservice = 'a'\nrespond = {}",
        "[[routes]]\nrespond = {}\npath = {}",
        "[[routes]]\nrespond = {}\npath = 'a'",
        "[gateway]\nworkers = 0",
        "[gateway]\nworkers = 'many'",
        "[gateway.timeouts]\nhead = 3",
        "[gateway.timeouts]\nhead = '3 sec'",
        "[gateway.limits]\nhead_bytes = '3k'",
        "[services.a]\nbalance = 'least'",
        "[services.Orders]\nendpoints = ['h:1']",
        "[services.a]\nendpoints = [{ weight = 1 }]",
        "[mesh]\ndefault = 'maybe'",
        "[services.a]\nmtls = 'off'",
        "[services.a]\nprotocol = 'udp'",
        "[services.a]\nrestart = true",
        "[services.a]\nintercept = 'always'",
        "[services.a]\nintercept = 1",
        "[services.a]\nport = 0",
        "[services.a]\nafter = ['B c']",
        "[services.a.versions.v1]\nport = 65536",
        "[[allow]]\nfrom = 'web'",
        "[[allow]]\nfrom = []\nto = 'orders'",
        "[[allow]]\nfrom = 'Web'\nto = 'orders'",
        "[[allow]]\nfrom = 'web'\nto = 'orders'\npaths = ['v1']",
    ],
)
def test_what_it_refuses(text: str) -> None:
    """Editors mark what the decoder refuses too, as far as one value shows it."""
    assert problems(text)
    assert not VALIDATOR.is_valid(tomllib.loads(text))


def test_what_is_read_fits() -> None:
    """Each example without errors, of those for problems, fits the schema."""
    good = [text for _, text, lines in cases() if all(": warning: " in line for line in lines)]
    assert len(good) >= 3
    for text in good:
        assert list(VALIDATOR.iter_errors(tomllib.loads(text))) == [], text


def test_defaults_are_the_models() -> None:
    """A default that editors show changes nothing when it is written down."""
    text = ""
    for key, table in (
        ("gateway", "GatewayTable"),
        ("gateway.timeouts", "DownstreamTimeoutsTable"),
        ("gateway.limits", "LimitsTable"),
        ("mesh", "MeshTable"),
    ):
        shown = {
            name: each["default"] for name, each in SCHEMA["$defs"][table]["properties"].items() if "default" in each
        }
        assert shown
        text += f"[{key}]\n" + "".join(f"{name} = {json.dumps(value)}\n" for name, value in shown.items())
    assert read("").mesh == read(text).mesh
