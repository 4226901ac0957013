"""A wrapped app as a member of the mesh: reached, gated, drained, restarted; and nothing lost when it goes."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from .conftest import StartGateway
from .gateway import is_alive, meshctl
from .load import Load
from .sidecar import Wrapped
from .waiting import until

APP = Path(__file__).with_name("wrapped_app.py")
Wrap = Callable[..., Wrapped]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The mesh of this module; each test has services of its own in it."""
    return tmp_path_factory.mktemp("mesh") / "home"


@pytest.fixture
def wrap(home: Path, tmp_path: Path) -> Iterator[Wrap]:
    """Wraps the app: `wrap(service, *words, arguments=(…))`. At the end of the test what runs must end cleanly."""
    started: list[Wrapped] = []

    def start(service: str, *words: str, arguments: tuple[object, ...] = (), name: str = "") -> Wrapped:
        folder = tmp_path / f"{name or service}{len(started)}"
        started.append(Wrapped(home, folder, ("--service", service, *arguments), (sys.executable, APP, *words)))
        return started[-1].until_started()

    yield start
    try:
        for each in started:
            if each.process.poll() is None:
                each.check()
    finally:
        for each in started:
            each.kill()


@pytest.fixture(scope="module")
def caller(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Wrapped]:
    """One app that calls the others, for all tests that leave it alone."""
    made = Wrapped(home, tmp_path_factory.mktemp("caller"), ("--service", "caller"), (sys.executable, APP))
    try:
        yield made.until_registered()
        made.check()
    finally:
        made.kill()


@pytest.fixture(scope="module")
def named(home: Path, caller: Wrapped, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Wrapped]:
    """Another one, of version v7, that tells of its signals."""
    arguments = ("--service", "named", "--version", "v7")
    made = Wrapped(home, tmp_path_factory.mktemp("named"), arguments, (sys.executable, APP, "tell"))
    try:
        made.until_registered()
        until(lambda: get(caller, "http://named/x").status_code == 200, "it to be reached")
        yield made
        made.check()
    finally:
        made.kill()


def row(home: Path, sidecar: str) -> dict[str, Any]:
    """The row of one sidecar, when it has answered: on a busy machine it may be too late for a listing."""

    def told() -> dict[str, Any] | None:
        found = rows(home)[sidecar]
        return found if found["app"] else None

    found = until(told, f"{sidecar} to answer")
    assert found is not None
    return found


def get(through: Wrapped, url: str) -> httpx.Response:
    """The answer to an app's request, sent through its own proxy."""
    return httpx.get(url, proxy=f"http://{through.address('proxy')}", timeout=30, trust_env=False)


def rows(home: Path) -> dict[str, dict[str, Any]]:
    """`sidecar ls -o json`, by id."""
    ended = meshctl(home, "sidecar", "ls", "-o", "json")
    assert ended.status == 0, ended.err
    return {row["id"]: row for row in ended.json()}


def test_apps_call_each_other_by_name(named: Wrapped, caller: Wrapped) -> None:
    """An app reaches another by any of its names, with nothing but what every HTTP client does, and learns who it is
    from its environment."""
    for host in ("named", "named.mesh", "named.mesh.mesh"):
        answer = get(caller, f"http://caller/call?url=http://{host}/x").json()
        assert answer["body"]["app"] == named.id, answer
    told = get(caller, "http://named/env").json()
    assert told["PORT"] == str(named.port)
    assert (told["MESHCTL_SERVICE"], told["MESHCTL_VERSION"], told["MESHCTL_SIDECAR"]) == ("named", "v7", named.id)
    assert told["MESHCTL_HOME"] == str(named.home)
    assert get(caller, "http://named/headers").json()["x-meshctl-identity"] == "spiffe://mesh.mesh/service/caller"


def test_upstreams_have_ports_of_their_own(wrap: Wrap) -> None:
    """With `--upstream` a service is reached on a port of this machine, over HTTP or as bytes, whichever it is told in;
    a service that is not there yet is awaited."""
    web = wrap("up-web", arguments=("--upstream", "up-orders", "--upstream", "up-db:tcp")).until_registered()
    told = httpx.get(f"http://127.0.0.1:{web.port}/env", trust_env=False, timeout=30).json()
    assert told["UP_ORDERS_URL"] == f"http://{web.address('upstream:up-orders')}"
    assert f"{told['UP_DB_HOST']}:{told['UP_DB_PORT']}" == told["UP_DB_ADDR"] == web.address("tcp:up-db")
    nobody = httpx.get(told["UP_ORDERS_URL"], trust_env=False, timeout=30)
    assert (nobody.status_code, nobody.headers["x-meshctl-reason"]) == (503, "no_endpoint")
    orders = wrap("up-orders").until_registered()
    until(
        lambda: httpx.get(told["UP_ORDERS_URL"], trust_env=False, timeout=30).headers.get("x-served-by") == orders.id,
        "the service to be reached",
    )


def test_a_gateway_finds_it(
    wrap: Wrap, home: Path, start_gateway: StartGateway, tmp_path: Path, http: httpx.Client
) -> None:
    """A route of the configuration leads to sidecars without an address written anywhere; a second instance shares the
    load from the moment it takes requests."""
    file = tmp_path / "mesh.toml"
    file.write_text('gateway.listen = ["127.0.0.1:0"]\nroutes = [{ service = "found" }]\n[services.found]\n')
    gateway = start_gateway("-c", file, home=home, listen="")
    assert http.get(gateway.url).headers["x-meshctl-reason"] == "no_endpoint"
    one = wrap("found").until_registered()
    until(lambda: http.get(gateway.url).headers.get("x-served-by") == one.id, "the first to be found")
    two = wrap("found").until_registered()
    until(lambda: http.get(gateway.url).headers.get("x-served-by") == two.id, "the second to be found")


def test_a_sidecar_is_a_gateway(wrap: Wrap, home: Path, tmp_path: Path, http: httpx.Client) -> None:
    """`--gateway ADDR` serves the configuration's routes from the wrapped app's own proxy."""
    file = tmp_path / "mesh.toml"
    file.write_text('routes = [{ path = "/edge", service = "edge" }]\n[services.edge]\n')
    assert meshctl(home, "apply", "-c", file).status == 0
    edge = wrap("edge", arguments=("--gateway", "127.0.0.1:0")).until_registered()
    url = f"http://{edge.address('gateway')}"
    until(lambda: http.get(f"{url}/edge/x").status_code == 200, "its own endpoint to be seen")
    assert http.get(f"{url}/edge/x").json()["app"] == edge.id
    assert http.get(f"{url}/other").headers["x-meshctl-reason"] == "no_route"


def test_the_gate(wrap: Wrap, caller: Wrapped) -> None:
    """An app takes no requests before its health check passes, and they are told so rather than failed by it."""
    sick = wrap("sick", "sick", arguments=("--health", "/healthz", "--ready-timeout", "0.1s"))
    until(lambda: "app_not_ready" in sick.events(), "its being late to be told")
    until(lambda: row(sick.home, sick.id)["app"]["problem"] == "status 503", "what is wrong to be told")
    assert sick.registration() is None
    assert row(sick.home, sick.id)["app"]["state"] == "late"
    assert get(caller, "http://sick/x").status_code in {502, 503, 404}
    httpx.get(f"http://127.0.0.1:{sick.port}/heal", trust_env=False, timeout=30)
    sick.until_registered()
    until(lambda: get(caller, "http://sick/x").status_code == 200, "it to be reached")
    found = row(sick.home, sick.id)
    assert (found["app"]["state"], found["app"]["problem"], found["inbound"]) == ("ready", "", sick.address("inbound"))
    assert sick.events().count("app_not_ready") == 1


def test_what_is_in_flight_is_finished_before_the_app_is_asked(wrap: Wrap, caller: Wrapped) -> None:
    """On SIGTERM the app is taken from the mesh first, what it is at is finished, and only then does it get the
    signal; its own code is the exit status."""
    busy = wrap("busy", "tell").until_registered()
    with ThreadPoolExecutor(1) as pool:
        until(lambda: get(caller, "http://busy/x").status_code == 200, "it to be reached")
        asked = pool.submit(get, caller, "http://busy/held/x")
        direct = f"http://127.0.0.1:{busy.port}"
        until(
            lambda: httpx.get(f"{direct}/holding", trust_env=False, timeout=30).json()["holding"],
            "the request to arrive",
        )
        busy.process.send_signal(signal.SIGTERM)
        until(lambda: busy.registration() is None, "it to be taken from the mesh")
        assert row(busy.home, busy.id)["app"]["state"] == "draining"
        turned_away = "no_endpoint"
        until(lambda: get(caller, "http://busy/x").headers.get("x-meshctl-reason") == turned_away, "its caller to know")
        assert busy.out.read_text() == ""
        httpx.get(f"{direct}/release/x", trust_env=False, timeout=30)
        assert asked.result(60).status_code == 200
    assert busy.process.wait(60) == 0
    assert busy.out.read_text() == "SIGTERM\n"


def test_a_rolling_restart_loses_nothing(wrap: Wrap) -> None:
    """Under load, instances come and go one after another, and not one request fails."""
    first = wrap("rolling").until_registered()
    front = wrap("front", arguments=("--upstream", "rolling"))
    url = f"http://{front.address('upstream:rolling')}/x"
    until(lambda: httpx.get(url, trust_env=False, timeout=30).status_code == 200, "the first to be reached")
    with Load(url) as load:
        for _ in range(2):
            second = wrap("rolling").until_registered()
            load.more(100)
            assert first.end() == 128 + signal.SIGTERM
            load.more(100)
            first = second
    assert load.failures == [], load.failures[:3]


def test_a_killed_wrapper_takes_the_app_along(wrap: Wrap, caller: Wrapped) -> None:
    """After kill -9 of the wrapper, its app and what that has started are gone, however stubborn, and so is its
    endpoint."""
    doomed = wrap("doomed", "stubborn", "child").until_registered()
    child = int(until(doomed.out.read_text, "its child").split()[1])
    proxies = [each.pid for each in psutil.Process(doomed.process.pid).children() if each.pid != doomed.app]
    assert len(proxies) == 1
    doomed.process.kill()
    doomed.process.wait()
    until(lambda: not any(map(is_alive, (doomed.app, child, *proxies))), "all of it to be gone")
    until(lambda: doomed.registration() is None, "its endpoint to be gone")
    until(lambda: get(caller, "http://doomed/x").status_code == 503, "its caller to know")


def test_a_killed_app_ends_it_all(wrap: Wrap) -> None:
    """After kill -9 of the app, what it has started is ended, the endpoint is gone, and the exit status is 137."""
    doomed = wrap("doomed-app", "stubborn", "child", arguments=("--grace", "0.2s")).until_registered()
    child = int(until(doomed.out.read_text, "its child").split()[1])
    os.kill(doomed.app, signal.SIGKILL)
    assert doomed.process.wait(60) == 137
    until(lambda: not is_alive(child), "its child to be gone")
    assert doomed.registration() is None
    assert "app_left_processes" in doomed.events()


def test_a_crashed_proxy_is_mended(wrap: Wrap, caller: Wrapped) -> None:
    """When the proxy's worker dies a new one takes its place, and the app never notices."""
    sturdy = wrap("sturdy").until_registered()
    sturdy.forgiven.add("worker_ended")
    until(lambda: get(caller, "http://sturdy/x").status_code == 200, "it to be reached")
    (worker,) = [each for each in psutil.Process(sturdy.process.pid).children() if each.pid != sturdy.app]
    worker.kill()
    until(lambda: get(caller, "http://sturdy/x").status_code == 200, "it to be reached again")
    assert is_alive(sturdy.app)
    # The new worker guards the app as the first one did.
    os.kill(sturdy.process.pid, signal.SIGKILL)
    until(lambda: not is_alive(sturdy.app), "the app to be gone")


def test_restarts(wrap: Wrap, caller: Wrapped) -> None:
    """An app that fails is started again when that is asked for, announced anew, and counted; with `--no-proxy-env` its
    environment says nothing of a proxy, with `--no-trace-hook` nothing of ours is imported."""
    options = ("--restart", "on-failure", "--no-proxy-env", "--no-trace-hook")
    failing = wrap("failing", arguments=options).until_registered()
    environ = get(caller, "http://failing/env").json()
    assert {"HTTP_PROXY", "http_proxy", "MESHCTL_PROXY"} & environ.keys() == set()
    assert "trace_hook" not in environ.get("PYTHONPATH", "")
    with pytest.raises(httpx.TransportError):
        httpx.get(f"http://127.0.0.1:{failing.port}/exit/3", trust_env=False, timeout=30)
    until(lambda: row(failing.home, failing.id)["app"]["restarts"] == 1, "the restart")
    until(lambda: get(caller, "http://failing/x").status_code == 200, "it to be reached again")
    until(lambda: row(failing.home, failing.id)["app"]["state"] == "ready", "it to be told of as ready")
    assert row(failing.home, failing.id)["app"]["pid"] != failing.app
    with pytest.raises(httpx.TransportError):
        httpx.get(f"http://127.0.0.1:{failing.port}/exit/0", trust_env=False, timeout=30)
    assert failing.process.wait(60) == 0


def test_a_restart_that_fails(home: Path, tmp_path: Path, caller: Wrapped) -> None:
    """Where the command cannot be started again, as while its file is replaced, that is told, and tried again."""
    script, away = tmp_path / "app", tmp_path / "away"
    script.touch(0o755)
    script.write_text(f"#!/bin/sh\nexec {sys.executable} {APP}\n")
    moved = Wrapped(home, tmp_path / "moved", ("--service", "moved", "--restart", "on-failure"), (script,))
    moved.forgiven.add("app_not_started")
    try:
        moved.until_registered()
        script.rename(away)
        with pytest.raises(httpx.TransportError):
            httpx.get(f"http://127.0.0.1:{moved.port}/exit/3", trust_env=False, timeout=30)
        until(lambda: moved.events().count("app_not_started") >= 2, "the second restart")
        assert "command not found" in moved.events()
        away.rename(script)
        until(lambda: get(caller, "http://moved/x").status_code == 200, "it to be reached again")
        moved.check()
    finally:
        moved.kill()


def test_drain_and_undo(wrap: Wrap, caller: Wrapped, home: Path) -> None:
    """`sidecar drain` keeps requests from an app that runs on, once it has returned; `--undo` brings them back."""
    drained = wrap("drained").until_registered()
    until(lambda: get(caller, "http://drained/x").status_code == 200, "it to be reached")
    ended = meshctl(home, "sidecar", "drain", "drained", "--timeout", "60s")
    assert ended.status == 0, ended.err
    assert get(caller, "http://drained/x").headers["x-meshctl-reason"] == "no_endpoint"
    assert httpx.get(f"http://127.0.0.1:{drained.port}/x", trust_env=False, timeout=30).status_code == 200
    assert row(home, drained.id)["app"]["state"] == "drained"
    assert meshctl(home, "sidecar", "drain", drained.id, "--undo", "--timeout", "60s").status == 0
    assert get(caller, "http://drained/x").status_code == 200
    assert meshctl(home, "sidecar", "drain", "nobody").status == 4


def test_signals_reach_the_app(named: Wrapped) -> None:
    """Signals that do not end it reach the app as they come."""
    for name in ("SIGHUP", "SIGUSR1", "SIGUSR2", "SIGQUIT", "SIGWINCH"):
        named.process.send_signal(getattr(signal, name))
        until(lambda: name in named.out.read_text(), name)  # noqa: B023 - asked before the next round


def test_listing(named: Wrapped, home: Path) -> None:
    """`sidecar ls` shows each sidecar with its app, how it fares, and how long its certificate lasts."""
    # On a busy machine a proxy may take longer to answer than a person would wait.
    found = until(lambda: {**one} if not (one := rows(home)[named.id])["problem"] else None, "it to answer")
    assert (found["service"], found["version"], found["pid"]) == ("named", "v7", named.process.pid)
    assert (found["app"]["pid"], found["app"]["port"], found["app"]["restarts"]) == (named.app, named.port, 0)
    assert found["not_after"] > time.time() + 3600
    assert found["health"] == "healthy"
    table = meshctl(home, "sidecar", "ls").out
    assert named.id in table
    assert "STATE" in table


def test_the_access_log_is_its_own(named: Wrapped, caller: Wrapped, home: Path) -> None:
    """Requests are logged in a file of the sidecar's, never among what the app writes to its stdout."""
    assert get(caller, "http://named/seen").status_code == 200
    file = home / "logs" / f"{named.id}.log"
    lines = until(
        lambda: [line for line in file.read_text().rpartition("\n")[0].splitlines() if "/seen" in line], "the line"
    )
    line = json.loads(lines[-1])
    assert (line["path"], line["route"], line["service"]) == ("/seen", "inbound", "local:named")
    assert "/seen" not in named.out.read_text()
