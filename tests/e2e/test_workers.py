"""Workers that are killed: what was in flight on them fails, nothing else does, and they come back."""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from .certificates import issue
from .conftest import StartGateway
from .gateway import Gateway
from .load import Load
from .servers import Upstreams
from .waiting import until


def connections(pid: int, port: int) -> int:
    """How many clients a process holds on a port."""
    held = psutil.Process(pid).net_connections(kind="tcp")
    return sum(each.status == psutil.CONN_ESTABLISHED and each.laddr.port == port for each in held)


def settled(gateway: Gateway, restarts: int) -> Any:
    """The status once every worker is ready after so many restarts, else None."""
    view = gateway.status()
    ready = all(worker["state"] == "ready" for worker in view["workers"])
    return view if ready and sum(worker["restarts"] for worker in view["workers"]) >= restarts else None


def test_two_workers_share_the_connections(
    upstreams: Upstreams, start_gateway: StartGateway, http: httpx.Client
) -> None:
    """With two workers both take a fair share of new connections."""
    gateway = start_gateway("--route", f"/={upstreams.url_of('a')}", "--workers", "2")
    clients = [httpx.Client(trust_env=False, timeout=30) for _ in range(60)]
    assert {client.get(gateway.url).status_code for client in clients} == {200}
    shares = [connections(pid, gateway.port) for pid in gateway.workers()]
    for client in clients:
        client.close()
    assert sum(shares) == 60
    # 60 fair coins: fewer than 12 on one side happen once in a million times.
    assert min(shares) >= 12


def test_a_killed_worker_takes_only_its_own_along(upstreams: Upstreams, start_gateway: StartGateway) -> None:
    """kill -9 of one of two workers under load: at most the connections it held fail, the other one goes on, it comes
    back, and `status` counts the restart."""
    gateway = start_gateway("--route", f"/={upstreams.url_of('a')}", "--workers", "2")
    gateway.forgiven = {"worker_ended"}
    victim, survivor = gateway.workers()
    with Load(gateway.url) as load:
        load.more(200)
        assert load.failures == []
        os.kill(victim, signal.SIGKILL)
        view = until(lambda: settled(gateway, 1), "the worker to be back")
        load.more(200)
    assert len(load.failures) <= 9, load.failures
    assert sorted(worker["restarts"] for worker in view["workers"]) == [0, 1]
    pids = {worker["pid"] for worker in view["workers"]}
    assert survivor in pids
    assert victim not in pids
    assert "signal SIGKILL" in gateway.until_told("worker_ended")


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGRTMIN + 6], ids=["SIGKILL", "one without a name"])
def test_the_only_worker_comes_back_at_once(upstreams: Upstreams, start_gateway: StartGateway, number: int) -> None:
    """A new request after the only worker was killed is not refused: it waits for the new one."""
    gateway = start_gateway("--route", f"/={upstreams.url_of('a')}")
    gateway.forgiven = {"worker_ended"}
    for _ in range(2):
        (worker,) = gateway.workers()
        os.kill(worker, number)
        with httpx.Client(trust_env=False, timeout=30) as client:
            assert client.get(gateway.url).status_code == 200


def test_crash_loops_back_off(upstreams: Upstreams, start_gateway: StartGateway) -> None:
    """A worker that crashes again and again is started again with growing pauses, while the other one is left alone."""
    gateway = start_gateway("--route", f"/={upstreams.url_of('a')}", "--workers", "2")
    gateway.forgiven = {"worker_ended"}
    stays, victim = gateway.workers()
    for _ in range(4):
        os.kill(victim, signal.SIGKILL)
        (victim,) = until(lambda gone=victim: [pid for pid in gateway.workers() if pid not in {stays, gone}], "another")
    pauses = re.findall(r"worker_ended.* restart_in=(\S+)", gateway.events())
    assert pauses == ["0s", "0.1s", "0.2s", "0.4s"]
    assert until(lambda: settled(gateway, 4), "both to be ready")["workers"][0]["restarts"] in {0, 4}
    assert stays in gateway.workers()


def test_no_connection_waits_for_a_worker_that_is_away(upstreams: Upstreams, start_gateway: StartGateway) -> None:
    """While a worker that crashed again and again pauses, every new connection goes to the other one, at once; when it
    is back it takes its share again."""
    gateway = start_gateway("--route", f"/={upstreams.url_of('a')}", "--workers", "2")
    gateway.forgiven = {"worker_ended"}
    stays, victim = gateway.workers()
    for _ in range(6):
        os.kill(victim, signal.SIGKILL)
        (victim,) = until(lambda gone=victim: [pid for pid in gateway.workers() if pid not in {stays, gone}], "another")
    os.kill(victim, signal.SIGKILL)
    until(lambda: "restart_in=3.2s" in gateway.events(), "the long pause")
    at_once = late = 0
    while at_once < 30:
        is_away = gateway.workers() == [stays]
        with httpx.Client(trust_env=False, timeout=60) as client:
            assert client.get(gateway.url).status_code == 200
        # Half of them would wait in the absent worker's queue until it is back. A machine that stalls makes one late.
        if gateway.workers() == [stays]:
            at_once += 1
        else:
            late += is_away
            assert late < 6, at_once
            for pid in set(gateway.workers()) - {stays}:
                os.kill(pid, signal.SIGKILL)
            until(lambda: gateway.workers() == [stays], "it to be away again")
    until(lambda: settled(gateway, 7), "both to be ready")
    clients = [httpx.Client(trust_env=False, timeout=30) for _ in range(60)]
    assert {client.get(gateway.url).status_code for client in clients} == {200}
    shares = [connections(pid, gateway.port) for pid in gateway.workers()]
    for client in clients:
        client.close()
    assert min(shares) >= 12


def test_workers_killed_while_revisions_change(
    upstreams: Upstreams, start_gateway: StartGateway, tmp_path: Path
) -> None:
    """Workers that are killed while one revision follows another come back with the newest, on all its listeners. A
    revision that was refused for a worker's death is taken when it is applied again."""
    file = tmp_path / "mesh.toml"

    def write(number: int) -> None:
        listen = ", ".join(["'127.0.0.1:0'"] * (1 + number % 2))
        file.write_text(f"""
            gateway = {{ listen = [{listen}], workers = 2 }}
            routes = [{{ service = "s", response_headers.set.x-revision = "{number}" }}]
            services.s.endpoints = ["{upstreams.address("a")}"]
        """)

    write(0)
    gateway = start_gateway("-c", file, listen="")
    gateway.forgiven = {"worker_ended", "revision_refused"}
    for number in range(1, 10):
        write(number)
        if number < 5:
            for worker in gateway.workers()[: 1 + number % 2]:
                os.kill(worker, signal.SIGKILL)
        gateway.meshctl("apply", "-c", file)
    gateway.apply(file)
    view = until(lambda: settled(gateway, 1), "all workers to be ready")
    assert view["revision"] == view["latest"]
    assert len(view["listeners"]) == 2
    for listener in view["listeners"]:
        for _ in range(20):  # enough to meet both workers
            answer = httpx.get(listener["url"], trust_env=False, timeout=30)
            assert answer.headers["x-revision"] == "9"


def test_a_worker_that_cannot_come_back_tries_again(
    upstreams: Upstreams, start_gateway: StartGateway, tmp_path: Path, http: httpx.Client
) -> None:
    """A worker that dies while the certificate's file is away is started again until the file is back; its sibling,
    which has the certificate in memory, serves meanwhile."""
    certificate, key = issue(tmp_path, serial=1)
    file = tmp_path / "mesh.toml"
    file.write_text(f"""
        routes = [{{ service = "s" }}]
        services.s.endpoints = ["{upstreams.address("a")}"]
        [gateway]
        workers = 2
        listen = [{{ address = "127.0.0.1:0", tls = {{ certificate = "{certificate}", key = "{key}" }} }}]
    """)
    gateway = start_gateway("-c", file, listen="")
    gateway.forgiven = {"worker_ended", "worker_refused"}
    stays, victim = gateway.workers()
    key.rename(tmp_path / "away")
    os.kill(victim, signal.SIGKILL)
    assert "key.pem" in gateway.until_told("worker_refused")
    assert stays in gateway.workers()
    (tmp_path / "away").rename(key)
    until(lambda: settled(gateway, 2), "both to be ready")
    for _ in range(20):  # enough to meet both workers
        assert httpx.get(gateway.url, verify=False, trust_env=False, timeout=30).status_code == 200


def test_a_hundred_listeners_reach_every_worker(
    upstreams: Upstreams, start_gateway: StartGateway, tmp_path: Path, http: httpx.Client
) -> None:
    """A hundred listeners that one revision adds all answer, and again after the worker was killed."""
    file = tmp_path / "mesh.toml"
    listen = ", ".join(['"127.0.0.1:0"'] * 100)
    routes = f'routes = [{{ service = "s" }}]\nservices.s.endpoints = ["{upstreams.address("a")}"]\n'
    file.write_text(f'gateway.listen = ["127.0.0.1:0"]\n{routes}')
    gateway = start_gateway("-c", file, listen="")
    gateway.forgiven = {"worker_ended"}
    file.write_text(f"gateway.listen = [{listen}]\n{routes}")
    gateway.apply(file)
    urls = [listener["url"] for listener in gateway.status()["listeners"]]
    assert len(set(urls)) == 100
    assert {http.get(url).status_code for url in urls} == {200}
    os.kill(gateway.workers()[0], signal.SIGKILL)
    assert {httpx.get(url, trust_env=False, timeout=30).status_code for url in (urls[0], urls[99])} == {200}
