"""What a gateway tells: access log, metrics, probes, and to whom."""

from __future__ import annotations

import json
import shutil
import signal
import socket
import stat
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from .conftest import StartGateway, StartUpstreams
from .gateway import Gateway
from .servers import Upstreams
from .waiting import until


def configured(upstreams: Upstreams, tmp_path: Path, log: str) -> Path:
    """A mesh.toml with an access log."""
    file = tmp_path / "mesh.toml"
    file.write_text(f"""
        gateway = {{ listen = ["127.0.0.1:0"], workers = 2, access_log = {log} }}
        routes = [{{ name = "all", service = "s" }}]
        services.s.endpoints = ["{upstreams.address("a")}"]
    """)
    return file


def test_the_access_log_keeps_secrets(
    upstreams: Upstreams, start_gateway: StartGateway, tmp_path: Path, http: httpx.Client
) -> None:
    """Each request is one line of valid JSON with what happened; query strings, Authorization, cookies are nowhere."""
    log = tmp_path / "access.log"
    gateway = start_gateway("-c", configured(upstreams, tmp_path, f'"{log}"'), listen="")
    headers = {"Authorization": "Bearer hunter2", "Cookie": "session=hunter3", "User-Agent": 'quoted " agent'}
    assert http.post(f"{gateway.url}/pay?card=hunter4", content=b"12345", headers=headers).status_code == 200
    with socket.create_connection(("127.0.0.1", gateway.port)) as raw:
        raw.sendall(b"GET /\x01 HTTP/1.1\r\nHost: x\r\n\r\n")
        assert raw.recv(100).startswith(b"HTTP/1.1 400")
    lines = until(lambda: (text := log.read_text()).count("\n") == 2 and text.splitlines(), "two lines")
    assert "hunter" not in log.read_text()
    # A line is written when its exchange has ended on both sides, so the later request may come first.
    paid, broken = sorted(map(json.loads, lines), key=lambda line: int(line["status"]))
    expected = {"method": "POST", "path": "/pay?…", "status": 200, "route": "all", "service": "s", "bytes_in": 5,
                "endpoint": upstreams.address("a"), "client": "127.0.0.1", "user_agent": 'quoted " agent'}  # fmt: skip
    assert {name: paid[name] for name in expected} == expected
    assert paid["duration_ms"] >= paid["upstream_ms"] > 0
    assert (broken["status"], broken["route"]) == (400, "")
    assert broken["reason"]


def test_no_line_is_lost(upstreams: Upstreams, start_gateway: StartGateway, tmp_path: Path, http: httpx.Client) -> None:
    """Rotated by SIGHUP half-way and stopped at the end, the log's files together have one line for each request."""
    log = tmp_path / "access.log"
    gateway = start_gateway("-c", configured(upstreams, tmp_path, f'"{log}"'), listen="")
    for number in range(300):
        with_new = httpx.get(f"{gateway.url}/{number}", trust_env=False, timeout=30) if number % 10 == 0 else http.get(
            f"{gateway.url}/{number}")  # fmt: skip
        assert with_new.status_code == 200
        if number == 150:
            log.rename(tmp_path / "access.log.1")
            gateway.process.send_signal(signal.SIGHUP)
            until(log.exists, "the new file")
    gateway.check()
    lines = [json.loads(line) for path in (tmp_path / "access.log.1", log) for line in path.read_text().splitlines()]
    assert sorted(int(line["path"][1:]) for line in lines) == list(range(300))
    assert log.read_text()
    assert stat.S_IMODE(log.stat().st_mode) & 0o007 == 0


def test_the_text_log(upstreams: Upstreams, start_gateway: StartGateway, tmp_path: Path, http: httpx.Client) -> None:
    """`format = "text"` writes a line for people, with the query where `redact` is off."""
    config = configured(upstreams, tmp_path, '{ path = "stdout", format = "text", redact = false }')
    gateway = start_gateway("-c", config, listen="")
    assert http.get(f"{gateway.url}/x?y=1").status_code == 200
    line = until(lambda: (text := gateway.out.read_text()).endswith("\n") and text, "the line")
    assert '"GET /x?y=1 HTTP/1.1" 200 ' in line
    assert "route=all" in line


@pytest.mark.skipif(not shutil.which("promtool"), reason="promtool is absent")
def test_metrics_are_valid_and_bounded(
    upstreams: Upstreams, start_gateway: StartGateway, tmp_path: Path, http: httpx.Client
) -> None:
    """`promtool check metrics` has nothing to say after traffic; requests are counted by route and service; and nothing
    that a client sent is a label."""
    gateway = start_gateway("-c", configured(upstreams, tmp_path, '"off"'), listen="")
    for number in range(7):
        sent = {"host": f"evil{number}.example", "x-request-id": f"evil-{number}", "user-agent": "evil"}
        method, status = ("EVIL", 501) if number % 2 else ("GET", 200)
        assert http.request(method, f"{gateway.url}/evil/{number}", headers=sent).status_code == status
    metrics = http.get(f"{gateway.admin}/metrics")
    assert metrics.headers["content-type"].startswith("text/plain")
    assert "evil" not in metrics.text.lower()
    checked = subprocess.run(["promtool", "check", "metrics"], input=metrics.text, text=True, capture_output=True)
    assert (checked.returncode, checked.stdout + checked.stderr) == (0, "")

    def counted() -> float:
        lines = http.get(f"{gateway.admin}/metrics").text.splitlines()
        ours = [line for line in lines if line.startswith("meshctl_http_requests_total{")]
        of_all = [line for line in ours if 'route="all"' in line and 'service="s"' in line]
        return sum(float(line.rpartition(" ")[2]) for line in of_all)

    until(lambda: counted() == 4, "all to be counted")
    metrics = http.get(f"{gateway.admin}/metrics")
    before = len(metrics.text.splitlines())
    for number in range(50):
        http.get(f"{gateway.url}/more/{number}", headers={"host": f"more{number}.example"})
    assert len(http.get(f"{gateway.admin}/metrics").text.splitlines()) == before


def test_probes_tell_ready_from_alive(
    start_upstreams: StartUpstreams, start_gateway: StartGateway, http: httpx.Client
) -> None:
    """/healthz and /readyz answer 200; while the gateway finishes what is in flight it is alive and not ready."""
    server = start_upstreams("s")
    gateway = start_gateway("--route", f"/={server.url_of('s')}")
    assert http.get(f"{gateway.admin}/healthz").text == "ok\n"
    assert http.get(f"{gateway.admin}/readyz").text == "ready\n"
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(httpx.get, f"{gateway.url}/held/x", trust_env=False, timeout=30)
        until(lambda: server.control("s")["held"], "the request to arrive")
        gateway.process.send_signal(signal.SIGTERM)
        answer = until(lambda: (found := http.get(f"{gateway.admin}/readyz")).status_code == 503 and found, "draining")
        assert answer.text == "draining\n"
        assert http.get(f"{gateway.admin}/healthz").status_code == 200
        assert gateway.status()["state"] == "draining"
        server.control("s", release="x")
        assert asked.result(60).status_code == 200


def test_the_admin_port_answers_nobody_else(gateway: Gateway, http: httpx.Client) -> None:
    """Over TCP a foreign Host (DNS rebinding), pages of other origins and anything that is not reading are refused with
    403, and nothing is told of routes, services and callers; no answer can be taken for a page."""
    port = gateway.admin.rpartition(":")[2]
    for host in ("evil.example", f"evil.example:{port}", "localhost.evil.example", "127.0.0.1.evil.example"):
        assert http.get(f"{gateway.admin}/metrics", headers={"host": host}).status_code == 403, host
    for host in ("localhost", f"127.0.0.1:{port}", f"[::1]:{port}"):
        assert http.get(f"{gateway.admin}/metrics", headers={"host": host}).status_code == 200, host
    assert http.get(f"{gateway.admin}/metrics", headers={"origin": "http://localhost:3000"}).status_code == 403
    for path in ("status", "routes", "services", "stat", "mirrors", "plain", "api/callers", "synced?revision=1", "tap"):
        assert http.get(f"{gateway.admin}/v1/{path}").status_code == 404, path
    assert http.post(f"{gateway.admin}/v1/reopen").status_code == 403
    nowhere = http.get(f"{gateway.admin}/nowhere")
    assert (nowhere.status_code, nowhere.headers["x-content-type-options"]) == (404, "nosniff")
    assert nowhere.headers["connection"] == "close"


def test_the_home_is_private(gateway: Gateway) -> None:
    """Nobody else may enter the home; the admin socket, the database and the lock are their owner's alone."""
    modes = {path: stat.S_IMODE(path.lstat().st_mode) for path in (gateway.home, *gateway.home.rglob("*"))}
    assert all(mode & 0o077 == 0 for mode in modes.values()), modes
    assert modes[gateway.home] == 0o700
