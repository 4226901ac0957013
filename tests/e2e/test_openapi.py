"""An API that an OpenAPI document describes, behind a running gateway: begun, asked, changed, broken and taken back."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import httpx

from .conftest import StartGateway
from .gateway import meshctl
from .servers import Upstreams

PETSTORE = Path(__file__).with_name("petstore.yaml")


def test_the_pet_store(start_gateway: StartGateway, upstreams: Upstreams, tmp_path: Path, http: httpx.Client) -> None:
    """A document is all that it takes: what it has passes, the rest is refused with where, by every worker, until the
    document is another."""
    document, file, home = tmp_path / "petstore.yaml", tmp_path / "mesh.toml", tmp_path / "home"
    shutil.copy(PETSTORE, document)
    made = meshctl(home, "init", file, "--from-openapi", document, "--url", upstreams.url_of("a"))
    assert made.status == 0, made.err
    assert meshctl(home, "validate", file).status == 0
    file.write_text(file.read_text().replace('["127.0.0.1:8080"]', '["127.0.0.1:0"]\nworkers = 2'))
    gateway = start_gateway("-c", file, home=home, listen="")
    url = f"{gateway.url}/v1"

    seen = http.post(f"{url}/pets", json={"name": "Rex", "tags": [{"name": "dog"}], "born": None})
    assert (seen.status_code, seen.json()["target"]) == (200, "/v1/pets")
    assert http.get(f"{url}/pets?limit=7&status=here&status=sold").status_code == 200
    told = []
    for _ in range(8):
        with httpx.Client(timeout=30, trust_env=False) as client:  # each may meet another worker
            got = client.post(f"{url}/pets", json={"name": "", "id": 7, "tags": [{"name": "Dog"}], "born": "soon"})
        assert (got.status_code, got.headers["x-meshctl-reason"]) == (400, "invalid_request")
        told.append(sorted((each["pointer"], each["detail"]) for each in got.json()["errors"]))
    assert (
        told
        == [
            [
                ("#/born", "is no date"),
                ("#/id", "may not be sent"),
                ("#/name", "has less than 1 character"),
                ("#/tags/0/name", 'does not match "^[a-z]+$"'),
            ]
        ]
        * 8
    )
    assert http.delete(f"{url}/pets/0", headers={"X-Reason": "no"}).json()["errors"] == [
        {"in": "path", "name": "petId", "detail": "is less than 1"},
        {"in": "header", "name": "x-reason", "detail": "has less than 3 characters"},
    ]
    curl = subprocess.run(["curl", "-sS", "-d", "name=Rex", f"{url}/pets"], capture_output=True, check=True)
    assert json.loads(curl.stdout)["reason"] == "unsupported_media_type"
    assert (http.get(f"{url}/owners").status_code, http.put(f"{url}/pets").headers["allow"]) == (404, "GET, HEAD, POST")
    lines = gateway.meshctl("routes", "explain", "GET", "/v1/pets?limit=0").out
    assert "openapi petstore.yaml: listPets, GET /pets under /v1" in lines
    assert 'query parameter "limit" is less than 1: invalid_request' in lines

    document.write_text(PETSTORE.read_text().replace("  /pets:", "  /owners: {get: {}}\n  /pets:", 1))
    assert "routes.pet-store.openapi.content: 4 operations" in gateway.meshctl("diff", "-c", file).out
    gateway.apply(file)
    assert http.get(f"{url}/owners").status_code == 200
    document.write_text(PETSTORE.read_text().replace("type: integer, format: int64", "type: int64", 1))
    refused = gateway.apply(file, status=3)
    assert '"petstore.yaml" line 34, /paths/~1pets~1{petId}/parameters/0/schema/type: type "int64"' in refused.err
    assert http.get(f"{url}/owners").status_code == 200
    back = gateway.meshctl("config", "rollback")
    assert back.status == 0, back.err
    assert http.get(f"{url}/owners").status_code == 404
