"""Answers that are made of parts, in a proxy with real services."""

from __future__ import annotations

import json
import threading
import time
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import bcrypt
import msgspec
import pytest

from meshctl.core.assembly import whole_status
from meshctl.model.auth import Auth, Basic, Need
from meshctl.model.limits import RateLimit
from meshctl.model.mesh import Mesh
from meshctl.model.part import Part
from meshctl.model.passing import JsonEdits
from meshctl.model.policy import Breaker
from meshctl.model.route import HeaderEdits, Match, PathMatch, Rewrite, Route, ValueMatch
from meshctl.model.service import Endpoint, Service, Version
from meshctl.model.steering import Fault, Mirror, Steering
from meshctl.model.tracing import Span, Traced, Tracing
from tests.conformance.wire import PATIENCE, Message

from .lone_proxy import LoneProxy, mesh_of
from .passage import request
from .pieces import Piece, said

USER = Part("user", "users", "/users/{path.id}", group="")


def page_of(*parts: Part, **settings: Any) -> Route:
    """The route of a page made of these."""
    match = Match(path=PathMatch("template", "/page/{id}"), methods=("GET", "HEAD"))
    return Route("page", match, parts=parts, **settings)


class Page:
    """A proxy with one route, and the services that its parts may ask."""

    def __init__(self, folder: Path) -> None:
        self.users, self.orders = Piece("users"), Piece("orders")
        self.services = (
            Service("users", (Version("v1", (self.users.endpoint,)),)),
            Service("orders", (Version("v1", (self.orders.endpoint,)),)),
            Service("nobody"),
            Service("gone", (Version("v1", (Endpoint("127.0.0.1", 1),)),)),
        )
        self.proxy = LoneProxy(folder, mesh_of(*self.services, routes=()), "gateway")

    def serve(self, *parts: Part, services: tuple[Service, ...] = (), **settings: Any) -> None:
        """Have it serve a page made of these."""
        self.users.forget()
        self.orders.forget()
        self.proxy.apply(self.mesh(page_of(*parts, **settings), services=services))

    def mesh(self, *routes: Route, services: tuple[Service, ...] = (), **settings: Any) -> Mesh:
        """The routes, with these services or the usual ones."""
        return mesh_of(*(services or self.services), routes=routes, **settings)

    def get(self, target: str = "/page/7", *lines: str, method: str = "GET") -> Message:
        """What a client gets."""
        with self.proxy.connect("gateway") as client:
            client.send(request(target, *lines, method=method))
            return client.read_response(method=method)

    def line(self, got: Message, route: str = "page") -> dict[str, Any]:
        """The line about it, or about a part of it."""
        number = (got.get("x-request-id") or b"").decode()
        return self.proxy.line(lambda each: each["request_id"] == number and each["route"] == route)

    def close(self) -> None:
        """End all of it; the proxy must have had nothing to complain of."""
        try:
            assert self.proxy.end() == []
        finally:
            self.users.close()
            self.orders.close()


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """The proxy that these tests share."""
    made = Page(tmp_path_factory.mktemp("page"))
    yield made
    made.close()


def test_at_once(page: Page) -> None:
    """Parts that need nothing of each other are asked for at once: each is answered when the other has been asked, too.
    The result has their documents, and both are counted for their services."""
    page.serve(USER, Part("orders", "orders", "/orders?of={path.id}&page={query.page}", group="orders"))
    meeting = threading.Barrier(2, timeout=PATIENCE)

    def user() -> tuple[int, bytes]:
        meeting.wait()
        return said({"id": 7, "name": "é"})

    def orders() -> tuple[int, bytes]:
        meeting.wait()
        return said([1, {"a": 2}])

    page.users.answers["/users/7"] = user
    page.orders.answers["/orders"] = orders
    got = page.get("/page/7?page=2%263")
    assert (got.status, got.get("content-type"), got.get("x-meshctl-missing")) == (200, b"application/json", None)
    assert json.loads(got.body) == {"id": 7, "name": "é", "orders": [1, {"a": 2}]}
    assert page.orders.seen[0][0] == "/orders?of=7&page=2%263"
    assert page.line(got)["parts"] == {"user": "200", "orders": "200"}
    line = page.line(got, "page#orders")
    assert (line["service"], line["version"], line["status"]) == ("orders", "v1", 200)
    assert (page.proxy.series("page#user").requests, page.proxy.series("page").requests) == (1, 1)


def test_one_after_the_other(page: Page) -> None:
    """A part that needs a value of another is asked for when that is there, with the value as it was answered; what the
    value holds stays in its place."""
    cut = Part("user", "users", "/users/{path.id}", edits=JsonEdits(keep=("$.name",)), group="user")
    page.serve(
        Part("last", "orders", "/last/{part.first.id}", group="last"),
        Part("first", "orders", "/first/{part.user.key}?k={part.user.key}", group=""),
        cut,
    )
    page.users.answers["/users/7"] = said({"key": "a/../b?c&d", "name": "n"})
    page.orders.answers["/first/a%2F..%2Fb%3Fc%26d"] = said({"id": 5})
    got = page.get()
    assert [target for target, _ in page.orders.seen] == [
        "/first/a%2F..%2Fb%3Fc%26d?k=a%2F..%2Fb%3Fc%26d",
        "/last/5",
    ]
    assert json.loads(got.body) == {"id": 5, "user": {"name": "n"}, "last": {"name": "orders", "target": "/last/5"}}


FAILURES: list[tuple[str, dict[str, Any], int, str]] = [
    ("status", {"path": "/404"}, 404, "status_404"),
    ("error", {"path": "/500"}, 500, "status_500"),
    ("redirect", {"path": "/302"}, 302, "status_302"),
    ("no json", {"path": "/html"}, 502, "response_unreadable"),
    ("twice", {"path": "/twice"}, 502, "response_unreadable"),
    ("empty", {"path": "/empty"}, 502, "response_unreadable"),
    ("deep", {"path": "/deep"}, 502, "response_unreadable"),
    ("no object", {"path": "/list", "group": ""}, 502, "response_unreadable"),
    ("long", {"path": "/long", "edits": JsonEdits(limit=1000)}, 502, "response_too_large"),
    ("hangs up", {"path": "/cut"}, 502, "upstream_reset"),
    ("late", {"path": "/late", "timeout": 0.1}, 504, "part_timeout"),
    ("nobody", {"service": "nobody"}, 503, "no_endpoint"),
    ("gone", {"service": "gone"}, 502, "upstream_connect"),
    ("no value", {"path": "/{query.none}"}, 400, "part_value_missing"),
    ("no value there", {"path": "/{part.user.none}"}, 502, "part_value_missing"),
]


@pytest.mark.parametrize("need", ["required", "optional", "default"])
@pytest.mark.parametrize(("settings", "status", "why"), [each[1:] for each in FAILURES], ids=[e[0] for e in FAILURES])
def test_failures(page: Page, need: Any, settings: dict[str, Any], status: int, why: str) -> None:
    """Whatever a part fails by, it is named with why: in the refusal where it is needed, in a header where it is left
    out or its default stands in its place."""
    part = {"service": "orders", "path": "/", "group": "part"} | settings
    page.serve(USER, Part("part", need=need, default='["-"]' if part["group"] else '{"x": 1}', **part))
    for code in (404, 500, 302):
        page.orders.answers[f"/{code}"] = said({"error": "no"}, code)
    page.orders.answers |= {
        "/html": (200, b"<html>"),
        "/twice": (200, b'{"a":1,"a":2}'),
        "/empty": (204, b""),
        "/deep": (200, b'{"a":' * 65 + b"1" + b"}" * 65),
        "/list": said([1]),
        "/long": said("x" * 1001),
        "/cut": (0, b""),
        "/late": page.orders.hold,
    }
    got = page.get()
    page.orders.free.set()
    user = {"name": "users", "target": "/users/7"}
    if need == "required":
        assert got.status == whole_status(status)
        assert got.get("x-meshctl-reason") == b"part_failed:part"
        told = json.loads(got.body)
        assert (told["part"], told["part_reason"], told["status"]) == ("part", why, got.status)
        assert told["detail"].startswith('part "part": ')
        assert page.line(got)["reason"] == "part_failed:part"
    else:
        default = ({"part": ["-"]} if part["group"] else {"x": 1}) if need == "default" else {}
        assert (got.status, json.loads(got.body)) == (200, user | default)
        filled = ";default" if need == "default" else ""
        assert got.get("x-meshctl-missing") == f"part;reason={why}{filled}".encode()
        assert got.get("cache-control") == b"no-store"
    assert page.line(got)["parts"]["part"] == why


def test_waiting_is_told_on(page: Page) -> None:
    """Where a part says when to come again, the whole says so, too."""
    page.serve(USER)
    page.users.answers["/users/7"] = said({}, 503)
    got = page.get()
    assert (got.status, got.get("retry-after")) == (503, b"7")


def test_without_what_it_needs(page: Page) -> None:
    """A part that needs a value of one that is missing is missing as well; a default is as good as an answer."""
    page.serve(
        Part("gone", "gone", "/", need="optional", group="gone"),
        Part("after", "orders", "/{part.gone.id}", need="optional", group="after"),
        Part("made", "gone", "/", need="default", default='{"id": 3}', group="made"),
        Part("fine", "orders", "/{part.made.id}", group="fine"),
    )
    got = page.get()
    assert json.loads(got.body) == {"made": {"id": 3}, "fine": {"name": "orders", "target": "/3"}}
    assert (got.get("x-meshctl-missing") or b"").split(b", ") == [
        b"gone;reason=upstream_connect",
        b"after;reason=part_value_missing",
        b"made;reason=upstream_connect;default",
    ]


def test_the_time_of_the_whole(page: Page) -> None:
    """When the route's time is over the whole is answered with what is there, or refused where that is not enough."""
    late = Part("late", "orders", "/late", need="optional", group="late")
    page.serve(USER, late, Part("later", "orders", "/{part.late.id}", need="optional"), timeout=4.0)
    page.orders.answers["/late"] = page.orders.hold
    got = page.get()
    assert json.loads(got.body) == {"name": "users", "target": "/users/7"}
    assert got.get("x-meshctl-missing") == b"late;reason=route_timeout, later;reason=route_timeout"
    # Of the two only the late one is needed: a machine that stands still may take the time of both.
    page.serve(msgspec.structs.replace(USER, need="optional"), Part("late", "orders", "/late"), timeout=0.3)
    page.orders.answers["/late"] = page.orders.hold
    got = page.get()
    assert (got.status, got.get("x-meshctl-reason")) == (504, b"part_failed:late")


def test_a_client_that_leaves(page: Page) -> None:
    """When the client is gone, so is all that was asked for it."""
    page.serve(USER, Part("late", "orders", "/late"), Part("after", "users", "/{part.late.id}"))
    page.orders.answers["/late"] = page.orders.hold
    with page.proxy.connect("gateway") as client:
        client.send(request("/page/7", "X-Request-Id: leaves"))
        assert page.orders.held.wait(PATIENCE)
        page.proxy.line(lambda each: each["request_id"] == "leaves" and each["route"] == "page#user")
    whole = page.proxy.line(lambda each: each["request_id"] == "leaves" and each["route"] == "page")
    assert (whole["status"], whole["reason"]) == (499, "client_gone")
    assert whole["parts"] == {"user": "200", "late": "client_gone", "after": "client_gone"}
    part = page.proxy.line(lambda each: each["request_id"] == "leaves" and each["route"] == "page#late")
    assert (part["status"], part["reason"]) == (499, "client_gone")


def test_nobody_waits_in_vain(page: Page) -> None:
    """As soon as one that is needed has failed the whole is refused, and the others are called off."""
    page.serve(Part("late", "orders", "/late"), Part("user", "users", "/x"))
    page.orders.answers["/late"] = page.orders.hold

    def missing() -> tuple[int, bytes]:
        assert page.orders.held.wait(PATIENCE)
        return said({}, 404)

    page.users.answers["/x"] = missing
    got = page.get()
    assert (got.status, got.get("x-meshctl-reason")) == (404, b"part_failed:user")
    assert page.line(got)["parts"] == {"user": "status_404", "late": "part_called_off"}
    assert page.line(got, "page#late")["reason"] == "part_called_off"


def test_what_parts_are_told(page: Page) -> None:
    """A part gets of the client's headers those it is meant to, and what the route sets; who it is for, as ever."""
    edits = HeaderEdits(set=(("x-set", "on"), ("x-page", "{path.id}")), rename=(("x-old", "x-new"),))
    page.serve(
        USER,
        Part("orders", "orders", "/", headers=("authorization", "accept"), group="orders"),
        request_headers=edits,
        rewrite=Rewrite(host="inner.example"),
    )
    lines = ("Authorization: Bearer x", "Accept-Language: de", "Accept: text/html", "Cookie: a=b", "X-Set: off",
             "X-Old: o", "User-Agent: me", "Accept-Encoding: gzip", "Range: bytes=0-1", "traceparent: 00-" + "1" * 32
             + "-" + "2" * 16 + "-01")  # fmt: skip
    got = page.get("/page/7", *lines)
    ((_, user),) = page.users.seen
    ((_, orders),) = page.orders.seen
    for each in (user, orders):
        assert (each["x-set"], each["x-page"], each["x-new"], each["user-agent"]) == ("on", "7", "o", "me")
        assert (each["host"], each["x-forwarded-for"]) == ("inner.example", "127.0.0.1")
        assert each["x-request-id"] == (got.get("x-request-id") or b"").decode()
        assert each["traceparent"].split("-")[1] == "1" * 32
        assert not each.keys() & {"cookie", "x-old", "accept-encoding", "range"}
    assert (user["accept-language"], user["accept"], user.get("authorization")) == ("de", "application/json", None)
    assert (orders.get("accept-language"), orders["accept"], orders["authorization"]) == (None, "text/html", "Bearer x")


def test_who_calls(page: Page, tmp_path: Path) -> None:
    """Parts are told who calls, whatever headers they get; nobody else can say it to their services, on any route; and
    a claim is a value like others."""
    users = tmp_path / "users"
    users.write_text(f"a/b:{bcrypt.hashpw(b'secret', bcrypt.gensalt(4)).decode()}\n")
    way = Auth("staff", basic=Basic(str(users)), headers=(("x-user", "sub"),))
    known = Part("known", "users", "/by/{claim.sub}", headers=("authorization",), group="known")
    posing = Part("posing", "users", "/posing", headers=("x-user", "x_user"))
    page.serve()
    open_to_all = Route("open", Match(path=PathMatch("prefix", "/open")), parts=(posing,))
    page.proxy.apply(page.mesh(page_of(known, auth=Need(("staff",))), open_to_all, auth=(way,)))
    lies = ("X-User: root", "X_User: root")
    assert page.get("/page/7", *lies).status == 401
    assert page.users.seen == []
    credentials = b64encode(b"a/b:secret").decode()
    assert page.get("/page/7", f"Authorization: Basic {credentials}", *lies).status == 200
    ((target, fields),) = page.users.seen
    assert (target, fields["x-user"]) == ("/by/a%2Fb", "a/b")
    assert not fields.keys() & {"authorization", "x_user"}
    assert page.get("/open", *lies).status == 200
    assert not page.users.seen[-1][1].keys() & {"x-user", "x_user"}


def test_it_is_split_as_ever(page: Page) -> None:
    """A part's service is split by its weights, and by what the client asks for, though that does not go on."""
    match = Match(headers=(ValueMatch("x-beta", "present"),))
    beta = Version("v3", (page.orders.endpoint,), weight=0, match=match)
    split = Service("users", (Version("v1", (page.users.endpoint,)), Version("v2", (page.orders.endpoint,)), beta))
    page.serve(USER, services=(split,))
    found = {json.loads(page.get().body)["name"] for _ in range(60)}
    assert found == {"users", "orders"}
    page.serve(Part("user", "users", "/", version="v2"), services=(split,))
    assert {json.loads(page.get().body)["name"] for _ in range(20)} == {"orders"}
    page.serve(USER, services=(split,))
    got = page.get("/page/7", "X-Beta: 1")
    assert page.line(got, "page#user")["version"] == "v3"
    assert "x-beta" not in page.orders.seen[-1][1]


def test_a_breaker(page: Page) -> None:
    """What the breaker of a part's service refuses is named so."""
    guarded = Service("users", (Version("v1", (page.users.endpoint,)),), breaker=Breaker(failures=1, open=600.0))
    page.serve(Part("user", "users", "/x", need="optional"), services=(guarded,))
    page.users.answers["/x"] = said({}, 500)
    assert page.get().get("x-meshctl-missing") == b"user;reason=status_500"
    assert page.get().get("x-meshctl-missing") == b"user;reason=breaker_open"
    assert len(page.users.seen) == 1


def test_faults_and_mirrors(page: Page) -> None:
    """What is done to a service's requests on purpose is done to a part's, too."""
    page.serve(Part("user", "users", "/x", need="optional"))
    mesh = page.mesh(page_of(Part("user", "users", "/x", need="optional")))
    fault = Fault("users", until=time.time() + 600, abort=503, abort_share=1.0)
    page.proxy.apply(mesh, steering=Steering(faults=(fault,)))
    assert page.get().get("x-meshctl-missing") == b"user;reason=fault"
    assert page.users.seen == []
    page.proxy.apply(mesh, steering=Steering(mirrors=(Mirror("users", "v1", share=1.0, at=1.0),)))
    assert page.get().status == 200
    page.proxy.until(lambda: len(page.users.seen) == 2)
    assert [fields.get("x-meshctl-mirror") for _, fields in page.users.seen] == [None, "1"]


def test_traces(page: Page) -> None:
    """In a trace each part is a request of its own within the whole, named by its path as it is configured."""
    page.serve()
    tracing = Tracing("http://127.0.0.1:1", sample=1.0)
    page.proxy.apply(msgspec.structs.replace(page.mesh(page_of(USER)), tracing=tracing))
    trace = "1" * 32
    page.get("/page/7", f"traceparent: 00-{trace}-{'2' * 16}-01", "tracestate: a=1")
    told: list[Span] = []
    while len(told) < 3:
        told += page.proxy.told(Traced).spans
    (client,) = [span for span in told if not span.is_server]
    part, whole = sorted((span for span in told if span.is_server), key=lambda span: span.parent == "2" * 16)
    assert (whole.trace, whole.parent, whole.name) == (trace, "2" * 16, "GET /page/{id}")
    assert (part.trace, part.parent, part.name) == (trace, whole.id, "GET /users/{path.id}")
    assert (client.parent, client.is_server) == (part.id, False)
    ((_, fields),) = page.users.seen
    assert (fields["traceparent"], fields["tracestate"]) == (f"00-{trace}-{client.id}-01", "a=1")


def test_filters_are_for_the_whole(page: Page) -> None:
    """What the route does to answers it does to the whole, and a limit counts it once; HEAD asks for its parts, too."""
    page.serve(
        USER,
        Part("orders", "orders", "/", group="orders"),
        response_body=JsonEdits(remove=("$..target",)),
        response_headers=HeaderEdits(set=(("x-made", "here"),)),
        rate_limits=(RateLimit("few", 2, 3600.0, 2),),
    )
    got = page.get()
    assert json.loads(got.body) == {"name": "users", "orders": {"name": "orders"}}
    assert got.get("x-made") == b"here"
    got = page.get(method="HEAD")
    assert (got.status, got.body, len(page.orders.seen)) == (200, b"", 2)
    assert (page.get().status, len(page.orders.seen)) == (429, 2)
    page.serve(USER, response_bytes=10)
    assert page.get().get("x-meshctl-reason") == b"response_too_large"
    page.serve(USER, bandwidth=1_000_000)
    assert json.loads(page.get().body) == {"name": "users", "target": "/users/7"}


def test_one_connection(page: Page) -> None:
    """Requests that come together are answered in order, and a body that nobody asked for is read over."""
    page.serve(USER)
    with page.proxy.connect("gateway") as client:
        client.send(request("/page/1"), request("/page/2", body=b"x" * 100_000), request("/page/3"))
        targets = [json.loads(client.read_response().body)["target"] for _ in range(3)]
    assert targets == ["/users/1", "/users/2", "/users/3"]


def test_services_that_move(page: Page) -> None:
    """A change of a part's service holds from the next request on, though the route is the same."""
    page.serve(USER)
    assert json.loads(page.get().body)["name"] == "users"
    page.serve(USER, services=(Service("users", (Version("v1", (page.orders.endpoint,)),)),))
    assert json.loads(page.get().body)["name"] == "orders"
