"""The gateway's life as its users see it: real processes, real sockets, real signals."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest

from .conftest import Ended, Meshctl, command


class Service(BaseHTTPRequestHandler):
    """Answers every GET with its path."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        body = self.path.encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def service() -> Iterator[str]:
    """The URL of a running service."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Service) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


@pytest.fixture
def detached(meshctl: Meshctl) -> Iterator[Callable[..., Ended]]:
    """Starts a gateway in the background, on a free port; whatever happens it is stopped in the end."""

    def up(*arguments: object) -> Ended:
        return meshctl("gateway", "up", "--detach", "--listen", "127.0.0.1:0", *arguments)

    yield up
    meshctl("gateway", "down", "--timeout", "10")


def url_of(meshctl: Meshctl) -> str:
    """Where the running gateway listens."""
    (view,) = json.loads(meshctl("gateway", "status", "-o", "json").out)
    return str(view["listeners"][0]["url"])


def get(url: str, path: str) -> tuple[int, bytes]:
    """One GET without a proxy of the environment's in between."""
    parts = urlsplit(url)
    connection = HTTPConnection(parts.hostname or "", parts.port, timeout=60)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def test_up_needs_no_file(detached: Callable[..., Ended], meshctl: Meshctl, service: str) -> None:
    """One command and a route: traffic flows when it returns, and `down` ends it."""
    started = detached("--route", f"/={service}")
    assert started.status == 0, started.err
    assert started.out == ""
    url = url_of(meshctl)
    assert f"meshctl gateway ready  {url}" in started.err
    assert get(url, "/hello?x=1") == (200, b"/hello?x=1")
    ended = meshctl("gateway", "down")
    assert (ended.status, ended.out) == (0, "")
    assert meshctl("gateway", "down").status == 4
    with pytest.raises(ConnectionRefusedError):
        get(url, "/")


def test_a_second_gateway_says_so(
    detached: Callable[..., Ended], meshctl: Meshctl, process: Meshctl, service: str
) -> None:
    """Two gateways with one home: the second names the first and stops, the first goes on."""
    detached("--route", f"/={service}")
    second = process("gateway", "up", "--route", f"/={service}", "--listen", "127.0.0.1:0")
    assert second.status == 1
    assert "already runs" in second.err
    assert get(url_of(meshctl), "/still") == (200, b"/still")


def test_a_taken_port_is_told(process: Meshctl, service: str) -> None:
    """A port that somebody has ends the start with a message that names it, in both ways to start."""
    port = urlsplit(service).port
    for way in ([], ["--detach"]):
        ended = process("gateway", "up", "--route", f"/={service}", "--listen", f"127.0.0.1:{port}", *way)
        assert ended.status == 1
        assert str(port) in ended.err
        assert "Traceback" not in ended.err


def test_foreground_ends_with_ctrl_c(folder: Path, service: str) -> None:
    """In the foreground the gateway says when it is ready and where, and Ctrl-C ends it with 0."""
    arguments = command("gateway", "up", "--route", f"/={service}", "--listen", "127.0.0.1:0", "--admin", "off")
    gateway = subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    assert gateway.stderr is not None
    try:
        ready = next(line for line in gateway.stderr if "ready" in line)
        assert get(ready.split()[3], "/x") == (200, b"/x")
        gateway.send_signal(signal.SIGINT)
        rest = gateway.communicate(timeout=30)[1]
    finally:
        gateway.kill()
        gateway.communicate()
    assert gateway.returncode == 0
    assert "Traceback" not in rest


def test_routes_and_services(detached: Callable[..., Ended], meshctl: Meshctl, service: str) -> None:
    """The live routes, services and explanations are those of the running gateway, as tables and as documents."""
    detached("--route", f"/api={service}/v2", "--route", f"/={service}")
    ((answer),) = json.loads(meshctl("routes", "ls", "-o", "json").out)
    assert [route["name"] for route in answer["routes"]] == ["api", "root"] or len(answer["routes"]) == 2
    assert meshctl("routes", "ls").out.startswith("ROUTE")
    explained = meshctl("routes", "explain", "GET", "/api/orders", "-o", "json")
    view = json.loads(explained.out)
    assert explained.status == 0
    assert "/v2/orders" in view["forwarded"]
    assert view["losers"]
    name = view["target"].split()[1]
    assert "healthy" in meshctl("services", "show", name).out or "unknown" in meshctl("services", "show", name).out
    assert name in meshctl("services", "ls").out
    missing = meshctl("services", "show", name + "x")
    assert (missing.status, missing.out) == (4, "")
    assert f'did you mean "{name}"?' in missing.err


def test_explain_without_a_winner(detached: Callable[..., Ended], meshctl: Meshctl, service: str) -> None:
    """A request that no route takes ends with 4, and every loser has its reason, live as offline."""
    detached("--route", f"/api={service}")
    ended = meshctl("routes", "explain", "GET", "/elsewhere")
    assert ended.status == 4
    assert "no_route" in ended.out
    assert "/api" in ended.out


def test_reload_takes_the_file_again(
    detached: Callable[..., Ended], meshctl: Meshctl, folder: Path, service: str
) -> None:
    """`reload` applies what the file says now; a file that does not hold changes nothing."""
    file = folder / "mesh.toml"
    address = urlsplit(service).netloc
    text = f'[[routes]]\npath = "/old"\nservice = "web"\n\n[services.web]\nendpoints = ["{address}"]\n'
    file.write_text(text)
    assert detached().status == 0
    url = url_of(meshctl)
    assert get(url, "/old")[0] == 200
    file.write_text(text.replace("/old", "/new"))
    ended = meshctl("gateway", "reload", "--timeout", "60s")
    assert ended.status == 0
    assert "revision 2 is applied" in ended.err
    assert "accepted" in ended.err
    assert (get(url, "/old")[0], get(url, "/new")[0]) == (404, 200)
    file.write_text(text.replace('"web"', '"wbe"'))
    assert meshctl("gateway", "reload").status == 3
    assert get(url, "/new")[0] == 200


def test_logs_outlive_the_gateway(detached: Callable[..., Ended], meshctl: Meshctl, service: str) -> None:
    """The detached gateway's log can be read while it runs, and after it ended."""
    detached("--route", f"/={service}")
    get(url_of(meshctl), "/seen-in-the-log")
    meshctl("gateway", "down")
    assert "/seen-in-the-log" in meshctl("gateway", "logs", "-n", "100").out


def test_nothing_is_left_behind(detached: Callable[..., Ended], meshctl: Meshctl, service: str) -> None:
    """`down` ends the workers with their supervisor."""
    detached("--route", f"/={service}", "--workers", "2")
    (view,) = json.loads(meshctl("gateway", "status", "-o", "json").out)
    pids = [view["pid"], *(worker["pid"] for worker in view["workers"])]
    assert len(pids) == 3
    meshctl("gateway", "down")
    left = []
    for pid in pids:
        # It may end at any moment.
        with suppress(psutil.NoSuchProcess):
            left.append(psutil.Process(pid))
    gone, alive = psutil.wait_procs(left, timeout=60)
    assert alive == []
    assert os.getpid() not in pids
    assert len(gone) <= len(pids)
