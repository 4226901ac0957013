"""`meshctl init --from-openapi`: a mesh.toml for an API that a document describes."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import pytest

from meshctl.config.files import load

from .conftest import Meshctl

PETSTORE = Path(__file__).parents[1] / "e2e" / "petstore.yaml"


def written(meshctl: Meshctl, folder: Path, text: str, *options: str) -> str:
    """The mesh.toml for a document of this text."""
    (folder / "api").mkdir(exist_ok=True)
    (folder / "api" / "api.yaml").write_text(text)
    ended = meshctl("init", "--force", "--from-openapi", "api/api.yaml", *options)
    assert ended.status == 0, ended.err
    return (folder / "mesh.toml").read_text()


def test_what_is_written_holds(meshctl: Meshctl, folder: Path) -> None:
    """The route has the document's paths, the service its server, and both hold as they stand, beside the document."""
    text = written(meshctl, folder, PETSTORE.read_text())
    loaded = load(folder / "mesh.toml")
    assert loaded.warnings == ()
    route, service = loaded.mesh.routes[0], loaded.mesh.services[0]
    assert (route.name, route.service, service.name) == ("pet-store",) * 3
    assert route.match.path.value == "/v1"
    assert route.openapi is not None
    assert (route.openapi.document, route.openapi.root) == (str(folder / "api" / "api.yaml"), "/v1")
    assert [each.address for each in service.versions[0].endpoints] == ["127.0.0.1:8000"]
    assert 'openapi = "api/api.yaml"' in text
    assert "curl http://127.0.0.1:8080/v1/pets\n" in text


def test_hints_at_auth_hold(meshctl: Meshctl, folder: Path) -> None:
    """What is said of callers in comments holds, too, when the marks are taken out."""
    schemes = """\
    bearer: {type: http, scheme: bearer}
    key in a query: {type: apiKey, in: query, name: key}
    cookie: {type: apiKey, in: cookie, name: key}
    OpenID: {type: openIdConnect, openIdConnectUrl: "https://id.example.com/.well-known/openid-configuration"}
    mtls: {type: mutualTLS}
"""
    document = PETSTORE.read_text().replace("    login:", schemes + "    login:")
    text = written(meshctl, folder, document)
    assert "\nauth = " not in text
    uncommented = re.sub(r"(?m)^# (?=auth = |\[auth\.|api_key = |basic = |jwt = |certificate = )", "", text)
    (folder / "users.htpasswd").write_text("ada:$2y$12$" + "a" * 53 + "\n")
    (folder / "mesh.toml").write_text(uncommented.replace("https://…", "https://id.example.com").replace("…", "api"))
    mesh = load(folder / "mesh.toml").mesh
    assert mesh.routes[0].auth is not None
    kinds = {way.name: way.kind for way in mesh.auth}
    assert kinds == {
        "apikey": "api_key", "bearer": "jwt", "key-in-a-query": "api_key", "openid": "jwt",
        "mtls": "certificate", "login": "basic",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("change", "options", "prefix", "endpoint", "rewrite"),
    [
        (("", ""), ("--url", "https://api.internal/pets"), "/v1", "api.internal:443", "/pets"),
        (("", ""), ("--url", "http://127.0.0.1:9001"), "/v1", "127.0.0.1:9001", None),
        (("http://127.0.0.1:8000/v1", "https://api.example.com"), (), "/", "127.0.0.1:8000", None),
        (("title: Pet store", 'title: "!"'), (), "/v1", "127.0.0.1:8000", None),
        (("  securitySchemes:", "  x-schemes:"), (), "/v1", "127.0.0.1:8000", None),
    ],
)
def test_where_the_application_is(
    meshctl: Meshctl,
    folder: Path,
    change: tuple[str, str],
    options: tuple[str, ...],
    prefix: str,
    endpoint: str,
    rewrite: str | None,
) -> None:
    """It is where --url says, with its path in the place of the document's; else where the document has it on this
    machine; else at port 8000."""
    written(meshctl, folder, PETSTORE.read_text().replace(*change) if change[0] else PETSTORE.read_text(), *options)
    mesh = load(folder / "mesh.toml").mesh
    route, found = mesh.routes[0], mesh.services[0].versions[0].endpoints[0]
    assert (route.match.path.value, found.address, route.rewrite.prefix) == (prefix, endpoint, rewrite)


def test_refusals(meshctl: Meshctl, folder: Path) -> None:
    """A document that is none is told of with its line, and nothing is written or replaced."""
    (folder / "api.yaml").write_text("openapi: 3.0.0\npaths:\n  /a: {}\n  orders: {}\n")
    ended = meshctl("init", "--from-openapi", "api.yaml")
    assert (ended.status, (folder / "mesh.toml").exists()) == (3, False)
    assert '"api.yaml" line 4, ' in ended.err
    (folder / "mesh.toml").write_text("mine")
    (folder / "api.yaml").write_text(PETSTORE.read_text())
    assert meshctl("init", "--from-openapi", "api.yaml").status == 1
    assert (folder / "mesh.toml").read_text() == "mine"
    assert meshctl("init", "--from-openapi", "none.yaml").status == 3
    assert meshctl("init", "--url", "http://127.0.0.1:1").status == 2
    assert meshctl("init", "--from-openapi", "api.yaml", "--template", "full").status == 2
    assert meshctl("init", "--from-openapi", "api.yaml", "--url", "ftp://x", "-").status == 3


def test_without_the_library(meshctl: Meshctl, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the library is not installed, that is said with what to install."""
    written(meshctl, folder, PETSTORE.read_text())
    for library in ("jsonschema_rs", "yaml"):
        with monkeypatch.context() as patched:
            missing: Any = None
            patched.setitem(sys.modules, library, missing)
            ended = meshctl("validate")
        assert ended.status == 3
        assert f"{sys.executable} -m pip install '.[openapi]'" in ended.err
