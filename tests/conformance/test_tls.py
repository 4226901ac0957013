"""TLS at both ends: which certificate a client sees, when a new one serves, and whom the gateway believes upstream."""

from __future__ import annotations

import os
import ssl
import threading
import warnings
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from .authority import Authority
from .conftest import Start
from .refusals import is_refused, read_refusal
from .running import Gateway
from .upstream import OK, Upstream
from .wire import PATIENCE, Wire


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """The authority everyone here believes."""
    return Authority(tmp_path_factory.mktemp("pki"), "authority")


@pytest.fixture(scope="module")
def plain() -> Iterator[Upstream]:
    """A service without TLS."""
    made = Upstream("plain")
    yield made
    made.forget()
    made.listener.close()


@pytest.fixture(scope="module")
def secure(start: Start, authority: Authority, plain: Upstream) -> Gateway:
    """A gateway with a TLS listener of two certificates."""
    pairs = [authority.issue("a", "a.test", "127.0.0.1"), authority.issue("b", "b.test", "*.b.test")]
    listed = ", ".join(f'{{ certificate = "{pair[0]}", key = "{pair[1]}" }}' for pair in pairs)
    return start(f"""
        [gateway]
        listen = ["127.0.0.1:0"]
        admin = "off"
        access_log = "off"
        tls = [{listed}]
        [[routes]]
        path = "/"
        service = "plain"
        retry = {{ attempts = 0 }}
        [services.plain]
        endpoints = ["127.0.0.1:{plain.port}"]
    """)


def trusting(authority: Authority) -> ssl.SSLContext:
    """What a client of the authority uses."""
    context = ssl.create_default_context(cafile=str(authority.file))
    context.set_alpn_protocols(["h2", "http/1.1"])
    return context


def shake(gateway: Gateway, context: ssl.SSLContext, name: str) -> Wire:
    """A client's TLS connection for a server called `name`."""
    end = gateway.connect().socket
    try:
        return Wire(context.wrap_socket(end, server_hostname=name))
    except BaseException:
        end.close()
        raise


def names_seen(gateway: Gateway, authority: Authority, name: str) -> set[str]:
    """The names in the certificate that a client asking for `name` gets, which must be a trusted one."""
    context = trusting(authority)
    context.check_hostname = False
    with shake(gateway, context, name) as wire:
        assert isinstance(wire.socket, ssl.SSLSocket)
        shown = wire.socket.getpeercert()
        assert shown
        return {str(each[1]) for each in shown["subjectAltName"]}


def test_requests_over_tls(secure: Gateway, authority: Authority, plain: Upstream) -> None:
    """Requests over TLS reach the service, which learns that they came by https; HTTP/1.1 is agreed on."""
    with shake(secure, trusting(authority), "a.test") as client:
        assert isinstance(client.socket, ssl.SSLSocket)
        assert client.socket.selected_alpn_protocol() == "http/1.1"
        assert client.socket.version() == "TLSv1.3"
        body = bytes(300_000)
        client.send(b"POST /x HTTP/1.1\r\nHost: a.test\r\nContent-Length: 300000\r\n\r\n", body)
        wire = plain.hear()
        request = wire.read_request()
        assert (request.body, request.get("x-forwarded-proto")) == (body, b"https")
        wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 300000\r\n\r\n" + body)
        assert client.read_response().body == body


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ("a.test", {"a.test", "127.0.0.1"}),
        ("b.test", {"b.test", "*.b.test"}),
        ("x.b.test", {"b.test", "*.b.test"}),
        ("X.B.TEST", {"b.test", "*.b.test"}),
        ("other.test", {"a.test", "127.0.0.1"}),
        ("127.0.0.1", {"a.test", "127.0.0.1"}),
    ],
)
def test_certificate_is_chosen_by_name(secure: Gateway, authority: Authority, asked: str, expected: set[str]) -> None:
    """A client gets the certificate for the name it asks for, and the first one for any other name or none."""
    assert names_seen(secure, authority, asked) == expected


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
def test_old_versions_are_refused(secure: Gateway, version: ssl.TLSVersion) -> None:
    """TLS before 1.2 is refused."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_ciphers("ALL:@SECLEVEL=0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = context.maximum_version = version
    with pytest.raises((ssl.SSLError, ConnectionResetError)):
        shake(secure, context, "a.test").close()


def test_plain_http_on_a_tls_listener(secure: Gateway) -> None:
    """Plain HTTP on a TLS listener is told that this is HTTPS."""
    with secure.connect() as client:
        client.send(b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n")
        is_refused(client, 400, "https_required")


def test_tls_on_a_listener_in_the_clear(client: Wire) -> None:
    """TLS where plain HTTP is spoken is told so, in words that a look at the wire shows."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    shaking = ssl.create_default_context().wrap_bio(incoming, outgoing, server_hostname="a.test")
    with pytest.raises(ssl.SSLWantReadError):
        shaking.do_handshake()
    client.send(outgoing.read())
    is_refused(client, 400, "http_required")


def test_handshake_that_does_not_come(start: Start, authority: Authority) -> None:
    """A client that does not shake hands is let go of."""
    certificate, key = authority.issue("hasty", "a.test")
    hasty = start(f"""
        [gateway]
        listen = ["127.0.0.1:0"]
        admin = "off"
        access_log = "off"
        timeouts = {{ handshake = "1s" }}
        tls = {{ certificate = "{certificate}", key = "{key}" }}
        [[routes]]
        path = "/"
        respond = {{ body = "fixed" }}
    """)
    with hasty.connect() as client:
        assert client.read_rest() == b""


def test_refusal_over_tls_can_be_read(secure: Gateway, authority: Authority) -> None:
    """A refusal over TLS arrives whole, and then the end."""
    with shake(secure, trusting(authority), "a.test") as client:
        client.send_on(b"GET / HTTP/1.1\r\nHost: a.test\r\nBroken\r\n\r\n" + bytes(100_000))
        read_refusal(client, 400, "bad_request")
        assert client.read_rest() == b""


def serving(gateway: Gateway, authority: Authority, name: str, expected: set[str]) -> bool:
    """Waits until clients get the certificate with these names."""
    for _ in range(int(PATIENCE / 0.1)):
        if names_seen(gateway, authority, name) == expected:
            return True
        threading.Event().wait(0.1)
    return False


def test_changed_files_serve(start: Start, authority: Authority, tmp_path: Path) -> None:
    """New certificate files serve without a restart; bad ones leave the old certificate, and are complained of; open
    connections go on."""
    own = Authority(tmp_path, "own")
    certificate, key = own.issue("c", "c.test", "one.test")
    running = start(f"""
        [gateway]
        listen = ["127.0.0.1:0"]
        admin = "off"
        access_log = "off"
        tls = {{ certificate = "{certificate}", key = "{key}" }}
        [[routes]]
        path = "/"
        respond = {{ body = "fixed" }}
    """)
    assert names_seen(running, own, "c.test") == {"c.test", "one.test"}
    with shake(running, trusting(own), "c.test") as client:
        other, other_key = own.issue("d", "c.test", "two.test")
        os.replace(other_key, key)
        os.replace(other, certificate)
        assert serving(running, own, "c.test", {"c.test", "two.test"})
        certificate.write_text("nonsense")
        seen = _waits(lambda: any("certificate_refused" in line for line in running.words))
        assert seen, running.words
        assert names_seen(running, own, "c.test") == {"c.test", "two.test"}
        fresh, fresh_key = own.issue("e", "c.test", "three.test")
        os.replace(fresh_key, key)
        os.replace(fresh, certificate)
        assert serving(running, own, "c.test", {"c.test", "three.test"})
        client.send(b"GET / HTTP/1.1\r\nHost: c.test\r\n\r\n")
        assert client.read_response().body == b"fixed"
    running.words.clear()


def _waits(happened: Callable[[], bool]) -> bool:
    for _ in range(int(PATIENCE / 0.1)):
        if happened():
            return True
        threading.Event().wait(0.1)
    return False


# towards services


class SecureUpstream(Upstream):
    """A scripted service that speaks TLS; a handshake that fails is noted instead."""

    def __init__(self, name: str, certificate: Path, key: Path) -> None:
        super().__init__(name)
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(certificate, key)
        self._context.sni_callback = self._note
        self._context.set_alpn_protocols(["http/1.1"])
        self.asked: list[str | None] = []

    def _note(self, _socket: ssl.SSLObject | ssl.SSLSocket, name: str | None, _context: ssl.SSLContext) -> None:
        self.asked.append(name)

    def accept(self) -> Wire:
        """The next connection of the gateway, after its handshake. Raises ssl.SSLError."""
        end, _ = self.listener.accept()
        end.settimeout(PATIENCE)
        try:
            wire = Wire(self._context.wrap_socket(end, server_side=True))
        except BaseException:
            end.close()
            raise
        self._accepted.append(wire)
        return wire


@pytest.fixture(scope="module")
def inner(authority: Authority) -> Iterator[SecureUpstream]:
    """An https service for the name inner.test."""
    made = SecureUpstream("inner", *authority.issue("inner", "inner.test", "127.0.0.1"))
    yield made
    for each in made._accepted:
        each.close()
    made.listener.close()


@pytest.fixture(scope="module")
def outward(
    start: Start, authority: Authority, inner: SecureUpstream, tmp_path_factory: pytest.TempPathFactory
) -> Gateway:
    """A gateway that reaches that service under different beliefs."""
    stranger = Authority(tmp_path_factory.mktemp("stranger"), "stranger")
    beliefs = {
        "good": f'ca = "{authority.file}", server_name = "inner.test"',
        "address": f'ca = "{authority.file}"',
        "name": f'ca = "{authority.file}", server_name = "other.test"',
        "ca": f'ca = "{stranger.file}", server_name = "inner.test"',
        "system": 'server_name = "inner.test"',
        "blind": "verify = false",
    }
    routes = "".join(
        f"""
        [[routes]]
        path = "/{name}"
        service = "{name}"
        retry = {{ attempts = 0 }}
        [services.{name}]
        endpoints = ["https://127.0.0.1:{inner.port}"]
        tls = {{ {belief} }}
        """
        for name, belief in beliefs.items()
    )
    return start('[gateway]\nadmin = "off"\naccess_log = "off"\n' + routes)


@pytest.mark.parametrize(("path", "name"), [("good", "inner.test"), ("address", None), ("blind", None)])
def test_https_service(outward: Gateway, inner: SecureUpstream, path: str, name: str | None) -> None:
    """A service whose certificate holds is spoken to over TLS, under the name it is verified by."""
    with outward.connect() as client:
        client.send(f"POST /{path} HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n".encode() + bytes(100_000))
        wire, request = inner.serve(OK)
        assert len(request.body) == 100_000
        assert inner.asked[-1] == name
        assert client.read_response().body == b"ok"
        client.send(f"GET /{path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        wire.read_request()
        wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 300000\r\n\r\n" + bytes(300_000))
        assert len(client.read_response().body) == 300_000


@pytest.mark.parametrize("path", ["name", "ca", "system"])
def test_https_service_that_is_not_believed(outward: Gateway, inner: SecureUpstream, path: str) -> None:
    """A certificate for another name, or of an unknown authority, is 502 with the reason, and no request is sent."""
    with outward.connect() as client:
        client.send(f"GET /{path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        try:
            wire = inner.accept()
        except (ssl.SSLError, ConnectionResetError):
            pass
        else:
            # With TLS 1.3 the server learns of it only when it reads.
            with pytest.raises((ssl.SSLError, ConnectionResetError)):
                assert wire.read_to_end() == b"never"
        answer = read_refusal(client, 502, "upstream_tls")
        assert b"certificate" in answer.body


class Answerer(BaseHTTPRequestHandler):
    """Answers each request on a connection of its own."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


@pytest.fixture
def answering(authority: Authority) -> Iterator[int]:
    """The port of an https service for the name inner.test that answers by itself."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.issue("answering", "inner.test"))
    with ThreadingHTTPServer(("127.0.0.1", 0), Answerer) as server:
        # In the thread of each connection: one that fails is told by nobody.
        server.handle_error = lambda _request, _client: None  # type: ignore[method-assign]
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


def test_authority_of_a_service_that_changes(
    start: Start, authority: Authority, answering: int, tmp_path: Path
) -> None:
    """Another file in the place of a service's CA is believed soon, by itself; one that is no certificate is told of,
    and whoever was believed before still is."""
    ca = Authority(tmp_path, "stranger").file
    running = start(f"""
        [gateway]
        admin = "off"
        access_log = "off"
        [[routes]]
        path = "/"
        service = "inner"
        retry = {{ attempts = 0 }}
        [services.inner]
        endpoints = ["https://127.0.0.1:{answering}"]
        tls = {{ ca = "{ca}", server_name = "inner.test" }}
    """)

    def status() -> int:
        with running.connect() as client:
            client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            return client.read_response().status

    assert status() == 502
    new = tmp_path / "new.pem"
    new.write_bytes(authority.file.read_bytes())
    os.replace(new, ca)
    assert _waits(lambda: status() == 200)
    ca.write_text("nonsense")
    seen = _waits(lambda: any("authority_refused" in line for line in running.words))
    assert seen, running.words
    assert status() == 200
    running.words.clear()


def test_plain_service_taken_for_https(start: Start, plain: Upstream) -> None:
    """A service that does not speak TLS where it should is 502 with the reason."""
    running = start(f"""
        [gateway]
        admin = "off"
        access_log = "off"
        [[routes]]
        path = "/"
        service = "plain"
        retry = {{ attempts = 0 }}
        [services.plain]
        endpoints = ["https://127.0.0.1:{plain.port}"]
    """)
    with running.connect() as client:
        client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        wire = plain.accept()
        wire.read_exactly(5)
        wire.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        read_refusal(client, 502, "upstream_tls")
        wire.read_rest()
