"""What passes a gateway, with real clients: pages of other origins, variables, edited bodies, codings; and a change."""

from __future__ import annotations

import gzip
import subprocess
from pathlib import Path
from typing import Any

import httpx

from .conftest import StartGateway
from .servers import Upstreams

TEXT = """\
[mesh]
name = "shop"
[gateway]
listen = ["127.0.0.1:0"]
[[routes]]
name = "users"
path = "/users/{{id}}"
methods = ["GET", "POST"]
service = "s"
rewrite = {{ path = "/v2/{{path.id}}" }}
cors = {{ origins = ["https://app.example.com"] }}
security_headers = true
request_headers = {{ set = {{ x-client = "{{client_ip}}", x-id = "user-{{path.id}}" }} }}
request_query = {{ set = {{ user = "{{path.id}}" }} }}
request_body = {{ remove = ["$..password"] }}
response_body = {{ {edits} }}
compression = {{ codings = ["gzip"], minimum = "1B" }}
[services.s]
endpoints = ["{address}"]
"""


def test_all_of_it(start_gateway: StartGateway, upstreams: Upstreams, tmp_path: Path, http: httpx.Client) -> None:
    """Everything on one route works together, is explained, and changes with an apply."""
    file = tmp_path / "mesh.toml"
    file.write_text(TEXT.format(address=upstreams.address("a"), edits='set = { "$.via" = "gateway" }'))
    gateway = start_gateway("-c", file)
    url = f"{gateway.url}/users/a%2Fb?user=root"
    page = {"Origin": "https://app.example.com"}
    got = http.post(url, json={"name": "é", "password": "x"}, headers=page | {"X-Id": "root"})
    assert (got.status_code, got.headers["access-control-allow-origin"]) == (200, page["Origin"])
    assert (got.headers["x-frame-options"], got.headers.get("content-encoding")) == ("DENY", "gzip")
    seen: dict[str, Any] = got.json()
    assert (seen["via"], seen["target"]) == ("gateway", "/v2/a%2Fb?user=a%252Fb")
    found = {name: seen["headers"][name] for name in ("x-client", "x-id", "content-length")}
    assert found == {"x-client": "127.0.0.1", "x-id": "user-a%2Fb", "content-length": str(len('{"name":"é"}'.encode()))}
    preflight = http.options(url, headers=page | {"Access-Control-Request-Method": "POST"})
    assert (preflight.status_code, preflight.headers["access-control-allow-methods"]) == (204, "GET, POST")
    told = gateway.meshctl("routes", "explain", "GET", "/users/7", "-H", "Origin: https://evil.example").out
    assert "pages of https://evil.example may not" in told
    curl = subprocess.run(
        ["curl", "-sS", "-H", "Accept-Encoding: gzip", f"{gateway.url}/users/7"], capture_output=True, check=True
    )
    assert b'"via":"gateway"' in gzip.decompress(curl.stdout)
    file.write_text(TEXT.format(address=upstreams.address("a"), edits='keep = ["$.none"]'))
    gateway.apply(file)
    assert http.get(f"{gateway.url}/users/7").json() == {}
