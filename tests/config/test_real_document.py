"""The document that a real framework makes of its application: both judge requests alike."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

import httpx
import pytest
from fastapi import FastAPI, Header, Query
from pydantic import BaseModel, Field

from meshctl.config.files import load
from meshctl.core.checking import Checked, body_faults, operations
from meshctl.core.operations import Operations
from meshctl.wire.message import Request


class Item(BaseModel):
    """What is ordered."""

    sku: str = Field(min_length=3)
    count: int = Field(1, ge=1)


class Order(BaseModel):
    """An order."""

    id: int
    note: str | None = None
    items: list[Item] = Field(min_length=1)
    kind: Literal["new", "old"] = "new"


def application() -> FastAPI:
    """The application."""
    app = FastAPI()

    @app.post("/orders")
    def create(order: Order) -> None:
        del order

    @app.get("/orders/{number}")
    def show(
        number: int,
        limit: Annotated[int, Query(ge=1, le=10)] = 5,
        exact: bool = False,
        x_mode: Annotated[Literal["a", "b"], Header()] = "a",
    ) -> None:
        del number, limit, exact, x_mode

    return app


APP = application()


def answered(method: str, url: str, headers: dict[str, str], body: Any) -> httpx.Response:
    """What the application answers."""

    async def ask() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app=APP), base_url="http://app") as client:
            return await client.request(method, url, headers=headers, json=body)

    return asyncio.run(ask())


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> Operations[Checked]:
    """What its document says."""
    folder: Path = tmp_path_factory.mktemp("document")
    (folder / "openapi.json").write_text(json.dumps(APP.openapi()))
    (folder / "mesh.toml").write_text('[[routes]]\nopenapi = "openapi.json"\nrespond = {}\n')
    loaded = load(folder / "mesh.toml")
    assert loaded.warnings == ()
    api = loaded.mesh.routes[0].openapi
    assert api is not None
    return operations(api)


def status(known: Operations[Checked], method: str, url: str, headers: dict[str, str], body: Any) -> int:
    """What the document would have a request answered with, as the framework numbers it."""
    path, query = urlsplit(url)[2:4]
    found = known.find(path)
    if found is None:
        return 404
    operation = found[0].find(method)
    if operation is None:
        return 405
    request = Request([f"{name}: {value}".encode() for name, value in headers.items()], {})
    request.query_string = query or None
    faults = operation.faults(request, found[0].names, found[1])
    if body is not None and operation.body is not None:
        schema = operation.body.schema("application/json")
        assert schema is not None
        faults = faults + body_faults(schema, json.dumps(body).encode())
    return 422 if faults else 200


ITEM = {"sku": "abc", "count": 2}


@pytest.mark.parametrize(
    ("method", "url", "headers", "body"),
    [
        ("GET", "/orders/7", {}, None),
        ("GET", "/orders/7?limit=10&exact=true&more=1", {"X-Mode": "b"}, None),
        ("GET", "/orders/x", {}, None),
        ("GET", "/orders/7?limit=11", {}, None),
        ("GET", "/orders/7?limit=", {}, None),
        ("GET", "/orders/7?exact=maybe", {}, None),
        ("GET", "/orders/7", {"X-Mode": "c"}, None),
        ("GET", "/nothing", {}, None),
        ("DELETE", "/orders/7", {}, None),
        ("POST", "/orders", {}, {"id": 1, "items": [ITEM]}),
        ("POST", "/orders", {}, {"id": 1, "items": [ITEM], "note": None, "kind": "old", "more": 1}),
        ("POST", "/orders", {}, {"id": 1, "items": []}),
        ("POST", "/orders", {}, {"id": 1, "items": [{"sku": "ab"}]}),
        ("POST", "/orders", {}, {"id": 1, "items": [{"sku": "abc", "count": 0}]}),
        ("POST", "/orders", {}, {"items": [ITEM]}),
        ("POST", "/orders", {}, {"id": None, "items": [ITEM]}),
        ("POST", "/orders", {}, {"id": 1, "items": [ITEM], "kind": "other"}),
        ("POST", "/orders", {}, [1]),
    ],
)
def test_both_judge_alike(
    known: Operations[Checked], method: str, url: str, headers: dict[str, str], body: Any
) -> None:
    """What the application takes passes, and what it refuses is refused before it comes there."""
    expected = answered(method, url, headers, body).status_code
    assert status(known, method, url, headers, body) == expected
