"""init, validate, config: a mesh.toml from its beginning to what it means."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest

from meshctl.config import templates

from .conftest import Meshctl

BROKEN = """\
[[routes]]
path = "/"
servce = "web"

[services.web]
endpoints = ["127.0.0.1:99999"]
"""


@pytest.mark.parametrize("template", ["minimal", "api", "canary", "mesh", "full"])
def test_init_writes_what_validate_accepts(template: str, meshctl: Meshctl, folder: Path) -> None:
    """What `init` writes is valid as it is."""
    assert meshctl("init", "--template", template).status == 0
    ended = meshctl("validate")
    assert (ended.status, ended.out) == (0, "")
    assert "is valid" in ended.err


def test_init_knows_every_template(meshctl: Meshctl) -> None:
    """The names in the help of `init` are the templates there are."""
    listed = next(word for word in meshctl("init", "--help").out.split() if "|" in word)
    assert sorted(listed.split("|")) == sorted(templates.names())


def test_init_keeps_what_is_there(meshctl: Meshctl, folder: Path) -> None:
    """A file that is there is only replaced with --force."""
    (folder / "mesh.toml").write_text("mine")
    ended = meshctl("init")
    assert (ended.status, (folder / "mesh.toml").read_text()) == (1, "mine")
    assert "--force" in ended.err
    assert meshctl("init", "--force").status == 0
    assert (folder / "mesh.toml").read_text() == templates.text("minimal")


def test_init_writes_all_files_or_none(meshctl: Meshctl, folder: Path) -> None:
    """A template with files beside its mesh.toml has them written next to it; where one is there, none is."""
    (folder / "api.py").write_text("mine")
    ended = meshctl("init", "--template", "api")
    assert (ended.status, [each.name for each in folder.glob("*.*")]) == (1, ["api.py"])
    assert "api.py" in ended.err
    assert meshctl("init", "--template", "api", "--force").status == 0
    assert (folder / "api.py").read_text() == templates.beside("api")["api.py"]
    assert sorted(each.name for each in folder.glob("*.*")) == ["api.py", "jwks.json", "mesh.toml", "openapi.json"]


def test_init_into_a_folder_and_to_stdout(meshctl: Meshctl, folder: Path) -> None:
    """PATH may be a folder, or - for stdout."""
    (folder / "shop").mkdir()
    assert meshctl("init", "shop").status == 0
    assert (folder / "shop" / "mesh.toml").read_text() == meshctl("init", "-").out


def test_validate_tells_every_problem(meshctl: Meshctl, folder: Path) -> None:
    """Every problem is one line with its place, the count follows, and the status is 3."""
    (folder / "mesh.toml").write_text(BROKEN)
    ended = meshctl("validate", "mesh.toml")
    assert (ended.status, ended.out) == (3, "")
    assert [line.partition(": ")[0] for line in ended.err.splitlines()] == [
        "mesh.toml:3:1",
        "mesh.toml:6:14",
        "meshctl",
    ]
    assert 'did you mean "service"?' in ended.err
    assert ended.err.splitlines()[-1] == "meshctl: mesh.toml is not valid: 2 errors"


def test_validate_as_json(meshctl: Meshctl, folder: Path) -> None:
    """With -o json the problems are one document on stdout, valid or not, with the same status."""
    (folder / "mesh.toml").write_text(BROKEN)
    ended = meshctl("validate", "mesh.toml", "-o", "json")
    document = json.loads(ended.out)
    assert (ended.status, ended.err, document["valid"]) == (3, "", False)
    assert [(each["line"], each["path"], each["severity"]) for each in document["problems"]] == [
        (3, "routes[0].servce", "error"),
        (6, "services.web.endpoints[0]", "error"),
    ]


def test_validate_finds_the_file_above(meshctl: Meshctl, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a name the nearest mesh.toml upward is meant."""
    meshctl("init")
    (folder / "deep" / "er").mkdir(parents=True)
    monkeypatch.chdir(folder / "deep" / "er")
    assert f"{folder / 'mesh.toml'} is valid" in meshctl("validate").err


@pytest.mark.parametrize("option", ["-c", "--config"])
def test_validate_names_its_file_as_others_do(option: str, meshctl: Meshctl, folder: Path) -> None:
    """`validate` takes its file after -c too, as `apply` and its like do; one of two files is not chosen for people."""
    (folder / "other.toml").write_text(BROKEN)
    assert "other.toml is not valid" in meshctl("validate", option, "other.toml").err
    ended = meshctl("validate", "mesh.toml", option, "other.toml")
    assert (ended.status, '"mesh.toml" and -c "other.toml" are two files' in ended.err) == (2, True)


def test_config_show_tells_where_from(meshctl: Meshctl) -> None:
    """Each setting has its value and its line in the file, or says that it is the default."""
    meshctl("init")
    settings = {each["path"]: each for each in json.loads(meshctl("config", "show", "-o", "json").out)}
    expected = {"path": "gateway.workers", "value": 1, "origin": "default", "live": None}
    assert settings["gateway.workers"] == expected
    assert settings["services.web.endpoints"]["value"] == ["127.0.0.1:8000"]
    assert settings["services.web.endpoints"]["origin"].endswith("mesh.toml:13")
    assert "gateway.workers" in meshctl("config", "show").out


def test_config_schema_fits_the_templates(meshctl: Meshctl) -> None:
    """`config schema` prints one JSON document: a schema that is valid itself."""
    jsonschema.Draft202012Validator.check_schema(json.loads(meshctl("config", "schema").out))
