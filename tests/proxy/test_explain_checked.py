"""What `routes explain` says of requests to an API that a document describes."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from meshctl.config.files import load
from meshctl.model.mesh import Mesh
from meshctl.proxy.explain import explain

PETSTORE = Path(__file__).parents[1] / "e2e" / "petstore.yaml"


@pytest.fixture(scope="module")
def mesh(tmp_path_factory: pytest.TempPathFactory) -> Mesh:
    """A mesh with a route that knows a document, and one with a schema."""
    folder = tmp_path_factory.mktemp("explained")
    shutil.copy(PETSTORE, folder / "api.yaml")
    (folder / "s.json").write_text("{}")
    (folder / "mesh.toml").write_text(
        '[[routes]]\nopenapi = "api.yaml"\nrespond = {}\n'
        '[[routes]]\npath = "/s"\nrequest_schema = { file = "s.json", limit = "2KiB" }\nrespond = {}\n'
    )
    return load(folder / "mesh.toml").mesh


@pytest.mark.parametrize(
    ("method", "url", "headers", "said"),
    [
        ("GET", "/v1/pets?limit=7", (), ("openapi api.yaml: listPets, GET /pets under /v1",)),
        ("GET", "/v1/pets?limit=0", (),
         ("openapi api.yaml: listPets, GET /pets under /v1",
          'query parameter "limit" is less than 1: invalid_request')),
        ("POST", "/v1/pets", (),
         ("openapi api.yaml: createPet, POST /pets under /v1", "body: needed, application/json, looked at up to 1MiB")),
        ("DELETE", "/v1/pets/7", (("X-Reason", "old"),),
         ("openapi api.yaml: removePet, DELETE /pets/{petId} under /v1",)),
        ("DELETE", "/v1/pets/hunter2", (),
         ("openapi api.yaml: removePet, DELETE /pets/{petId} under /v1",
          'path parameter "petId" is not an integer: invalid_request',
          'header "x-reason" is missing: invalid_request')),
        ("PUT", "/v1/pets", (), ("openapi api.yaml: the path is for GET, HEAD, POST: method_not_allowed",)),
        ("GET", "/pets", (), ("openapi api.yaml: no such path under /v1: unknown_operation",)),
        ("POST", "/s", (), ("body: JSON of up to 2KiB that meets s.json",)),
    ],
)  # fmt: skip
def test_what_is_said(
    mesh: Mesh, method: str, url: str, headers: tuple[tuple[str, str], ...], said: tuple[str, ...]
) -> None:
    """Which operation it is, and each thing that would be refused, without what was sent."""
    assert explain(mesh, method, url, headers).policies == said
