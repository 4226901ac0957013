"""Apps that know nothing of meshctl, in the frameworks people use, are members of the mesh when they are wrapped."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from .conftest import StartGateway
from .sidecar import Wrapped
from .waiting import until

FLASK = """
    import os
    import httpx
    from flask import Flask, request

    app = Flask("web")

    @app.get("/")
    def index():
        # What every HTTP client does: heed the proxy of the environment.
        orders = httpx.get("http://orders/list?n=2", timeout=30).json()
        return {"web": request.headers.get("X-Meshctl-Identity"), "orders": orders}

    @app.post("/upload")
    def upload():
        return {"bytes": len(request.get_data())}

    app.run(port=int(os.environ["PORT"]))
"""
FASTAPI = """
    from fastapi import FastAPI, Request, WebSocket
    from fastapi.responses import StreamingResponse

    app = FastAPI()

    @app.get("/list")
    async def list_orders(request: Request, n: int):
        caller = request.headers.get("x-meshctl-identity")
        return {"caller": caller, "host": request.url.hostname, "orders": list(range(n))}

    @app.get("/stream")
    async def stream():
        return StreamingResponse((f"line {i}\\n" for i in range(3)))
"""
NODE = """
    const http = require('node:http');
    http.createServer(async (request, answer) => {
      const orders = await (await fetch(process.env.ORDERS_URL + '/list?n=3')).json();
      answer.setHeader('content-type', 'application/json');
      answer.end(JSON.stringify({ path: request.url, identity: request.headers['x-meshctl-identity'], orders }));
    }).listen(process.env.PORT, '127.0.0.1');
"""

Wrap = Callable[..., Wrapped]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The mesh of this module."""
    return tmp_path_factory.mktemp("mesh") / "home"


@pytest.fixture(scope="module")
def wrap(home: Path) -> Iterator[Wrap]:
    """Wraps apps: `wrap(name, text, *arguments, command=…)`, each in a folder of its own with `text` in a file."""
    started: list[Wrapped] = []

    def start(service: str, text: str, *command: str, arguments: tuple[object, ...] = ()) -> Wrapped:
        folder = home.parent / service
        folder.mkdir()
        file = folder / "shop.py"
        lines = [line[4:] if line.startswith("    ") else line for line in text.splitlines()]
        file.write_text("\n".join(lines))
        words = [each.replace("FILE", str(file)).replace("FOLDER", str(folder)) for each in command]
        started.append(Wrapped(home, folder, ("--service", service, *arguments), words))
        return started[-1].until_registered()

    yield start
    try:
        for each in started:
            each.check()
    finally:
        for each in started:
            each.kill()


@pytest.fixture(scope="module")
def orders(wrap: Wrap) -> Wrapped:
    """FastAPI, run by uvicorn from a shell that puts its port in."""
    run = f"exec {sys.executable} -m uvicorn --app-dir FOLDER --port $PORT shop:app"
    return wrap("orders", FASTAPI, "sh", "-c", run)


def routed(tmp_path: Path, service: str) -> Path:
    """A mesh.toml whose gateway leads to a service that has no address in it."""
    file = tmp_path / "mesh.toml"
    file.write_text(f'gateway.listen = ["127.0.0.1:0"]\nroutes = [{{ service = "{service}" }}]\n[services.{service}]\n')
    return file


def test_flask_calls_fastapi(
    home: Path, orders: Wrapped, wrap: Wrap, start_gateway: StartGateway, tmp_path: Path, http: httpx.Client
) -> None:
    """From the gateway to Flask and on to FastAPI by its name: each hears who called, and bodies pass both ways."""
    wrap("web", FLASK, sys.executable, "FILE")
    gateway = start_gateway("-c", routed(tmp_path, "web"), home=home, listen="")
    until(lambda: http.get(gateway.url).status_code == 200, "the way through both")
    assert http.get(gateway.url).json() == {
        "web": "spiffe://mesh.mesh/service/gateway",
        "orders": {"caller": "spiffe://mesh.mesh/service/web", "host": "orders", "orders": [0, 1]},
    }
    assert http.post(f"{gateway.url}/upload", content=b"x" * 300_000).json() == {"bytes": 300_000}
    # Names outside of the mesh's, asked for through the app's own proxy, find no service and say so.
    unknown = httpx.get("http://order.mesh/", proxy=f"http://{orders.address('proxy')}", timeout=30)
    assert (unknown.status_code, unknown.headers["x-meshctl-reason"]) == (404, "unknown_service")
    assert "orders" in unknown.json()["detail"]
    streamed = httpx.get("http://orders.mesh/stream", proxy=f"http://{orders.address('proxy')}", timeout=30)
    assert streamed.text == "line 0\nline 1\nline 2\n"


@pytest.mark.skipif(not shutil.which("node"), reason="node is absent")
def test_node_calls_fastapi(home: Path, orders: Wrapped, wrap: Wrap, http: httpx.Client) -> None:
    """A Node app, which may not heed proxies, reaches the service on a port of this machine that it is told of."""
    api = wrap("api", NODE, "node", "FILE", arguments=("--upstream", "orders"))

    def ask() -> httpx.Response:
        return httpx.get("http://api/a?b", proxy=f"http://{orders.address('proxy')}", timeout=30)

    # That it is registered is known to others a moment later.
    until(lambda: ask().status_code == 200, "it to be reached")
    answer = ask().json()
    assert answer["path"] == "/a?b"
    assert answer["identity"] == "spiffe://mesh.mesh/service/orders"
    assert answer["orders"]["caller"] == "spiffe://mesh.mesh/service/api"
    assert answer["orders"]["orders"] == [0, 1, 2]
    log = [json.loads(line) for line in (home / "logs" / f"{api.id}.log").read_text().rpartition("\n")[0].splitlines()]
    assert {line["service"] for line in log} <= {"orders", "local:api"}
