"""Asking proxies over real Unix sockets: answers, errors, silence, slowness."""

from __future__ import annotations

import socketserver
import tempfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from threading import Event, Thread
from time import perf_counter

import pytest

from meshctl.control.client import ask, ask_all
from meshctl.errors import MeshError
from meshctl.model.views import ProxyRecord

PATIENCE = 60.0
"""Seconds for answers that come at once: a proxy gets two, in which a busy machine may stand still."""
PROBLEM = b'{"title": "not here", "detail": "there is no route \\"x\\"", "hint": "look", "code": "not_found"}'


class Admin(BaseHTTPRequestHandler):
    """Answers by path; /slow and /drip only when the test lets go."""

    protocol_version = "HTTP/1.1"
    let_go = Event()

    def do_GET(self) -> None:
        if self.path == "/slow":
            self.let_go.wait(PATIENCE)
        body = {"/long": b"x" * 3_000_000, "/gone": PROBLEM, "/odd": b"oops"}.get(self.path, self.path.encode())
        self.send_response({"/gone": 404, "/odd": 500}.get(self.path, 200))
        self.send_header("Content-Length", str(len(body) + (self.path == "/drip")))
        self.end_headers()
        self.wfile.write(body)
        if self.path == "/drip":
            self.wfile.flush()
            self.let_go.wait(PATIENCE)
            self.wfile.write(b".")

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class Server(socketserver.ThreadingUnixStreamServer):
    """Its sockets have no peer address, which the handler would print."""

    daemon_threads = True

    def get_request(self) -> tuple[object, object]:
        request, _ = super().get_request()
        return request, ("local", 0)

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that went away is what some tests are about."""


@pytest.fixture
def record() -> Iterator[ProxyRecord]:
    """A proxy whose admin socket answers."""
    with tempfile.TemporaryDirectory(prefix="mx-", dir="/tmp") as folder:
        path = str(Path(folder) / "a.sock")
        Admin.let_go.clear()
        with Server(path, Admin) as server:
            thread = Thread(target=server.serve_forever, args=(0.01,))
            thread.start()
            yield ProxyRecord("gateway-1", "gateway", 1, 0.0, socket=path)
            Admin.let_go.set()
            server.shutdown()
            thread.join()


def test_answers(record: ProxyRecord) -> None:
    """The body comes whole, whatever its length."""
    assert ask(record, "GET", "/v1/routes", timeout=PATIENCE) == b"/v1/routes"
    assert ask(record, "GET", "/long", timeout=PATIENCE) == b"x" * 3_000_000


def test_errors_keep_their_code_and_hint(record: ProxyRecord) -> None:
    """A problem document becomes the error it tells of; anything else names the status."""
    with pytest.raises(MeshError, match='proxy "gateway-1": there is no route "x"') as caught:
        ask(record, "GET", "/gone", timeout=PATIENCE)
    assert (caught.value.code, caught.value.hint) == ("not_found", "look")
    with pytest.raises(MeshError, match="answered with status 500"):
        ask(record, "GET", "/odd", timeout=PATIENCE)


@pytest.mark.parametrize("target", ["/slow", "/drip"])
def test_the_deadline_holds_for_the_whole(record: ProxyRecord, target: str) -> None:
    """A proxy that answers late, or never ends its answer, is given up in time and told of."""
    start = perf_counter()
    with pytest.raises(MeshError, match=r"did not answer within 0\.2 s") as caught:
        ask(record, "GET", target, timeout=0.2)
    assert caught.value.code == "proxy_unreachable"
    assert perf_counter() - start < 30


@pytest.mark.parametrize("make", [lambda path: None, lambda path: path.touch()], ids=["absent", "file"])
def test_nobody_listens(make: object, tmp_path: Path) -> None:
    """A socket that is not there, or is none, is an error that names the proxy."""
    path = tmp_path / "s"
    make(path)  # type: ignore[operator]
    with pytest.raises(MeshError, match='proxy "p"') as caught:
        ask(ProxyRecord("p", "gateway", 1, 0.0, socket=str(path)), "GET", "/")
    assert caught.value.code == "proxy_unreachable"


def test_asking_several(record: ProxyRecord, tmp_path: Path) -> None:
    """Answers come in the order of the proxies; one that fails does not hide the others."""
    dead = ProxyRecord("dead", "gateway", 1, 0.0, socket=str(tmp_path / "none"))
    answers = ask_all([record, dead, record], "/x", timeout=PATIENCE)
    assert [answer.body for answer in answers] == [b"/x", b"", b"/x"]
    assert [answer.error is None for answer in answers] == [True, False, True]
