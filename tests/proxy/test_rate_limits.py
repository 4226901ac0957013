"""Rate limits and address lists, in a proxy with real connections: who is refused, what answers tell, who shares."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec
import pytest

from meshctl.model.api_key import StoredKey
from meshctl.model.auth import ApiKey, Auth, Need
from meshctl.model.limits import By, Quota, RateLimit, RateLimiting
from meshctl.model.policy import Retry
from meshctl.model.route import HeaderEdits, Match, PathMatch, Respond, Route
from meshctl.model.service import Endpoint, Service, Version
from meshctl.proxy.counted import shown
from meshctl.proxy.messages import Keyed
from tests.conformance.upstream import Upstream
from tests.conformance.wire import EndedEarly, Message

from .answerer import Answerer
from .lone_proxy import LoneProxy, mesh_of

HOUR = 3600.0
"""A window so long that no pause of the machine gives anything back."""


class Shop:
    """A proxy in front of one service."""

    def __init__(self, folder: Path) -> None:
        self.app = Answerer()
        self.service = Service("app", (Version("v1", (Endpoint("127.0.0.1", self.app.port),)),))
        self.proxy = LoneProxy(folder, mesh_of(self.service, routes=()), "gateway")
        self.mesh = self.proxy.mesh
        self._count = 0

    def serve(self, *limits: RateLimit, gateway: dict[str, Any] | None = None, **settings: Any) -> str:
        """Have it serve one route with these limits, and one without; the former's name."""
        self._count += 1
        # A name of its own: what was counted for the one before does not count.
        name = f"r{self._count}"
        ways = settings.pop("ways", ())
        action = settings.pop("action", {"service": "app", "retry": Retry(0)})
        routes = (
            Route("free", Match(path=PathMatch("prefix", "/free")), service="app"),
            Route(name, rate_limits=limits, **action, **settings),
        )
        mesh = mesh_of(self.service, routes=routes, auth=ways)
        self.mesh = msgspec.structs.replace(mesh, gateway=msgspec.structs.replace(mesh.gateway, **gateway or {}))
        self.proxy.apply(self.mesh)
        return name

    def ask(self, path: str = "/", *lines: str) -> Message:
        """The answer to a request."""
        with self.proxy.connect("gateway") as client:
            client.send("\r\n".join([f"GET {path} HTTP/1.1", "Host: a", *lines, "", ""]).encode())
            return client.read_response()

    def statuses(self, count: int, path: str = "/", *lines: str) -> list[int]:
        """The statuses of so many answers."""
        return [self.ask(path, *lines).status for _ in range(count)]


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """The proxy that these tests share."""
    made = Shop(tmp_path_factory.mktemp("shop"))
    yield made
    try:
        assert made.proxy.end() == []
    finally:
        made.app.close()


def test_one_too_many(shop: Shop) -> None:
    """As many as the burst pass and are told what is left; the next is refused with the limit's name, and when to come
    again, and reaches nobody; other routes know nothing of it."""
    name = shop.serve(RateLimit("per-client", 60, HOUR, 3))
    before = shop.app.requests
    told = [shop.ask() for _ in range(3)]
    assert [each.status for each in told] == [200] * 3
    left = [re.fullmatch(rb'"per-client";r=(\d);t=(\d+)', each.get("ratelimit") or b"") for each in told]
    assert [each and each[1] for each in left] == [b"2", b"1", b"0"]
    # A second that passes between them is one less.
    assert all(each and full - 30 <= int(each[2]) <= full for each, full in zip(left, (60, 120, 180), strict=True))
    assert {each.get("ratelimit-policy") for each in told} == {b'"per-client";q=60;w=3600'}
    refused = shop.ask()
    problem = json.loads(refused.body)
    assert (refused.status, problem["status"]) == (429, 429)
    assert {problem["reason"], (refused.get("x-meshctl-reason") or b"").decode()} == {"rate_limited:per-client"}
    after = int(refused.get("retry-after") or b"0")
    assert 30 <= after <= 60
    assert (refused.get("ratelimit"), refused.get("ratelimit-policy")) == (
        b'"per-client";r=0;t=%d' % after, b'"per-client";q=60;w=3600',
    )  # fmt: skip
    assert shop.app.requests == before + 3
    assert shop.ask("/free").get("ratelimit") is None
    assert shop.proxy.series(name).reasons == {"rate_limited:per-client": (0, 0, 0, 0, 1, 0)}
    assert shop.proxy.line(lambda line: line["route"] == name and line["status"] == 429)["reason"] == (
        "rate_limited:per-client"
    )


def test_the_rate(shop: Shop) -> None:
    """What was used up comes back with time."""
    shop.serve(RateLimit("fast", 20, 1.0, 1))
    assert shop.ask().status == 200
    shop.proxy.until(lambda: shop.ask().status == 200)


@pytest.mark.parametrize(
    ("by", "one", "other"),
    [
        (By("header", "x-tenant"), ["X-Tenant: a"], ["x-tenant: b"]),
        (By("cookie", "who"), ["Cookie: a=1; who=x"], ["Cookie: who=y"]),
        (By("header", "x-tenant"), ["X-Tenant: a"], []),
    ],
)
def test_whose_requests_are_counted_together(shop: Shop, by: By, one: list[str], other: list[str]) -> None:
    """Each key has a count of its own, and so have all requests without it together."""
    shop.serve(RateLimit("one", 1, HOUR, 1, by))
    assert shop.statuses(2, "/", *one) == [200, 429]
    assert shop.statuses(2, "/", *other) == [200, 429]
    assert shop.statuses(1, "/", *one) == [429]


def test_query(shop: Shop) -> None:
    """A query parameter may be the key."""
    shop.serve(RateLimit("one", 1, HOUR, 1, By("query", "q")))
    assert [shop.ask(path).status for path in ("/?q=1", "/?q=2", "/?q=1", "/", "/?z=1")] == [200, 200, 429, 200, 429]


@pytest.mark.parametrize("kind", ["header", "query", "cookie"])
def test_nobody_has_two_keys(shop: Shop, kind: str) -> None:
    """Who says the key twice, so that the limit and the service might each take another one, has no count of his own
    for each that he says."""
    shop.serve(RateLimit("one", 1, HOUR, 1, By(kind, "q")))  # type: ignore[arg-type]
    asked = {
        "header": lambda n: shop.ask("/", f"Q: {n}", "q: acme"),
        "query": lambda n: shop.ask(f"/?q={n}&%71=acme"),
        "cookie": lambda n: shop.ask("/", f"Cookie: q={n}; q=acme"),
    }
    assert [asked[kind](n).status for n in range(3)] == [200, 429, 429]


def test_clients_behind_trusted_proxies(shop: Shop) -> None:
    """What counts is the last address that no trusted proxy has; of IPv6 its network; nobody else is believed."""
    limit = RateLimit("one", 1, HOUR, 1)
    shop.serve(limit, gateway={"trusted_proxies": ("127.0.0.0/8", "10.0.0.0/8")})
    said = ["192.0.2.1", "192.0.2.2", "6.6.6.6, 192.0.2.1, 10.0.0.9", "2001:db8::1", "2001:db8::2:2", "2001:db8:1::1"]
    statuses = [shop.ask("/", f"X-Forwarded-For: {each}").status for each in said]
    assert statuses == [200, 200, 429, 200, 429, 200]
    shop.serve(limit)
    assert [shop.ask("/", f"X-Forwarded-For: {each}").status for each in said[:2]] == [200, 429]


def test_limits_of_callers(shop: Shop) -> None:
    """A limit by key counts each caller who is known by itself, and nobody who is not; one by address beside a password
    counts every try."""
    keys = [made_key(name) for name in ("acme", "globex")]
    shop.proxy.tell(Keyed(tuple(stored for _, stored in keys)))
    auth = Auth("partners", api_key=ApiKey())
    shop.serve(RateLimit("each", 2, HOUR, 2, By("key")), auth=Need(("partners",)), ways=(auth,))
    assert shop.statuses(2) == [401, 401]
    for text, _ in keys:
        assert shop.statuses(3, "/", f"x-api-key: {text}") == [200, 200, 429]
    shop.serve(RateLimit("tries", 2, HOUR, 2), auth=Need(("partners",)), ways=(auth,))
    assert shop.statuses(3, "/", "x-api-key: guess") == [401, 401, 429]


def made_key(owner: str) -> tuple[str, StoredKey]:
    """An API key, and what is stored of it."""
    text = f"mk_{owner}{'0' * 8}_{'x' * 43}"
    return text, StoredKey(f"mk_{owner}{'0' * 8}", sha256(text.encode()).digest(), owner)


def test_several_limits(shop: Shop) -> None:
    """A request must keep all limits, is told of each, and counts for none where it breaks one."""
    shop.serve(RateLimit("all", 4, HOUR, 4, By("route")), RateLimit("each", 2, HOUR, 2, By("header", "x-t")))
    first = shop.ask("/", "X-T: a")
    assert first.get("ratelimit-policy") == b'"all";q=4;w=3600, "each";q=2;w=3600'
    assert first.get("ratelimit") == b'"all";r=3;t=900, "each";r=1;t=1800'
    answers = [shop.ask("/", f"X-T: {each}") for each in "aaabbb"]
    reasons = [(each.get("x-meshctl-reason") or b"").decode().rpartition(":")[2] for each in answers]
    assert reasons == ["", "each", "each", "", "", "all"]


def test_without_headers(shop: Shop) -> None:
    """Answers tell nothing where that is configured, but refusals still say when to come again."""
    shop.serve(RateLimit("one", 1, HOUR, 1), gateway={"rate_limit": RateLimiting(headers=False)})
    passed, refused = shop.ask(), shop.ask()
    assert (passed.get("ratelimit"), refused.get("ratelimit"), refused.get("ratelimit-policy")) == (None, None, None)
    assert refused.status == 429
    assert HOUR - 60 <= int(refused.get("retry-after") or b"0") <= HOUR


def test_answers_that_are_edited_or_our_own(shop: Shop) -> None:
    """What is left is also told where the route edits answers, or gives a fixed one."""
    limit = RateLimit("one", 9, HOUR, 9)
    shop.serve(limit, response_headers=HeaderEdits(set=(("x-a", "b"),)))
    edited = shop.ask()
    assert (edited.get("x-a"), edited.get("ratelimit")) == (b"b", b'"one";r=8;t=400')
    shop.serve(limit, action={"respond": Respond(body="hello")})
    fixed = shop.ask()
    assert (fixed.body, fixed.get("ratelimit")) == (b"hello", b'"one";r=8;t=400')


def test_a_change_of_the_configuration(shop: Shop) -> None:
    """What was counted stays counted when the same limit is applied again, and when its numbers change."""
    name = shop.serve(RateLimit("one", 2, HOUR, 2))
    assert shop.statuses(2) == [200, 200]
    shop.proxy.apply(
        mesh_of(shop.service, routes=(Route(name, service="app", rate_limits=(RateLimit("one", 1, HOUR, 1),)),))
    )
    assert shop.statuses(1) == [429]


@pytest.mark.parametrize(
    ("allow", "deny", "client", "reason"),
    [
        ((), ("192.0.2.0/24",), "192.0.2.7", "denied:deny_addresses"),
        ((), ("192.0.2.0/24",), "198.51.100.1", ""),
        (("10.0.0.0/8", "2001:db8::/32"), (), "10.1.2.3", ""),
        (("10.0.0.0/8", "2001:db8::/32"), (), "2001:db8::7", ""),
        (("10.0.0.0/8",), (), "::ffff:10.1.2.3", ""),
        ((), ("10.0.0.0/8",), "::ffff:10.1.2.3", "denied:deny_addresses"),
        (("10.0.0.0/8",), (), "192.0.2.7", "denied:allow_addresses"),
        (("10.0.0.0/8",), ("10.1.0.0/16",), "10.1.2.3", "denied:deny_addresses"),
        (("10.0.0.0/8",), (), "no address", "denied:allow_addresses"),
        (("10.0.0.0/8",), (), "10.0.0.1%eth0", ""),
    ],
)
@pytest.mark.parametrize("of_gateway", [False, True])
def test_addresses(
    shop: Shop, allow: tuple[str, ...], deny: tuple[str, ...], client: str, reason: str, of_gateway: bool
) -> None:
    """Lists of a route and of the gateway let in and refuse, by the address behind trusted proxies; a refusal names the
    list."""
    lists = {"allow_addresses": allow, "deny_addresses": deny}
    gateway = {"trusted_proxies": ("127.0.0.0/8",)} | (lists if of_gateway else {})
    shop.serve(gateway=gateway, **({} if of_gateway else lists))
    answer = shop.ask("/", f"X-Forwarded-For: {client}")
    expected = reason.replace("denied:", "denied:gateway.") if of_gateway else reason
    assert (answer.get("x-meshctl-reason") or b"").decode() == expected
    assert answer.status == (403 if reason else 200)


def test_quotas(shop: Shop) -> None:
    """Each key has its quota, a request must keep rates and quotas, what it lacks of either it is told, and one that is
    refused costs nothing."""
    quotas = (Quota("each", 2, "day", By("header", "x-t")), Quota("all", 4, "month", By("route")))
    shop.serve(RateLimit("rate", 9, HOUR, 9), quotas=quotas)
    first = shop.ask("/", "X-T: a")
    assert first.all("ratelimit-policy") == [
        b'"rate";q=9;w=3600', b'"each";q=2;w=86400, "all";q=4;w=2592000',
    ]  # fmt: skip
    assert re.fullmatch(rb'"each";r=1;t=\d+, "all";r=3;t=\d+', first.all("ratelimit")[1])
    answers = [shop.ask("/", f"X-T: {each}") for each in "aaabcc"]
    reasons = [(each.get("x-meshctl-reason") or b"").decode() for each in answers]
    assert reasons == ["", "quota_exceeded:each", "quota_exceeded:each", "", "", "quota_exceeded:all"]
    assert answers[-1].status == 429
    assert 0 < int(answers[-1].get("retry-after") or 0) <= 31 * 86_400


@pytest.mark.parametrize(
    ("key", "by", "expected"),
    [
        ("203.0.113.7", By(), "203.0.113.7"),
        ("acme", By("header", "x-tenant"), "acme"),
        ("", By("header", "x-api-key"), ""),
        ("x" * 97, By("header", "x-tenant"), "sha256:"),
        ("a\x00b", By("query", "q"), "sha256:"),
        ("hunter2", By("header", "x-api-key"), "sha256:"),
        ("hunter2", By("query", "token"), "sha256:"),
        ("hunter2", By("cookie", "c"), "sha256:"),
    ],
)
def test_keys_that_are_written_down(key: str, by: By, expected: str) -> None:
    """A key is written down as it is, unless it is long, unreadable or a secret."""
    assert shown(key, by).startswith(expected)
    assert (key in shown(key, by)) == (not expected.startswith("sha256"))


@pytest.mark.parametrize("chunked", [False, True])
def test_answers_that_are_too_large(shop: Shop, chunked: bool) -> None:
    """An answer that says it is too large becomes a 502; one that does not say is cut where it is, so that nobody takes
    it for whole. What fits passes, and so does the answer to HEAD."""
    name = shop.serve(response_bytes=5)
    assert answered(shop, b"hello", chunked=chunked).body == b"hello"
    if chunked:
        with pytest.raises(EndedEarly):
            answered(shop, b"hello!", chunked=True)
        assert shop.proxy.line(lambda line: line["route"] == name and line["reason"])["status"] == 200
    else:
        refused = answered(shop, b"hello!", chunked=False)
        assert (refused.status, refused.get("x-meshctl-reason")) == (502, b"response_too_large")
        assert answered(shop, b"", chunked=False, length=99, method="HEAD").status == 200
    reason = shop.proxy.line(lambda line: line["route"] == name and line["reason"])["reason"]
    assert reason == ("response_cut" if chunked else "response_too_large")


@pytest.mark.parametrize("lines", [b"", b"Connection: upgrade\r\nUpgrade: x\r\n"], ids=["plain", "upgrade in vain"])
def test_bandwidth(shop: Shop, lines: bytes) -> None:
    """The body of an answer takes the time that the rate says, and comes whole."""
    shop.serve(bandwidth=20_000)
    began = time.monotonic()
    assert len(answered(shop, b"x" * 8_000, chunked=False, lines=lines).body) == 8_000
    # What is due is given away in steps of a fiftieth of a second.
    assert time.monotonic() - began >= 0.35


def answered(
    shop: Shop, body: bytes, *, chunked: bool, length: int | None = None, method: str = "GET", lines: bytes = b""
) -> Message:
    """The answer to a request where the service's is this."""
    app = Upstream("app")
    service = Service("app", (Version("v1", (Endpoint("127.0.0.1", app.port),)),))
    shop.proxy.apply(msgspec.structs.replace(shop.mesh, services=(service,)))
    framing = b"Transfer-Encoding: chunked" if chunked else b"Content-Length: %d" % (length or len(body))
    sent = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body) if chunked else body
    try:
        with shop.proxy.connect("gateway") as client:
            client.send(b"%b / HTTP/1.1\r\nHost: a\r\n%b\r\n" % (method.encode(), lines))
            app.serve(b"HTTP/1.1 200 OK\r\n%b\r\n\r\n%b" % (framing, sent))
            return client.read_response(method=method)
    finally:
        app.forget()
        app.listener.close()
