"""A mesh said as a file and read again is the same mesh, and editors find the file right."""

from __future__ import annotations

import tomllib

import jsonschema
from hypothesis import given, settings

from meshctl.config.render import to_toml
from meshctl.config.schema import json_schema
from meshctl.model.mesh import Mesh, decode, encode
from tests.config.meshes import meshes
from tests.config.reading import read

VALIDATOR = jsonschema.Draft202012Validator(json_schema())


@settings(max_examples=50)
@given(meshes())
def test_round_trip(mesh: Mesh) -> None:
    """Nothing is lost or changed between a mesh and its text; the text fits the schema; the store keeps it too."""
    text = to_toml(mesh)
    assert read(text).mesh == mesh
    assert list(VALIDATOR.iter_errors(tomllib.loads(text))) == []
    assert decode(encode(mesh)) == mesh


def test_the_default_mesh() -> None:
    """The defaults, written out, are the defaults."""
    assert read(to_toml(Mesh())).mesh == Mesh()
