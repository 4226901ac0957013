"""Pages of other origins, and what browsers are told to be strict about, in a proxy with real connections."""

from __future__ import annotations

import pytest

from meshctl.model.passing import Cors, SecurityHeaders
from meshctl.model.route import HeaderEdits, Match, PathMatch, Redirect, Respond, Route, ValueMatch
from tests.conformance.wire import Message

from .passage import Passage, answer, request

APP = "https://app.example"
COOKIES = Cors((APP, "https://*.example.org"), credentials=True, expose=("x-total",))


def preflight(origin: str = APP, method: str = "PUT", *lines: str, path: str = "/") -> bytes:
    """What a browser asks first."""
    return request(path, f"Origin: {origin}", f"Access-Control-Request-Method: {method}", *lines, method="OPTIONS")


def told(message: Message) -> dict[str, bytes]:
    """What a message says about pages of other origins."""
    names = [name.decode() for name in message.names if name.startswith(b"access-control-")]
    return {name.removeprefix("access-control-"): message.get(name) or b"" for name in names}


@pytest.mark.parametrize("origin", [APP, "https://shop.example.org", "https://a.b.example.org"])
def test_a_page_that_may_read(passage: Passage, origin: str) -> None:
    """An allowed origin is told by its name that it may, in the place of whatever the service said."""
    passage.serve(cors=COOKIES)
    theirs = answer("Access-Control-Allow-Origin: *", "access-control-allow-credentials: false", "X-Total: 5")
    seen, got = passage.pass_through(request("/", f"Origin: {origin}"), theirs)
    assert told(got) == {
        "allow-origin": origin.encode(), "allow-credentials": b"true", "expose-headers": b"x-total",
    }  # fmt: skip
    assert (got.all("vary"), got.get("x-total")) == ([b"Origin"], b"5")
    assert seen.get("origin") == origin.encode()


@pytest.mark.parametrize(
    "origin",
    ["https://evil.example", "null", "http://app.example", "https://app.example:8443", "https://example.org",
     "https://app.example.evil.example", "https://evil.example/.example.org", "https://x.example.org.evil.example"],
)  # fmt: skip
def test_a_page_that_may_not(passage: Passage, origin: str) -> None:
    """Others are told nothing, so that their browser keeps the answer from them; its preflight is refused by name."""
    passage.serve(cors=COOKIES)
    _, got = passage.pass_through(request("/", f"Origin: {origin}"), answer("Access-Control-Allow-Origin: *"))
    assert (got.status, told(got), got.all("vary")) == (200, {}, [b"Origin"])
    refused = passage.refuse(preflight(origin))
    assert (refused.status, told(refused), refused.get("x-meshctl-reason")) == (403, {}, b"cors_refused")


def test_whoever_is_no_page(passage: Passage) -> None:
    """A request without Origin passes, and caches learn that the next one's answer may differ."""
    passage.serve(cors=COOKIES)
    _, got = passage.pass_through(request(), answer("Vary: Accept"))
    assert (told(got), got.all("vary")) == ({}, [b"Accept", b"Origin"])


def test_everybody(passage: Passage) -> None:
    """What everybody may read says so to everybody alike, and depends on nobody."""
    passage.serve(cors=Cors(("*",)))
    for lines in ((), (f"Origin: {APP}",)):
        _, got = passage.pass_through(request("/", *lines))
        assert (told(got), got.all("vary")) == ({"allow-origin": b"*"}, [])


def test_preflight_without_options(passage: Passage) -> None:
    """A preflight finds the route it asks about by that one's method and without the headers it cannot carry, and is
    answered although no route takes OPTIONS."""
    conditions = {"headers": (ValueMatch("x-tenant", "present"),), "cookies": (ValueMatch("id", "present"),)}
    read = Route("read", Match(methods=("GET",)), service="app")
    write = Route("write", Match(methods=("PUT", "PATCH"), **conditions), service="app", cors=COOKIES)  # type: ignore[arg-type]
    passage.serve(read, write)
    got = passage.refuse(preflight(APP, "PUT", "Access-Control-Request-Headers: x-tenant,authorization"))
    assert (got.status, got.body) == (204, b"")
    assert told(got) == {
        "allow-origin": APP.encode(), "allow-credentials": b"true", "expose-headers": b"x-total",
        "allow-methods": b"PUT, PATCH", "allow-headers": b"x-tenant,authorization",
    }  # fmt: skip
    vary = b", ".join(got.all("vary"))
    assert all(name in vary for name in (b"Origin", b"Request-Method", b"Request-Headers"))
    assert passage.refuse(preflight(APP, "GET")).status == 404
    assert passage.refuse(request("/", f"Origin: {APP}", method="OPTIONS")).status == 404


def test_preflight_in_full(passage: Passage) -> None:
    """What a route lists is what a preflight is told, for as long as it says."""
    cors = Cors(("*",), methods=("GET", "PURGE"), headers=("x-a", "x-b"), max_age=600.0)
    passage.serve(cors=cors)
    assert told(passage.refuse(preflight("https://any.example"))) == {
        "allow-origin": b"*", "allow-methods": b"GET, PURGE", "allow-headers": b"x-a, x-b", "max-age": b"600",
    }  # fmt: skip


def test_options_that_is_none(passage: Passage) -> None:
    """An OPTIONS request of a page that asks for nothing first reaches the service, and its answer may be read."""
    passage.serve(cors=COOKIES)
    seen, got = passage.pass_through(request("/", f"Origin: {APP}", method="OPTIONS"), answer())
    assert (seen.method, told(got)["allow-origin"]) == (b"OPTIONS", APP.encode())


def test_refusals_can_be_read(passage: Passage) -> None:
    """A page may also read why it was refused, and what is answered without any service."""
    here = {"cors": COOKIES, "security_headers": SecurityHeaders()}
    passage.serve(
        Route("long", Match(path=PathMatch("prefix", "/long")), service="app", body_bytes=1, **here),  # type: ignore[arg-type]
        Route("away", Match(path=PathMatch("prefix", "/away")), redirect=Redirect(path="/"), **here),  # type: ignore[arg-type]
        Route("fixed", respond=Respond(body="x"), **here),  # type: ignore[arg-type]
    )
    for path, status in (("/long", 413), ("/away", 302), ("/", 200)):
        got = passage.refuse(request(path, f"Origin: {APP}", method="POST", body=b"xx"))
        assert (got.status, told(got)["allow-origin"], got.get("x-frame-options")) == (status, APP.encode(), b"DENY")


def test_security_headers(passage: Passage) -> None:
    """The preset replaces what the service says, gives way to the route's own edits, and keeps HTTPS to HTTPS."""
    headers = SecurityHeaders(frame="sameorigin", referrer="", content="default-src 'self'", hsts=60.0)
    passage.serve(security_headers=headers, response_headers=HeaderEdits(set=(("x-frame-options", "ours"),)))
    _, got = passage.pass_through(request(), answer("X-Frame-Options: theirs", "Referrer-Policy: origin"))
    found = ("x-frame-options", "x-content-type-options", "content-security-policy", "referrer-policy")
    assert [got.get(name) for name in found] == [b"ours", b"nosniff", b"default-src 'self'", b"origin"]
    assert got.get("strict-transport-security") is None
