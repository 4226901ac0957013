"""What a wrapped app asks for outside the mesh: it gets it, or is told why not, and is counted in one place."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from meshctl.model.route import Match, Route
from meshctl.proxy.egress import MOST_HOSTS, Egress
from tests.conformance.conftest import free_port
from tests.conformance.refusals import read_refusal
from tests.conformance.upstream import OK, Upstream
from tests.conformance.wire import Wire

from .shop import Shop, opened
from .test_registry import Told


def ask(host: str, path: str = "/", method: str = "GET") -> bytes:
    """A request for a host, as clients send it to a proxy."""
    return f"{method} http://{host}{path} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()


def test_host_outside_the_mesh(app: Wire, shop: Shop, outside: Upstream) -> None:
    """A request for any other host goes there, as a path with the Host as it was asked for."""
    app.send(ask(f"127.0.0.1:{outside.port}", "/a?b"))
    _, request = outside.serve(OK)
    assert (request.target, request.get("host")) == (b"/a?b", b"127.0.0.1:%d" % outside.port)
    assert request.names == {b"host", b"via", b"x-request-id", b"traceparent"}
    assert app.read_response().body == b"ok"


def test_host_field_alone(app: Wire, outside: Upstream) -> None:
    """A host that only the Host field names is asked, too."""
    app.send(b"GET /a HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n\r\n" % outside.port)
    assert outside.serve(OK)[1].target == b"/a"
    assert app.read_response().body == b"ok"


def test_connections_are_used_again(app: Wire, shop: Shop, outside: Upstream) -> None:
    """The next request, of this client or another, takes the connection that is there."""
    app.send(ask(f"127.0.0.1:{outside.port}", "/1"))
    wire, _ = outside.serve(OK)
    assert app.read_response().body == b"ok"
    with shop.proxy.connect() as other:
        other.send(ask(f"127.0.0.1:{outside.port}", "/2"))
        assert wire.read_request().target == b"/2"
        wire.send(OK)
        assert other.read_response().body == b"ok"
    assert outside.is_untouched()


def test_connection_that_ended_meanwhile(app: Wire, outside: Upstream) -> None:
    """A kept connection that ends under a request that may be sent twice is replaced."""
    app.send(ask(f"127.0.0.1:{outside.port}", "/1"))
    wire, _ = outside.serve(OK)
    assert app.read_response().body == b"ok"
    app.send(ask(f"127.0.0.1:{outside.port}", "/2"))
    wire.read_request()
    wire.reset()
    assert outside.serve(OK)[1].target == b"/2"
    assert app.read_response().body == b"ok"


def test_name_with_two_families(app: Wire) -> None:
    """A name with addresses of both families is reached on the one that answers."""
    listening = Upstream("six")
    app.send(ask(f"localhost:{listening.port}"))
    assert listening.serve(OK)[1].target == b"/"
    assert app.read_response().body == b"ok"
    listening.forget()
    listening.listener.close()


@pytest.mark.skipif(not socket.has_ipv6, reason="this machine has no IPv6")
def test_address_of_the_sixth_version(app: Wire, shop: Shop) -> None:
    """An IPv6 address is asked as it is written, in brackets."""
    try:
        listener = socket.create_server(("::1", 0), family=socket.AF_INET6)
    except OSError:
        pytest.skip("this machine has no ::1")
    with listener:
        port = listener.getsockname()[1]
        app.send(ask(f"[::1]:{port}", "/six"))
        listener.settimeout(15)
        with Wire(listener.accept()[0]) as wire:
            request = wire.read_request()
            assert request.get("host") == b"[::1]:%d" % port
            wire.send(OK)
            assert app.read_response().body == b"ok"


def test_everything_outside_is_one_in_the_counts(app: Wire, shop: Shop, outside: Upstream) -> None:
    """What is asked outside is counted and logged under one route and service, and no label comes from a host."""
    before = shop.proxy.series("egress").requests
    app.send(ask(f"127.0.0.1:{outside.port}", "/counted"))
    outside.serve(OK)
    assert app.read_response().body == b"ok"
    app.send(ask(f"localhost:{outside.port}", "/counted"))
    outside.hear().read_request()
    app.close()
    sample = shop.proxy.sample()
    assert shop.proxy.series("egress").requests >= before + 1
    assert {(each.service, each.version) for each in sample.series if each.route == "egress"} == {("egress", "")}
    assert {each.service for each in sample.services} == {"orders", "web", "db", "egress"}
    line = shop.proxy.line(lambda line: line["path"] == "/counted")
    assert (line["route"], line["service"], line["host"]) == ("egress", "egress", "127.0.0.1")
    assert line["endpoint"] == f"127.0.0.1:{outside.port}"


def test_name_without_address(app: Wire) -> None:
    """A name that has no address is 502, and says which name."""
    app.send(ask("nowhere.invalid"))
    answer = read_refusal(app, 502, "egress_resolve")
    assert json.loads(answer.body)["detail"].startswith("nowhere.invalid: ")


@pytest.mark.parametrize("host", ["a" * 64 + ".example", "a..example", "%25", "!", "a%00b", "1.2.3.4.5", "999.1.1.1"])
def test_name_that_cannot_have_one(app: Wire, host: str) -> None:
    """What no name server could answer for is refused like a name without address."""
    app.send(ask(host))
    read_refusal(app, 502, "egress_resolve")


def test_nobody_listens(app: Wire) -> None:
    """A host that refuses the connection is 502, and says which."""
    port = free_port()
    app.send(ask(f"127.0.0.1:{port}"))
    answer = read_refusal(app, 502, "upstream_connect")
    assert json.loads(answer.body)["detail"] == f"127.0.0.1:{port}: Connection refused"


@pytest.mark.parametrize("host", ["127.0.0.1:0", "localhost:0"])
def test_port_zero(app: Wire, host: str) -> None:
    """There is no port 0."""
    app.send(ask(host))
    read_refusal(app, 400, "bad_host")


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "127.1", "0.0.0.0", "[::ffff:127.0.0.1]", "2130706433"])
@pytest.mark.parametrize("form", ["absolute", "origin"])
def test_request_to_the_proxy_itself(app: Wire, shop: Shop, host: str, form: str) -> None:
    """A request whose way leads back to where it came in is refused, however the address is written."""
    authority = f"{host}:{shop.proxy.ports['outbound']}"
    app.send(ask(authority) if form == "absolute" else f"GET / HTTP/1.1\r\nHost: {authority}\r\n\r\n".encode())
    read_refusal(app, 508, "loop")


def test_other_listeners_of_the_proxy_are_no_loop(app: Wire, shop: Shop) -> None:
    """The proxy's gateway is a host like others: it leads on, not back."""
    app.send(ask(f"127.0.0.1:{shop.proxy.ports['gateway']}", "/via"))
    _, request = shop.orders.serve(OK)
    assert request.get("via") == b"1.1 meshctl, 1.1 meshctl"
    assert app.read_response().body == b"ok"
    shop.orders.forget()


def test_more_hosts_than_are_kept(shop: Shop) -> None:
    """However many hosts are asked for, a bounded number is remembered."""
    with shop.proxy.connect() as app:
        for number in range(MOST_HOSTS + 50):
            app.send(ask(f"127.0.{number % 250}.{number // 250 + 1}:1", "/many"))
            read_refusal(app, 502, "upstream_connect")
    sample = shop.proxy.sample()
    assert len([each for each in sample.series if each.route == "egress"]) == 1
    assert sample.in_flight == 0


@pytest.fixture
def closed(tmp_path: Path) -> Iterator[Shop]:
    """A shop whose requests may not leave it."""
    with opened(tmp_path, egress="deny") as made:
        yield made


def test_egress_denied(closed: Shop, outside: Upstream) -> None:
    """Where the mesh says so nothing leaves it, and the refusal names the setting and the service that may have been
    meant; within the mesh all is as before."""
    with closed.proxy.connect() as app:
        app.send(ask(f"127.0.0.1:{outside.port}"))
        assert 'egress = "deny"' in json.loads(read_refusal(app, 403, "egress_denied").body)["detail"]
        app.send(ask("orderz"))
        assert 'did you mean "orders"?' in json.loads(read_refusal(app, 403, "egress_denied").body)["detail"]
        app.send(b"CONNECT 127.0.0.1:%d HTTP/1.1\r\nHost: x\r\n\r\n" % outside.port)
        read_refusal(app, 403, "egress_denied")
        app.send(ask("orders"))
        closed.orders.serve(OK)
        assert app.read_response().body == b"ok"
    assert outside.is_untouched()
    assert closed.proxy.series("egress").requests == 0


def test_setting_holds_from_the_next_request(tmp_path: Path, outside: Upstream) -> None:
    """A change of the setting is in force for the next request of an open connection, and a name that becomes a
    service's is one from then on."""
    with opened(tmp_path) as shop, shop.proxy.connect() as app:
        app.send(ask(f"127.0.0.1:{outside.port}"))
        outside.serve(OK)
        assert app.read_response().body == b"ok"
        to_address = Route("address", Match(hosts=("127.0.0.1",)), service="web", entry="outbound")
        shop.proxy.apply(msgspec.structs.replace(shop.mesh, egress="deny", routes=(*shop.mesh.routes, to_address)))
        app.send(ask(f"127.0.0.1:{outside.port}"))
        shop.web.serve(OK)
        assert app.read_response().body == b"ok"
        app.send(ask(f"localhost:{outside.port}"))
        read_refusal(app, 403, "egress_denied")


def test_no_route_on_a_port_for_one_service(shop: Shop) -> None:
    """Only the proxy setting leads out of the mesh: on other ports a request that no route takes is told so."""
    bare = msgspec.structs.replace(shop.mesh, routes=())
    shop.proxy.apply(bare)
    try:
        with shop.proxy.connect("upstream:orders") as client:
            client.send(ask("example.com"))
            answer = read_refusal(client, 404, "no_route")
            assert json.loads(answer.body)["detail"] == "no route takes GET / of host example.com"
    finally:
        shop.proxy.apply(shop.mesh)


def test_hosts_that_nobody_uses_are_dropped() -> None:
    """A host without connection and request is forgotten at the next look, one that is in use stays, and when none is
    left nobody looks any more; the host that is longest unused makes room for a new one."""
    told = Told()
    try:
        egress = Egress(told.worker)
        found = [egress.find("a.example", number) for number in range(1, MOST_HOSTS + 1)]
        assert all(each is not None for each in found)
        first, second, third = (each for each in found[:3] if each is not None)
        first.in_flight = 1
        assert egress.find("a.example", 2) is second
        assert egress.find("b.example", 80) is not None
        assert (first.retired, second.retired, third.retired) == (False, False, True)
        egress.sweep()
        assert repr(egress) == "<Egress 1 hosts>"
        assert egress.find("a.example", 1) is first
        first.in_flight = 0
        egress.sweep()
        assert repr(egress) == "<Egress 0 hosts>"
    finally:
        told.close()


def test_more_hosts_at_once_than_there_may_be() -> None:
    """Where every host there may be is in use, one more is refused instead of dropping any of them."""
    told = Told()
    try:
        egress = Egress(told.worker)
        for number in range(1, MOST_HOSTS + 1):
            host = egress.find("a.example", number)
            assert host is not None
            host.in_flight = 1
        assert egress.find("b.example", 80) is None
    finally:
        told.close()
