"""Versions of an API, in a proxy with real connections: where each leads, what is refused, what is told of each."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from meshctl.config.files import decode_text
from meshctl.model.route import Route
from tests.conformance.wire import Message

from .passage import Passage, answer, request

TEXT = """\
[[routes]]
name = "orders"
path = "/orders"
service = "app"
api = "orders"
{route}
[[routes]]
name = "web"
path = "/"
service = "app"
[services.app.versions.v1]
endpoints = ["127.0.0.1:1"]
[api.orders]
{api}
[api.orders.versions.v1]
deprecated = 2026-01-01
sunset = 2026-06-30T12:00:00Z
link = "https://example.com/v1"
{v1}
[api.orders.versions.v2]
{v2}
"""
ENDS = {
    "deprecation": b"@1767225600",
    "sunset": b"Tue, 30 Jun 2026 12:00:00 GMT",
    "link": b'<https://example.com/v1>; rel="deprecation", <https://example.com/v1>; rel="sunset"',
}
VENDOR = 'by = { media_type = "application/vnd.shop.{version}+json" }'
PARAMETER = 'by = { media_type = "application/json;version={version}" }'


def routes(api: str, route: str = "", v1: str = "", v2: str = "") -> tuple[Route, ...]:
    """The routes of a file with these lines."""
    return decode_text(TEXT.format(api=api, route=route, v1=v1, v2=v2), folder=Path("/")).mesh.routes


def refused(got: Message) -> tuple[int, str]:
    """Status and reason of a refusal, which lists the versions there are."""
    said = json.loads(got.body)
    assert (said["api"], said["versions"]) == ("orders", ["v1", "v2"])
    assert (said["reason"].encode(), said["status"]) == (got.get("x-meshctl-reason"), got.status)
    return got.status, said["reason"]


def taken(passage: Passage, sent: bytes) -> tuple[str, str]:
    """What the service was asked for, and which version the client was told that it got: v1 is to go."""
    seen, got = passage.pass_through(sent)
    told = {name: got.get(name) for name in ENDS}
    assert told in (ENDS, dict.fromkeys(ENDS))
    return seen.target.decode(), "v1" if told == ENDS else "v2"


@pytest.mark.parametrize(
    ("api", "sent", "expected"),
    [
        ('default = "v2"', "/v1/orders/7?a=b", ("/v1/orders/7?a=b", "v1")),
        ('default = "v2"', "/v2/orders", ("/v2/orders", "v2")),
        ('default = "v2"', "/orders/7", ("/v2/orders/7", "v2")),
        ('default = "v2"\nstrip = true', "/v1/orders/7", ("/orders/7", "v1")),
        ('default = "v2"\nstrip = true', "/orders", ("/orders", "v2")),
        ('default = "v2"\nstrip = true', "/%76%31/orders/./7", ("/orders/7", "v1")),
        ('by = { path = "/api/{version}" }\ndefault = "v1"', "/api/orders/7", ("/api/v1/orders/7", "v1")),
        ('by = { path = "/api/{version}" }\nstrip = true', "/api/v2/orders/7", ("/api/orders/7", "v2")),
        # What is none of the API's goes where it went without it.
        ("", "/v9/other", ("/v9/other", "v2")),
        ("", "/v9.x/orders", ("/v9.x/orders", "v2")),
        ("", "/shop/orders", ("/shop/orders", "v2")),
        ("", "/x/v9/orders", ("/x/v9/orders", "v2")),
        ("", "/v1/ordersx", ("/v1/ordersx", "v2")),
    ],
)
def test_by_path(passage: Passage, api: str, sent: str, expected: tuple[str, str]) -> None:
    """A path leads to its version, with or without the version in what is forwarded, and to the default without one."""
    passage.serve(*routes(api))
    assert expected == taken(passage, request(sent))


@pytest.mark.parametrize(
    ("lines", "sent", "expected"),
    [
        ('by = { header = "x-api-version" }\ndefault = "v2"', "X-Api-Version: v1", "v1"),
        ('by = { header = "x-api-version" }\ndefault = "v2"', "X-API-VERSION: 1", "v1"),
        ('by = { header = "x-api-version" }\ndefault = "v2"', "X-Api-Version: v2", "v2"),
        ('by = { header = "x-api-version" }\ndefault = "1"', "X-Other: v2", "v1"),
        (f"{VENDOR}\ndefault = 'v2'", "Accept: application/vnd.shop.v1+json", "v1"),
        (f"{VENDOR}\ndefault = 'v2'", "accept: Application/vnd.Shop.V1+JSON ; charset=utf-8", "v1"),
        (f"{VENDOR}\ndefault = 'v2'", "Content-Type: application/vnd.shop.1+json", "v1"),
        (f"{VENDOR}\ndefault = 'v1'", "Accept: text/html, */*;q=0.8", "v1"),
        (f"{PARAMETER}\ndefault = 'v2'", 'Accept: application/json; version="1"', "v1"),
    ],
)
def test_by_a_field(passage: Passage, lines: str, sent: str, expected: str) -> None:
    """A header or a media type leads to its version, by any of its names, and to the default without one; caches are
    told what decided, beside what the service says."""
    passage.serve(*routes(lines, v1='aliases = ["1"]'))
    assert ("/orders", expected) == taken(passage, request("/orders", sent))
    _, got = passage.pass_through(request("/orders", sent), answer("Vary: Origin"))
    decides = b"x-api-version" if "header" in lines else b"Accept, Content-Type"
    assert got.all("vary") == [b"Origin", decides]


@pytest.mark.parametrize("sent", ["/orders?api-version=v1", "/orders?a&api-version=1&api-version=v2&b"])
def test_by_query(passage: Passage, sent: str) -> None:
    """A query parameter leads to its version, the first of several; the query goes on as it came."""
    passage.serve(*routes('by = { query = "api-version" }', v1='aliases = ["1"]'))
    seen, got = passage.pass_through(request(sent))
    assert (seen.target.decode(), got.get("deprecation")) == (sent, ENDS["deprecation"])
    # The whole target is a cache's key as it is (RFC 9111 §2).
    assert got.get("vary") is None


@pytest.mark.parametrize(
    ("api", "sent", "expected"),
    [
        ("", request("/v3/orders"), (404, "unknown_api_version")),
        ("", request("/v3.1/orders/7?x"), (404, "unknown_api_version")),
        ("", request("/orders/7"), (404, "api_version_missing")),
        ('by = { path = "/api/{version}" }', request("/api/v3/orders"), (404, "unknown_api_version")),
        ('by = { header = "x-v" }', request("/orders", "X-V: 3"), (404, "unknown_api_version")),
        ('by = { header = "x-v" }', request("/orders", "X-V: V1"), (404, "unknown_api_version")),
        ('by = { header = "x-v" }', request("/orders", "X-V:"), (404, "unknown_api_version")),
        ('by = { header = "x-v" }', request("/orders", "X-V: v1", "X-V: v2"), (404, "unknown_api_version")),
        ('by = { header = "x-v" }\ndefault = "v2"', request("/orders", "X-V: 3"), (404, "unknown_api_version")),
        ('by = { header = "x-v" }', request("/orders"), (400, "api_version_missing")),
        ('by = { query = "v" }', request("/orders?v=3"), (404, "unknown_api_version")),
        ('by = { query = "v" }', request("/orders?v=v1%00"), (404, "unknown_api_version")),
        ('by = { query = "v" }', request("/orders?w=v1"), (400, "api_version_missing")),
        (VENDOR, request("/orders", "Accept: application/vnd.shop.v3+json"), (406, "unknown_api_version")),
        (VENDOR, request("/orders", "Accept: */*"), (400, "api_version_missing")),
        (VENDOR, request("/orders", "Accept: " + '"' * 30_000), (400, "api_version_missing")),
    ],
)
def test_refusals(passage: Passage, api: str, sent: bytes, expected: tuple[int, str]) -> None:
    """A version that there is not, or none where one is needed, is refused with those there are; no service sees it,
    and the refusal says nothing of any version's end."""
    passage.serve(*routes(api))
    got = passage.refuse(sent)
    assert expected == refused(got)
    assert not {b"deprecation", b"sunset"} & got.names


def test_each_version_leads_where_it_says(passage: Passage) -> None:
    """A version's own prefix and version of the service hold for it alone, the route's for the others."""
    made = routes('default = "v2"', 'rewrite = { prefix = "/all" }', v1='prefix = "/old"\nversion = "v1"')
    assert [(each.name, each.version) for each in made[:2]] == [("orders.v1", "v1"), ("orders.v2", None)]
    passage.serve(*made)
    assert taken(passage, request("/v1/orders/7")) == ("/old/7", "v1")
    assert taken(passage, request("/v2/orders/7")) == ("/all/7", "v2")
    assert taken(passage, request("/orders")) == ("/all", "v2")


def test_patterns(passage: Passage) -> None:
    """A path with names has its version in front, and is forwarded with what the names stand for."""
    text = TEXT.replace('"/orders"', '"/orders/{{id}}/{{rest*}}"')
    config = text.format(api='default = "v2"\nstrip = true', route="", v1="", v2="")
    passage.serve(*decode_text(config, folder=Path("/")).mesh.routes)
    assert taken(passage, request("/v1/orders/7/a/b")) == ("/orders/7/a/b", "v1")
    assert taken(passage, request("/orders/7/a")) == ("/orders/7/a", "v2")
    assert refused(passage.refuse(request("/v3/orders/7/a"))) == (404, "unknown_api_version")


def test_what_the_service_says_of_its_end_gives_way(passage: Passage) -> None:
    """Deprecation and Sunset are what the file says; a service's Link stays beside it."""
    passage.serve(*routes('default = "v1"'))
    sent = answer("Deprecation: @1", "Sunset: Thu, 01 Jan 1970 00:00:00 GMT", 'Link: </x>; rel="next"')
    _, got = passage.pass_through(request("/orders"), sent)
    assert (got.get("deprecation"), got.get("sunset")) == (ENDS["deprecation"], ENDS["sunset"])
    assert got.all("link") == [b'</x>; rel="next"', ENDS["link"]]


@pytest.mark.parametrize(("end", "status"), [("2000-01-01", 410), ("9998-01-01", 200)])
def test_the_end(passage: Passage, end: str, status: int) -> None:
    """From its sunset on, and not before, a version is refused where that is enforced; and it says where to read on."""
    text = TEXT.replace("2026-01-01", "1999-01-01").replace("2026-06-30T12:00:00Z", end)
    config = text.format(api="enforce_sunset = true", route="", v1="", v2="")
    passage.serve(*decode_text(config, folder=Path("/")).mesh.routes)
    if status == 200:
        assert passage.pass_through(request("/v1/orders"))[1].status == 200
        return
    got = passage.refuse(request("/v1/orders"))
    said = json.loads(got.body)
    assert (got.status, said["reason"], said["version"]) == (410, "api_version_gone", "v1")
    assert said["link"] == "https://example.com/v1"
    assert got.get("sunset") == b"Sat, 01 Jan 2000 00:00:00 GMT"
    assert passage.pass_through(request("/v2/orders"))[1].status == 200


def test_pages_of_other_origins(passage: Passage) -> None:
    """A preflight finds the route though it has no header of a version, and a page may read why it was refused."""
    passage.serve(*routes('by = { header = "x-v" }', 'cors = { origins = ["https://app.example.com"] }'))
    lines = ("Origin: https://app.example.com", "Access-Control-Request-Method: GET")
    got = passage.refuse(request("/orders", *lines, "Access-Control-Request-Headers: x-v", method="OPTIONS"))
    assert (got.status, got.get("access-control-allow-headers")) == (204, b"x-v")
    got = passage.refuse(request("/orders", lines[0], "X-V: 9"))
    assert (got.status, got.get("access-control-allow-origin")) == (404, b"https://app.example.com")
