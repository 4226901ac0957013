"""The templates are configurations that hold, and the files lie where they are looked for."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest

from meshctl import resources
from meshctl.config import templates
from meshctl.config.files import load
from meshctl.config.schema import json_schema
from meshctl.errors import MeshError
from tests.config.reading import read
from tests.config.test_files import certificate_pem, key_pem, new_key


def test_names() -> None:
    """There is a template for each start, the smallest first."""
    assert templates.names() == ["minimal", "canary", "tls", "full"]


@pytest.mark.parametrize("name", templates.names())
def test_templates_hold(name: str, tmp_path: Path) -> None:
    """Written to a file, beside the certificate it asks for, each template loads without a word."""
    key = new_key()
    (tmp_path / "localhost.pem").write_bytes(certificate_pem(key))
    (tmp_path / "localhost-key.pem").write_bytes(key_pem(key))
    (tmp_path / "mesh.toml").write_text(templates.text(name))
    assert load(tmp_path / "mesh.toml").warnings == ()


@pytest.mark.parametrize("name", templates.names())
def test_the_first_line_is_a_summary(name: str) -> None:
    """Each template says in its first line what it shows."""
    assert templates.summary(name).endswith(".")
    assert templates.text(name).startswith(f"# {templates.summary(name)}\n")


def test_the_full_template_has_every_key() -> None:
    """No key is missing from the template that promises all of them, comments counted."""
    text = templates.text("full")
    for table, schema in json_schema()["$defs"].items():
        for key in schema["properties"]:
            if (table, key) not in {("BalanceTable", "policy"), ("KeyTable", "query")}:
                assert key in text, (table, key)


def test_the_full_template_tells_the_defaults() -> None:
    """Where it says that a value is the default, the model agrees: without those tables the mesh is the same."""
    text = templates.text("full")
    document = tomllib.loads(text)
    kept: dict[str, Any] = {
        key: value for key, value in document["gateway"].items() if key not in ("timeouts", "limits")
    }
    import tomli_w

    shorter = document | {"gateway": kept}
    assert read(tomli_w.dumps(shorter)).mesh == read(text).mesh


def test_unknown_template() -> None:
    """A name that no template has is a usage error with the nearest one."""
    with pytest.raises(MeshError) as caught:
        templates.text("canray")
    assert (caught.value.code, caught.value.hint) == ("usage", 'did you mean "canary"?')
    with pytest.raises(MeshError, match="does not exist"):
        templates.text("../pyproject")


def test_resources_are_named_files_only() -> None:
    """A resource is asked for by its name, never by a path that leads elsewhere."""
    assert "minimal.toml" in resources.names("templates")
    for name in ("../pyproject.toml", "/etc/passwd", "", "."):
        with pytest.raises(MeshError, match="no "):
            resources.text("templates", name)
