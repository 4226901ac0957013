"""The life of a gateway: started, asked, reloaded, stopped, and what it leaves behind."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from .conftest import StartGateway, StartUpstreams
from .gateway import Gateway, is_alive, meshctl, meshctl_process
from .servers import Upstreams
from .waiting import until


def refused(home: Path, *arguments: object) -> tuple[int, str]:
    """How `gateway up` ends where it cannot begin, and what it says."""
    started = meshctl_process(home, "gateway", "up", *arguments, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL)
    said = started.communicate(timeout=60)[1].decode()
    return started.returncode, said


def connects(port: int) -> bool:
    """Whether anybody accepts on the port."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_port_0_is_chosen_and_told(upstreams: Upstreams, start_gateway: StartGateway, http: httpx.Client) -> None:
    """`--listen :0` takes a free port, prints it, says that it is open everywhere, and answers there over IPv4 and
    IPv6."""
    gateway = start_gateway("--route", f"/={upstreams.url_of('a')}", listen=":0")
    assert gateway.url == f"http://localhost:{gateway.port}"
    assert gateway.port > 0
    assert f"  {gateway.url} (every address)  (" in gateway.events()
    until(lambda: f"{gateway.url} (every address)\n" in gateway.meshctl("gateway", "status").out, "status to say so")
    hosts = ["127.0.0.1", "localhost", *(["[::1]"] if socket.has_dualstack_ipv6() else [])]
    assert {http.get(f"http://{host}:{gateway.port}/").status_code for host in hosts} == {200}


def test_how_to_stop_it(upstreams: Upstreams, tmp_path: Path) -> None:
    """What says how to stop a gateway names its home where it was named."""
    home = tmp_path / "a home"
    route = ("--route", f"/={upstreams.url_of('a')}", "--listen", "127.0.0.1:0")
    started = meshctl(home, "gateway", "up", *route, "--detach")
    assert (started.status, f"`meshctl --home '{home}' gateway down` stops it" in started.err) == (0, True), started.err
    assert meshctl(home, "gateway", "down", "--timeout", "60s").status == 0


def test_a_taken_port_names_its_holder(upstreams: Upstreams, start_gateway: StartGateway, tmp_path: Path) -> None:
    """`up` on a taken port ends with 1 and names the process that holds it: another program, or another gateway."""
    route = ("--route", f"/={upstreams.url_of('a')}")
    status, said = refused(tmp_path / "one", *route, "--listen", upstreams.address("b"))
    assert (status, f"(process {upstreams.process.pid}: " in said) == (1, True), said
    gateway = start_gateway(*route)
    status, said = refused(tmp_path / "two", *route, "--listen", f"127.0.0.1:{gateway.port}")
    assert status == 1
    # Not a worker, which would be started again.
    assert f"is taken by a meshctl gateway, perhaps of another home (process {gateway.pid})" in said


def test_a_second_gateway_in_one_home_stops(
    upstreams: Upstreams, start_gateway: StartGateway, http: httpx.Client
) -> None:
    """The second gateway of a home says which process is the first, ends with 1 and changes nothing."""
    gateway = start_gateway("--route", f"/={upstreams.url_of('a')}")
    status, said = refused(gateway.home, "--route", f"/={upstreams.url_of('b')}", "--listen", "127.0.0.1:0")
    assert status == 1
    assert f"already runs in {gateway.home} (process {gateway.pid})" in said
    assert gateway.status()["revision"] == 1
    assert http.get(gateway.url).json()["name"] == "a"


def test_of_two_that_start_together_one_runs(upstreams: Upstreams, tmp_path: Path) -> None:
    """Where two gateways are started in one home at the same moment, one serves what it was asked to, and the other
    says so and has no part in it."""
    both = [
        Gateway(
            tmp_path / "home", tmp_path / name, ["--route", f"/={upstreams.url_of(name)}", "--listen", "127.0.0.1:0"]
        )
        for name in ("a", "b")
    ]
    try:
        until(lambda: sum(each.process.poll() is None for each in both) == 1, "one of them to end")
        winner, loser = sorted(both, key=lambda each: each.process.poll() is not None)
        assert loser.process.returncode == 1
        assert "already runs in" in loser.events()
        assert httpx.get(winner.until_ready().url, trust_env=False, timeout=30).json()["name"] == winner.out.parent.name
        assert winner.status()["revision"] == 1
        winner.check()
    finally:
        for each in both:
            each.kill()


def test_a_detached_gateway(upstreams: Upstreams, tmp_path: Path, http: httpx.Client) -> None:
    """`up --detach` returns when it serves; `status`, `logs`, `reload` and `down` work; then nothing runs: exit 4."""
    home, file = tmp_path / "home", tmp_path / "mesh.toml"
    text = f"""
        gateway = {{ listen = ["127.0.0.1:0"], access_log = "{tmp_path}/access.log" }}
        routes = [{{ path = "/", service = "s" }}]
        services.s.endpoints = ["ENDPOINT"]
    """
    file.write_text(text.replace("ENDPOINT", upstreams.address("a")))
    up = meshctl(home, "gateway", "up", "-c", file, "--detach")
    assert up.status == 0, up.err
    try:
        (view,) = meshctl(home, "gateway", "status", "-o", "json").json()
        url = view["listeners"][0]["url"]
        assert url in up.err
        assert http.get(f"{url}/logged").json()["name"] == "a"

        file.write_text(text.replace("ENDPOINT", upstreams.address("b")))
        assert meshctl(home, "gateway", "reload", "--timeout", "60s").status == 0
        assert http.get(url).json()["name"] == "b"
        file.write_text(text.replace("ENDPOINT", "no endpoint"))
        broken = meshctl(home, "gateway", "reload")
        assert (broken.status, f"{file}:4:" in broken.err) == (3, True), broken.err
        assert http.get(url).json()["name"] == "b"

        until(lambda: "/logged" in meshctl(home, "gateway", "logs").out, "the access log to be shown")
    finally:
        down = meshctl(home, "gateway", "down")
    assert down.status == 0, down.err
    assert not is_alive(view["pid"])
    assert not connects(int(url.rpartition(":")[2]))
    for command in (("gateway", "down"), ("gateway", "status"), ("gateway", "reload"), ("routes", "ls")):
        assert meshctl(home, *command).status == 4, command


def test_ctrl_c_ends_everything(upstreams: Upstreams, start_gateway: StartGateway) -> None:
    """SIGINT to the whole process group, as a terminal sends it, ends supervisor and workers with status 0."""
    gateway = start_gateway("--route", f"/={upstreams.url_of('a')}", "--workers", "2")
    workers = gateway.workers()
    assert len(workers) == 2
    os.killpg(gateway.pid, signal.SIGINT)
    assert gateway.process.wait(60) == 0
    assert not any(map(is_alive, workers))
    assert not connects(gateway.port)
    assert gateway.meshctl("gateway", "status").status == 4


def test_what_is_in_flight_is_finished(
    start_upstreams: StartUpstreams, start_gateway: StartGateway, http: httpx.Client
) -> None:
    """On SIGTERM nothing new is accepted, the request in flight is answered with `Connection: close`, and the exit
    status is 0."""
    server = start_upstreams("s")
    gateway = start_gateway("--route", f"/={server.url_of('s')}")
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(http.get, f"{gateway.url}/held/x")
        until(lambda: server.control("s")["held"], "the request to arrive")
        gateway.process.send_signal(signal.SIGTERM)
        until(lambda: not connects(gateway.port), "the port to be closed")
        assert gateway.process.poll() is None
        server.control("s", release="x")
        answer = asked.result(60)
    assert (answer.text, answer.headers["connection"]) == ("s x", "close")
    assert gateway.process.wait(60) == 0
    assert [line["status"] for line in gateway.log()] == [200]


def test_a_second_ctrl_c_does_not_wait(
    start_upstreams: StartUpstreams, start_gateway: StartGateway, http: httpx.Client
) -> None:
    """Asked to end a second time, the gateway drops what is in flight and ends at once."""
    server = start_upstreams("s")
    gateway = start_gateway("--route", f"/={server.url_of('s')}")
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(http.get, f"{gateway.url}/held/x")
        until(lambda: server.control("s")["held"], "the request to arrive")
        os.killpg(gateway.pid, signal.SIGINT)
        until(lambda: not connects(gateway.port), "the port to be closed")
        os.killpg(gateway.pid, signal.SIGINT)
        with pytest.raises(httpx.TransportError):
            asked.result(60)
    assert gateway.process.wait(60) == 0


def test_a_killed_supervisor_leaves_no_trace(
    start_upstreams: StartUpstreams, start_gateway: StartGateway, http: httpx.Client
) -> None:
    """After kill -9 of the supervisor its worker finishes what is in flight and ends, `status` says that nothing runs,
    and a new gateway serves on the same port at once."""
    server = start_upstreams("s")
    route = ("--route", f"/={server.url_of('s')}")
    first = start_gateway(*route, "--workers", "2")
    workers = first.workers()
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(http.get, f"{first.url}/held/x")
        until(lambda: server.control("s")["held"], "the request to arrive")
        os.kill(first.pid, signal.SIGKILL)
        first.process.wait(60)
        assert first.meshctl("gateway", "status").status == 4
        until(lambda: not connects(first.port), "the port to be free")
        second = start_gateway(*route, home=first.home, listen=f"127.0.0.1:{first.port}")
        assert httpx.get(f"{second.url}/new", trust_env=False, timeout=30).status_code == 200
        assert any(map(is_alive, workers))
        server.control("s", release="x")
        assert asked.result(60).text == "s x"
    until(lambda: not any(map(is_alive, workers)), "the old workers to end")
    assert second.status()["state"] == "ready"
