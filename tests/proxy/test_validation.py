"""Requests as an OpenAPI document or a JSON Schema has them, through a proxy with real connections."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from meshctl.config.files import load
from meshctl.core.instances import Schema
from meshctl.model.passing import Cors, JsonEdits
from meshctl.model.route import Route

from .passage import OK, Passage, request

JSON = "Content-Type: application/json"
API = """
openapi: 3.1.0
info: {title: Orders, version: "1"}
servers: [{url: /v1}]
paths:
  /orders:
    get:
      operationId: listOrders
      parameters:
        - {name: limit, in: query, schema: {type: integer, maximum: 10}}
        - {name: x-tenant, in: header, required: true, schema: {pattern: "^[a-z]+$"}}
    post:
      requestBody:
        required: true
        content:
          application/json: {schema: {$ref: "#/components/schemas/order"}}
          application/x-ndjson: {}
    delete:
      requestBody: {content: {application/json: {schema: {type: array}}}}
  /orders/{id}:
    parameters: [{name: id, in: path, required: true, schema: {type: integer}}]
    get: {}
components:
  schemas:
    order:
      type: object
      required: [sku]
      additionalProperties: false
      properties:
        id: {type: integer, readOnly: true}
        sku: {type: string, minLength: 3}
        count: {type: [integer, "null"], minimum: 1}
"""
SCHEMA = {"type": "object", "required": ["a"], "properties": {"a": {"type": "integer"}}}
GOOD = b'{"sku": "abc", "count": 2}'


def routes(folder: Path) -> tuple[Route, ...]:
    """The routes to the service: one that knows the document, one with a schema."""
    (folder / "api.yaml").write_text(API)
    (folder / "s.json").write_text(json.dumps(SCHEMA))
    (folder / "mesh.toml").write_text("""
[[routes]]
name = "api"
path = "/v1"
openapi = { document = "api.yaml", limit = "2000B" }
service = "app"
retry = { attempts = 0 }
[[routes]]
name = "schema"
path = "/schema"
request_schema = { file = "s.json", limit = "2000B" }
service = "app"
retry = { attempts = 0 }
[services.app]
endpoints = ["127.0.0.1:1"]
""")
    return load(folder / "mesh.toml").mesh.routes


@pytest.fixture(scope="module")
def passage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Passage]:
    """The proxy that these tests share."""
    folder = tmp_path_factory.mktemp("validation")
    made = Passage(folder)
    made.serve(*routes(folder))
    yield made
    made.close()


def post(body: bytes, *lines: str, path: str = "/v1/orders", method: str = "POST") -> bytes:
    """A request with this body."""
    return request(path, *(lines or (JSON,)), method=method, body=body)


def chunked(*pieces: bytes) -> bytes:
    """A body in chunks."""
    return b"".join(b"%x\r\n%b\r\n" % (len(each), each) for each in (*pieces, b""))


@pytest.mark.parametrize(
    "asked",
    [
        request("/v1/orders?limit=10&other=x", "X-Tenant: a"),
        request("/v1/orders", "X-Tenant: a", method="HEAD"),
        request("/v1/orders/7"),
        request("/v1/%6frders/7"),
        post(GOOD),
        post(b'{"sku": "abc", "count": null}', "Content-Type: Application/JSON; charset=utf-8"),
        post(b"any\nthing", "Content-Type: application/x-ndjson"),
        request("/v1/orders", method="DELETE"),
        post(b"[1]", method="DELETE"),
        post(b"anything", "Content-Type: text/plain", path="/v1/orders/7", method="GET"),
        request("/v1/orders", "Origin: https://a.example", "Access-Control-Request-Method: PUT", method="OPTIONS"),
        post(b'{"a": 1}', path="/schema"),
        post(b'{"a": 1}', "Content-Type: application/vnd.a+json", path="/schema", method="PATCH"),
        request("/schema"),
    ],
)
def test_what_passes(passage: Passage, asked: bytes) -> None:
    """What is as the document has it arrives as it was sent, and so does what the document says nothing of."""
    seen, got = passage.pass_through(asked)
    assert got.status == 200
    assert asked.endswith(b"\r\n\r\n" + seen.body)


@pytest.mark.parametrize(
    ("asked", "status", "reason", "errors"),
    [
        (request("/v1/none"), 404, "unknown_operation", None),
        (request("/v1/orders/7/x"), 404, "unknown_operation", None),
        (request("/v1/orders", method="PUT"), 405, "method_not_allowed", None),
        (request("/v1/orders", method="OPTIONS"), 405, "method_not_allowed", None),
        (request("/v1/orders/x"), 400, "invalid_request",
         [{"in": "path", "name": "id", "detail": "is not an integer"}]),
        (request("/v1/orders?limit=11"), 400, "invalid_request",
         [{"in": "query", "name": "limit", "detail": "is more than 10"},
          {"in": "header", "name": "x-tenant", "detail": "is missing"}]),
        (post(b'{"sku": "ab", "id": 1, "more": 2}'), 400, "invalid_request",
         [{"in": "body", "pointer": "#/id", "detail": "may not be sent"},
          {"in": "body", "pointer": "#/sku", "detail": "has less than 3 characters"},
          {"in": "body", "detail": 'has what is not known: "more"'}]),
        (request("/v1/orders", JSON, method="POST"), 400, "invalid_request",
         [{"in": "body", "detail": "is missing"}]),
        (post(b"{"), 400, "invalid_request", [{"in": "body", "detail": "is not JSON at line 1, column 2"}]),
        (post(b'{"sku":"abc","sku":"abd"}'), 400, "invalid_request",
         [{"in": "body", "detail": "has an object with a name twice"}]),
        (post(b"[" * 900 + b"]" * 900), 400, "invalid_request",
         [{"in": "body", "detail": "is nested more than 64 deep"}]),
        (post(b'{"sku": "\\ud800abc"}'), 400, "invalid_request",
         [{"in": "body", "detail": "has half of a surrogate pair, which is no character"}]),
        (post(b'{"sku": "abc", "count": 1e999}'), 400, "invalid_request",
         [{"in": "body", "detail": "has 1e999, which is too large a number"}]),
        (post(GOOD, JSON, "Content-Type: text/plain"), 415, "unsupported_media_type", None),
        (post(GOOD, JSON, "Content-Encoding: gzip", "Content-Encoding: identity"), 415, "unsupported_media_type", None),
        (post(b"1" * 1999), 400, "invalid_request", [{"in": "body", "detail": "is not an object"}]),
        (post(b" " * 2001), 413, "body_too_large", None),
        (post(GOOD, "Content-Type: text/plain"), 415, "unsupported_media_type", None),
        (post(GOOD, "X-A: 1"), 415, "unsupported_media_type", None),
        (post(GOOD, JSON, "Content-Encoding: gzip"), 415, "unsupported_media_type", None),
        (post(b'{"a": "x"}', path="/schema"), 400, "invalid_request",
         [{"in": "body", "pointer": "#/a", "detail": "is not an integer"}]),
        (request("/schema", JSON, method="PUT"), 400, "invalid_request", [{"in": "body", "detail": "is missing"}]),
        (post(b"a=1", "Content-Type: application/x-www-form-urlencoded", path="/schema"), 415,
         "unsupported_media_type", None),
        (post(b" " * 2001, path="/schema"), 413, "body_too_large", None),
    ],
)  # fmt: skip
def test_what_is_refused(passage: Passage, asked: bytes, status: int, reason: str, errors: Any) -> None:
    """Everything else goes nowhere, and the client learns what is wrong, and where."""
    got = passage.refuse(asked)
    assert (got.status, got.get("x-meshctl-reason")) == (status, reason.encode())
    found = json.loads(got.body)
    assert (found["status"], found["reason"]) == (status, reason)
    key = lambda each: json.dumps(each, sort_keys=True)  # noqa: E731
    assert sorted(found.get("errors", ()), key=key) == sorted(errors or (), key=key)


def test_fields_that_help(passage: Passage) -> None:
    """A refusal says which methods there are, and which media types."""
    assert passage.refuse(request("/v1/orders", method="PUT")).get("allow") == b"DELETE, GET, HEAD, POST"
    accepted = passage.refuse(post(GOOD, "Content-Type: text/plain")).get("accept")
    assert accepted == b"application/json, application/x-ndjson"
    assert passage.refuse(post(GOOD, JSON, "Content-Encoding: br")).get("accept-encoding") == b"identity"
    one = json.loads(passage.refuse(request("/v1/orders/x")).body)["detail"]
    assert one == 'path parameter "id" is not an integer'


def test_nothing_is_repeated(passage: Passage) -> None:
    """What was sent is not in the answer, whichever part of it was wrong."""
    body = json.dumps({"sku": 7, "count": "hunter2"}).encode()
    for asked in (
        post(body),
        request("/v1/orders?limit=hunter2", "X-Tenant: HUNTER2"),
        request("/v1/orders/x?hunter2"),
    ):
        assert b"hunter2" not in passage.refuse(asked).body.lower()


def test_pieces(passage: Passage) -> None:
    """A body that comes in pieces is looked at as a whole; who waits to send it is asked for it."""
    head = b"POST /v1/orders HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
    passage.app.forget()
    with passage.proxy.connect("gateway") as client:
        whole = head + b"Transfer-Encoding: chunked\r\n\r\n" + chunked(GOOD[:9], GOOD[9:])
        client.send(*(whole[at : at + 11] for at in range(0, len(whole), 11)))
        assert passage.app.serve(OK)[1].body == GOOD
        assert client.read_response().status == 200
    passage.app.forget()
    with passage.proxy.connect("gateway") as client:
        client.send(head + b"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n" % len(GOOD))
        assert client.read_head().status == 100
        client.send(GOOD)
        seen = passage.app.serve(OK)[1]
        assert (seen.body, seen.get("expect")) == (GOOD, None)
        assert client.read_response().status == 200
    empty = passage.refuse(head + b"Transfer-Encoding: chunked\r\n\r\n" + chunked())
    assert json.loads(empty.body)["errors"] == [{"in": "body", "detail": "is missing"}]
    bad = passage.refuse(head + b"Transfer-Encoding: chunked\r\n\r\n" + chunked(b'{"sku"', b":1}"))
    assert json.loads(bad.body)["errors"] == [{"in": "body", "pointer": "#/sku", "detail": "is not a string"}]
    long = passage.refuse(head + b"Transfer-Encoding: chunked\r\n\r\n" + chunked(*[b" " * 500] * 5))
    assert (long.status, long.get("x-meshctl-reason")) == (413, b"body_too_large")


def test_with_others(passage: Passage, tmp_path: Path) -> None:
    """What a client sent is judged, and then edited; what the proxy says itself a page may read."""
    schema = routes(tmp_path)[1]
    edits = JsonEdits(set=(("$.by", '"edge"'),))
    import msgspec

    cors = Cors(("https://a.example",))
    passage.serve(msgspec.structs.replace(schema, request_body=edits, cors=cors))
    try:
        seen, _ = passage.pass_through(post(b'{"a": 1}', path="/schema"))
        assert json.loads(seen.body) == {"a": 1, "by": "edge"}
        got = passage.refuse(post(b"{}", JSON, "Origin: https://a.example", path="/schema"))
        assert (got.status, got.get("access-control-allow-origin")) == (400, b"https://a.example")
    finally:
        passage.serve(*routes(tmp_path))


values = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 3) | st.text("abc", max_size=4),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["a", "sku", "count"]), inner),
    max_leaves=4,
)


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(values)
def test_as_the_schema_has_it(passage: Passage, value: Any) -> None:
    """A body passes exactly if it meets the schema."""
    body = json.dumps(value).encode()
    asked = post(body, path="/schema")
    if Schema(json.dumps(SCHEMA)).takes(value):
        assert passage.pass_through(asked)[0].body == body
    else:
        assert passage.refuse(asked).status == 400
