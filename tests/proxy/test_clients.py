"""Programs as they are, with a proxy setting in their environment: what they call within the mesh and outside arrives.

Each client that a machine does not have is skipped; those of Python are always there.
"""

from __future__ import annotations

import os
import shutil
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest

from meshctl.model.route import Match, Rewrite, Route
from meshctl.model.service import Endpoint, Service, Version
from tests.conformance.authority import Authority

from .lone_proxy import LoneProxy, mesh_of
from .shop import names

Run = Callable[..., str]


class Answering(BaseHTTPRequestHandler):
    """Says who it is, what was asked, and how long a body was."""

    protocol_version = "HTTP/1.1"
    said: ClassVar[dict[int, str]] = {}

    def do_GET(self) -> None:
        """The answer."""
        length = len(self.rfile.read(int(self.headers.get("Content-Length", 0))))
        name = self.said[self.server.server_address[1]]
        body = f"{name} {self.command} {self.path} host={self.headers['Host']} body={length}".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def serving(name: str, context: ssl.SSLContext | None = None) -> ThreadingHTTPServer:
    """A running HTTP server that calls itself `name`."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Answering)
    Answering.said[server.server_address[1]] = name
    if context is not None:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    return server


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Who vouches for the host outside."""
    return Authority(tmp_path_factory.mktemp("pki"), "outside")


@pytest.fixture(scope="module")
def hosts(authority: Authority) -> Iterator[dict[str, int]]:
    """Servers by name, with their ports: a service of the mesh, and hosts outside it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.issue("leaf", "127.0.0.1", "localhost"))
    servers = {"orders": serving("orders"), "plain": serving("plain"), "secure": serving("secure", context)}
    yield {name: int(server.server_address[1]) for name, server in servers.items()}
    for server in servers.values():
        server.shutdown()
        server.server_close()


@pytest.fixture(scope="module")
def proxy(hosts: dict[str, int], tmp_path_factory: pytest.TempPathFactory) -> Iterator[LoneProxy]:
    """The app's proxy."""
    service = Service("orders", (Version("v1", (Endpoint("127.0.0.1", hosts["orders"]),)),))
    routes = (
        Route("orders", Match(hosts=names("orders")), service="orders", entry="outbound"),
        Route("port", service="orders", entry="upstream:orders", rewrite=Rewrite(host="orders")),
    )
    running = LoneProxy(
        tmp_path_factory.mktemp("proxy"), mesh_of(service, routes=routes), "outbound", "upstream:orders"
    )
    yield running
    assert running.end() == []


@pytest.fixture(scope="module")
def run(proxy: LoneProxy, authority: Authority) -> Run:
    """Runs a program with the proxy in its environment; what it said."""
    url = proxy.url()
    environ = {
        **os.environ, "HTTP_PROXY": url, "http_proxy": url, "HTTPS_PROXY": url, "https_proxy": url, "NO_PROXY": "",
        "no_proxy": "", "NODE_EXTRA_CA_CERTS": str(authority.file),
        "SSL_CERT_FILE": str(authority.file), "CURL_CA_BUNDLE": str(authority.file),
    }  # fmt: skip

    def begin(*command: object, fails: bool = False, **settings: str) -> str:
        words = [str(word) for word in command]
        done = subprocess.run(words, env=environ | settings, capture_output=True, text=True, timeout=60, check=False)
        assert (done.returncode != 0) == fails, done.stdout + done.stderr
        return done.stdout + (done.stderr if fails else "")

    return begin


def program(name: str) -> str:
    """The path of a program; skips the test where there is none."""
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


# curl


def test_curl(run: Run, hosts: dict[str, int], tmp_path: Path) -> None:
    """curl reaches services by every name, posts to them, and reaches hosts outside in the clear and over TLS."""
    curl = program("curl")
    body = tmp_path / "body"
    body.write_bytes(bytes(3_000_000))
    assert run(curl, "-sS", "http://orders/a?b") == "orders GET /a?b host=orders body=0"
    assert run(curl, "-sS", "http://orders.mesh:8000/a") == "orders GET /a host=orders.mesh:8000 body=0"
    sent = run(curl, "-sS", "-T", body, "-X", "POST", "http://orders/up")
    assert sent == "orders POST /up host=orders body=3000000"
    assert run(curl, "-sS", f"http://127.0.0.1:{hosts['plain']}/p").startswith("plain GET /p ")
    assert run(curl, "-sS", f"https://localhost:{hosts['secure']}/s").startswith("secure GET /s ")


def test_curl_by_tunnel(run: Run) -> None:
    """curl that tunnels even plain requests (-p) reaches services, with more than one request in a tunnel."""
    curl = program("curl")
    said = run(curl, "-sS", "-p", "-w", "\\n", "http://orders/1", "http://orders/2").splitlines()
    assert said == [f"orders GET /{number} host=orders body=0" for number in (1, 2)]


def test_curl_by_tls_within_the_mesh(run: Run, proxy: LoneProxy) -> None:
    """https to a service fails with TLS's own words, and the proxy's log says how it is done."""
    # A tunnel of a test before may end only now, and have a line.
    proxy.until(lambda: proxy.sample().in_flight == 0)
    before = proxy.recorded()
    run(program("curl"), "-sS", "https://orders/", fails=True)
    (line,) = proxy.lines(before + 1)[before:]
    assert (line["reason"], line["host"]) == ("tls_inside_mesh", "orders")


def test_curl_on_a_port(run: Run, proxy: LoneProxy) -> None:
    """On a port for one service curl needs no proxy setting, and the service sees its own name."""
    url = proxy.url("upstream:orders")
    assert run(program("curl"), "-sS", "--noproxy", "*", f"{url}/x") == "orders GET /x host=orders body=0"


# Python


URLLIB = """
import sys, urllib.request
for url in sys.argv[1:]:
    print(urllib.request.urlopen(url).read().decode())
"""
HTTPX = """
import sys, httpx
with httpx.Client() as client:
    for url in sys.argv[1:]:
        print(client.get(url).text)
"""
AIOHTTP = """
import asyncio, sys, aiohttp
async def main():
    async with aiohttp.ClientSession(trust_env=True) as session:
        for url in sys.argv[1:]:
            async with session.get(url) as answer:
                print(await answer.text())
asyncio.run(main())
"""
WEBSOCKETS = """
import asyncio, sys, websockets
async def main():
    async with websockets.connect(sys.argv[1]) as socket:
        await socket.send("hello")
        print(await socket.recv())
asyncio.run(main())
"""


@pytest.mark.parametrize("code", [URLLIB, HTTPX, AIOHTTP], ids=["urllib", "httpx", "aiohttp"])
def test_python_clients(run: Run, hosts: dict[str, int], code: str) -> None:
    """Python's clients reach services and hosts outside, in the clear and over TLS, unchanged."""
    urls = ("http://orders/1", "http://orders.shop.mesh/2", f"http://127.0.0.1:{hosts['plain']}/3",
            f"https://localhost:{hosts['secure']}/4")  # fmt: skip
    said = run(sys.executable, "-c", code, *urls).splitlines()
    assert [" ".join(line.split()[:3]) for line in said] == [
        "orders GET /1", "orders GET /2", "plain GET /3", "secure GET /4",
    ]  # fmt: skip


def test_python_websocket(proxy: LoneProxy, run: Run) -> None:
    """A WebSocket client that takes the environment's proxy tunnels to the service, and speaks with it."""
    from websockets.sync.server import serve

    def echo(connection: object) -> None:
        for message in connection:  # type: ignore[attr-defined]
            connection.send(f"{message} back")  # type: ignore[attr-defined]

    with serve(echo, "127.0.0.1", 0) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        port = server.socket.getsockname()[1]
        before = proxy.mesh
        service = Service("orders", (Version("v1", (Endpoint("127.0.0.1", port),)),))
        proxy.apply(mesh_of(service, routes=before.routes))
        try:
            assert run(sys.executable, "-c", WEBSOCKETS, "ws://orders/socket") == "hello back\n"
        finally:
            proxy.apply(before)
            server.shutdown()
            thread.join()


# Node

NODE_ABSOLUTE = """
const http = require('http'), proxy = new URL(process.env.HTTP_PROXY), [url] = process.argv.slice(1)
http.get({host: proxy.hostname, port: proxy.port, path: url, headers: {Host: new URL(url).host}},
  answer => answer.on('data', piece => process.stdout.write(piece)))
"""
NODE_TUNNEL = """
const http = require('http'), proxy = new URL(process.env.HTTP_PROXY), [url] = process.argv.slice(1)
const {hostname, port, pathname} = new URL(url)
http.request({host: proxy.hostname, port: proxy.port, method: 'CONNECT', path: `${hostname}:${port || 80}`})
  .on('connect', (answer, socket) => {
    if (answer.statusCode !== 200) process.exit(1)
    http.get({createConnection: () => socket, host: hostname, path: pathname},
      answer => answer.on('data', piece => process.stdout.write(piece)).on('end', () => socket.end()))
  }).end()
"""
NODE_FETCH = "fetch(process.argv[1]).then(answer => answer.text()).then(text => process.stdout.write(text))"


@pytest.mark.parametrize("code", [NODE_ABSOLUTE, NODE_TUNNEL], ids=["absolute", "tunnel"])
def test_node(run: Run, hosts: dict[str, int], code: str) -> None:
    """Node's agents, those that send whole URLs and those that tunnel to everything (undici's ProxyAgent does), reach
    services and hosts outside."""
    node = program("node")
    assert run(node, "-e", code, "http://orders/n").startswith("orders GET /n host=orders")
    assert run(node, "-e", code, f"http://127.0.0.1:{hosts['plain']}/n").startswith("plain GET /n ")


def test_node_with_the_environment(run: Run, hosts: dict[str, int]) -> None:
    """`fetch` of a Node that takes the environment's proxy reaches services and hosts outside, over TLS as well."""
    node = program("node")
    version = tuple(map(int, run(node, "--version").strip().lstrip("v").split(".")))
    if not (version >= (24, 0) or (22, 21) <= version < (23, 0)):
        pytest.skip("this Node knows no NODE_USE_ENV_PROXY")
    use = {"NODE_USE_ENV_PROXY": "1"}
    assert run(node, "-e", NODE_FETCH, "http://orders/n", **use) == "orders GET /n host=orders body=0"
    assert run(node, "-e", NODE_FETCH, f"https://localhost:{hosts['secure']}/n", **use).startswith("secure GET /n ")


# openssl


def test_openssl(proxy: LoneProxy, hosts: dict[str, int], authority: Authority) -> None:
    """A TLS client that knows nothing of HTTP but CONNECT reaches a host outside, whose certificate it sees."""
    command = [program("openssl"), "s_client", "-proxy", f"127.0.0.1:{proxy.ports['outbound']}", "-connect",
               f"localhost:{hosts['secure']}", "-CAfile", str(authority.file), "-verify_return_error", "-quiet",
               "-ign_eof"]  # fmt: skip
    request = "GET /ssl HTTP/1.1\r\nHost: outside\r\nConnection: close\r\n\r\n"
    done = subprocess.run(command, input=request, capture_output=True, text=True, timeout=60, check=False)
    # Python's server ends without a word of TLS, which openssl complains of.
    assert "verify return:1" in done.stderr
    assert "secure GET /ssl host=outside" in done.stdout
