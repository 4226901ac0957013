"""Rules between services, kept by the sidecar of the one that is called: what is refused, what is only counted, and by
whom it was asked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack

import msgspec
import pytest

from meshctl.model.mesh import Access, Allow, Gateway, Mesh
from meshctl.model.policy import HealthCheck, Limit, Retry
from meshctl.model.route import Match, PathMatch, Respond, Route
from meshctl.model.service import Endpoint, Service, Version
from meshctl.model.views import ServiceView
from meshctl.observe.sample import DenialSample
from meshctl.wire.frames import refused_frame
from tests.conformance.refusals import read_refusal
from tests.conformance.upstream import OK, Upstream
from tests.conformance.wire import Wire

from .lone_proxy import LoneProxy
from .members import RAW, Authority, shake

STRICT, PERMISSIVE = "inbound/strict", "inbound/permissive"
RULES = (
    Allow("readers", ("web", "gateway"), ("orders",), methods=("GET",)),
    Allow("payers", ("web",), ("orders",), methods=("POST",), paths=(PathMatch("prefix", "/pay"),)),
)


def ruled(access: Access) -> Mesh:
    """A mesh whose "orders" answers by itself what the rules let in."""
    orders = Service("orders", health=HealthCheck(path="/healthz"))
    own = Route("own", respond=Respond(body="own"), entry="inbound")
    other = Route("other", Match(hosts=("other.test",)), respond=Respond(body="other"))
    return Mesh(
        trust_domain="shop.mesh", gateway=Gateway(admin="off"), routes=(own, other), services=(orders,), access=access
    )


@pytest.fixture(scope="module")
def sidecar(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LoneProxy]:
    """The sidecar of "orders"."""
    folder = tmp_path_factory.mktemp("sidecar")
    running = LoneProxy(folder, ruled(Access()), STRICT, PERMISSIVE, "gateway", identity=authority.identify("orders"))
    yield running
    assert running.end() == []


def call(sidecar: LoneProxy, authority: Authority, caller: str) -> Wire:
    """A connection of the service `caller`, or in the clear for ""."""
    if not caller:
        return sidecar.connect(PERMISSIVE)
    return shake(sidecar.ports[STRICT], authority.client(authority.service(caller)))


def send(client: Wire, method: str, path: str) -> None:
    """A request without a body."""
    length = "" if method in ("GET", "HEAD") else "Content-Length: 0\r\n"
    client.send(f"{method} {path} HTTP/1.1\r\nHost: orders\r\n{length}\r\n".encode())


def denials(sidecar: LoneProxy) -> Counter[tuple[str, str, bool]]:
    """What was denied so far, by rule and caller."""
    found = msgspec.msgpack.decode(sidecar.ask("denied"), type=list[DenialSample])
    assert tuple(found) == sidecar.sample().denials
    return Counter({(each.rule, each.caller, each.is_shadow): each.count for each in found})


ALLOWED = [("web", "GET", "/"), ("gateway", "GET", "/x"), ("web", "POST", "/pay"), ("web", "POST", "/pay/../pay")]
DENIED = [
    ("web", "POST", "/"),
    ("web", "POST", "/pay/../admin"),
    ("web", "POST", "/payx"),
    ("gateway", "POST", "/pay"),
    ("bank", "GET", "/"),
    ("", "GET", "/"),
    ("", "GET", "/healthz"),
    ("bank", "POST", "/healthz"),
]


@pytest.mark.parametrize(("caller", "method", "path"), ALLOWED)
def test_allowed(sidecar: LoneProxy, authority: Authority, caller: str, method: str, path: str) -> None:
    """What some rule allows reaches the app, and is not counted."""
    sidecar.apply(ruled(Access(rules=RULES)))
    before = denials(sidecar)
    with call(sidecar, authority, caller) as client:
        send(client, method, path)
        assert client.read_response().body == b"own"
    assert denials(sidecar) == before


@pytest.mark.parametrize(("caller", "method", "path"), DENIED)
def test_denied(sidecar: LoneProxy, authority: Authority, caller: str, method: str, path: str) -> None:
    """What no rule allows is 403 with the rule's name, by the path as it would be forwarded; the connection goes on; it
    is counted by the rule and the caller."""
    sidecar.apply(ruled(Access(rules=RULES)))
    before = denials(sidecar)
    with call(sidecar, authority, caller) as client:
        send(client, method, path)
        answer = read_refusal(client, 403, "denied:readers")
        assert (f'"{caller}"' if caller else "without identity").encode() in answer.body.replace(b"\\", b"")
        if caller == "web":
            send(client, "GET", "/")
            assert client.read_response().body == b"own"
    assert denials(sidecar) - before == {("readers", caller, False): 1}


@pytest.mark.parametrize(("caller", "method", "path"), DENIED)
def test_shadow(sidecar: LoneProxy, authority: Authority, caller: str, method: str, path: str) -> None:
    """With shadow rules nothing is refused: what would have been is counted."""
    sidecar.apply(ruled(Access(shadow=True, rules=RULES)))
    before = denials(sidecar)
    with call(sidecar, authority, caller) as client:
        send(client, method, path)
        assert client.read_response().body == b"own"
    assert denials(sidecar) - before == {("readers", caller, True): 1}


@pytest.mark.parametrize(("default", "status"), [("allow", 200), ("deny", 403)])
def test_default(sidecar: LoneProxy, authority: Authority, default: str, status: int) -> None:
    """Where no rule is about the service the default decides."""
    sidecar.apply(ruled(Access(default=default, rules=(Allow("far", ("web",), ("stock",)),))))  # type: ignore[arg-type]
    with call(sidecar, authority, "bank") as client:
        send(client, "GET", "/")
        answer = client.read_response()
        assert (answer.status, answer.get("x-meshctl-reason")) == (status, b"denied:default" if status == 403 else None)


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_members_may_ask_for_health(sidecar: LoneProxy, authority: Authority, method: str) -> None:
    """Every member may ask for the service's health where that is asked for, since it balances by the answer."""
    sidecar.apply(ruled(Access(default="deny")))
    with call(sidecar, authority, "bank") as client:
        send(client, method, "/healthz")
        assert client.read_response(method=method).status == 200
        send(client, method, "/healthz/")
        assert client.read_response(method=method).status == 403


def test_only_the_app_is_guarded(sidecar: LoneProxy) -> None:
    """The rules are about calls to the wrapped app; what the same proxy's other listeners serve is none."""
    sidecar.apply(ruled(Access(default="deny")))
    with sidecar.connect("gateway") as client:
        client.send(b"GET / HTTP/1.1\r\nHost: other.test\r\n\r\n")
        assert client.read_response().body == b"other"


def test_raw_connections_are_guarded(sidecar: LoneProxy, authority: Authority) -> None:
    """A caller of raw bytes whom no rule allows is told so in a frame."""
    sidecar.apply(ruled(Access(rules=(Allow("one", ("web",), ("orders",)),))))
    with shake(sidecar.ports[STRICT], authority.client(authority.service("bank"), RAW)) as client:
        expected = refused_frame("denied:one")
        assert client.read_exactly(len(expected)) == expected
        assert client.read_rest() == b""


def test_health_is_asked_past_the_limit(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> None:
    """An app that has as many requests as it may is busy, not sick: members may still ask for its health, and for
    nothing else."""
    app = Upstream("orders")
    version = Version("v1", (Endpoint("127.0.0.1", app.port),))
    services = (
        Service("orders", health=HealthCheck(path="/healthz")),
        Service("local:orders", (version,), limit=Limit(1, 0)),
    )
    mesh = Mesh(
        trust_domain="shop.mesh",
        gateway=Gateway(admin="off"),
        routes=(Route("own", service="local:orders", entry="inbound"),),
        services=services,
    )
    sidecar = LoneProxy(tmp_path_factory.mktemp("busy"), mesh, STRICT, identity=authority.identify("orders"))
    with ExitStack() as clients:
        busy, other, health = (clients.enter_context(call(sidecar, authority, "web")) for _ in range(3))
        send(busy, "GET", "/")
        app.hear().read_request()
        send(other, "GET", "/")
        read_refusal(other, 503, "limit_reached")
        send(health, "GET", "/healthz")
        wire = app.hear()
        assert wire.read_request().target == b"/healthz"
        wire.send(OK)
        assert health.read_response().status == 200
    app.forget()
    app.listener.close()
    assert sidecar.end() == []


def test_a_full_app_is_not_blamed(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Callers of an app that has as many requests as it may hear so from its sidecar, as often as they ask, and go on
    asking: their proxies neither eject it nor count it a failure."""
    app = Upstream("orders")
    own = Service("local:orders", (Version("v1", (Endpoint("127.0.0.1", app.port),)),), limit=Limit(1, 0))
    way_in = Route("own", service="local:orders", entry="inbound")
    basics = {"trust_domain": "shop.mesh", "gateway": Gateway(admin="off")}
    called = Mesh(**basics, routes=(way_in,), services=(Service("orders"), own))  # type: ignore[arg-type]
    folder = tmp_path_factory.mktemp("pair")
    (folder / "called").mkdir()
    (folder / "caller").mkdir()
    sidecar = LoneProxy(folder / "called", called, STRICT, identity=authority.identify("orders"))
    there = Version("v1", (Endpoint("127.0.0.1", sidecar.ports[STRICT], mesh=True),))
    calling = Mesh(
        **basics, routes=(Route("all", service="orders", retry=Retry(0)),), services=(Service("orders", (there,)),)
    )  # type: ignore[arg-type]
    caller = LoneProxy(folder / "caller", calling, "gateway", identity=authority.identify("gateway"))
    with caller.connect("gateway") as busy, caller.connect("gateway") as other:
        send(busy, "GET", "/")
        wire = app.hear()
        wire.read_request()
        for _ in range(12):
            send(other, "GET", "/")
            assert read_refusal(other, 503, "limit_reached").get("retry-after") == b"1"
        endpoint = msgspec.msgpack.decode(caller.ask("services"), type=list[ServiceView])[0].endpoints[0]
        assert (endpoint.failures, endpoint.state) == (0, "healthy")
        wire.send(OK)
        assert busy.read_response().status == 200
    app.forget()
    app.listener.close()
    assert caller.end() == []
    assert sidecar.end() == []
