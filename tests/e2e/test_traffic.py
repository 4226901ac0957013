"""Weights that move while requests come: in every proxy at once, true to what was asked, and no request fails."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import httpx
import pytest

from .conftest import StartGateway, StartUpstreams
from .gateway import Gateway
from .load import Load
from .servers import Upstreams
from .waiting import until

VERSIONS = ("v1", "v2", "v3")


def mesh_of(upstreams: Upstreams, *, extra: str = "", weights: tuple[float, ...] = (100, 0, 0)) -> str:
    """A service with three versions: a is v1, b is v2, c is v3."""
    versions = "".join(
        f'[services.s.versions.{version}]\nendpoints = ["{upstreams.address(name)}"]\nweight = {weight}\n'
        for version, name, weight in zip(VERSIONS, "abc", weights, strict=True)
    )
    return f'[[routes]]\nname = "all"\nservice = "s"\n[services.s]\n{extra}\n{versions}'


@pytest.fixture
def file(upstreams: Upstreams, tmp_path: Path) -> Path:
    """A mesh.toml that sends everything to v1."""
    path = tmp_path / "mesh.toml"
    path.write_text(mesh_of(upstreams))
    return path


def weights(gateway: Gateway) -> dict[str, float]:
    """What the gateway's workers have."""
    return {each["name"]: each["weight"] for each in gateway.service("s")["versions"]}


def traffic(gateway: Gateway, *arguments: object, status: int = 0) -> Any:
    """A `traffic` command on the service, its document where it gives one."""
    patient = () if arguments[0] == "split" else ("--timeout", "60s")
    ended = gateway.meshctl("traffic", arguments[0], "s", *arguments[1:], *patient, "-o", "json")
    assert ended.status == status, ended.err
    return ended.json() if ended.out else ended.err


@pytest.mark.timeout(400)
def test_long_runs_hit_the_weights(start_gateway: StartGateway, file: Path) -> None:
    """Thousands of requests fall on the versions as the live weights say, within what chance allows, and `split` tells
    the shares they really got."""
    gateway = start_gateway("-c", file, "--workers", 2)
    traffic(gateway, "shift", "v2=30", "v3=5")
    with Load(gateway.url, kept=8, fresh=0) as load:
        for _ in range(8):
            load.more(500)
    assert load.failures == []

    def split() -> Any:
        document = traffic(gateway, "split")
        return document if sum(each["requests"] for each in document["versions"]) == load.answers else None

    document = until(split, "all requests to be counted")
    shown = {each["version"]: each for each in document["versions"]}
    for version, name, weight in zip(VERSIONS, "abc", (0.65, 0.30, 0.05), strict=True):
        # Five standard deviations: one run in a million falls outside.
        allowed = 5 * (weight * (1 - weight) / load.answers) ** 0.5
        assert load.served[name] / load.answers == pytest.approx(weight, abs=allowed)
        assert shown[version]["share"] == pytest.approx(load.served[name] / load.answers, abs=1e-9)
        assert (shown[version]["healthy"], shown[version]["errors"]) == (1, 0)
    assert document["proxies"] == ["gateway"]


@pytest.mark.timeout(400)
def test_growth_moves_only_the_new_share(
    upstreams: Upstreams, start_gateway: StartGateway, file: Path, http: httpx.Client
) -> None:
    """With a sticky key, going from 5 to 10 to 20 % moves only the users that come to v2; back again, only they leave;
    every worker sends a user to the same version."""
    file.write_text(mesh_of(upstreams, extra='sticky = { header = "x-user" }'))
    gateway = start_gateway("-c", file, "--workers", 2)
    users = [f"user-{number}" for number in range(400)]

    def on_v2() -> set[str]:
        answers = {user: http.get(gateway.url, headers={"x-user": user}).headers["x-served-by"] for user in users}
        return {user for user, name in answers.items() if name == "b"}

    found = []
    for weight in (5, 10, 20, 10):
        traffic(gateway, "shift", f"v2={weight}")
        found.append(on_v2())
    five, ten, twenty, again = found
    assert five < ten < twenty
    assert again == ten
    # Of 400 users a tenth is 40, give or take 5 standard deviations of 6.
    assert abs(len(ten) - 40) <= 30
    with httpx.Client(timeout=30, trust_env=False) as other:
        assert {other.get(gateway.url, headers={"x-user": user}).headers["x-served-by"] for user in ten} == {"b"}


def test_what_starts_later_has_them(start_gateway: StartGateway, file: Path, http: httpx.Client) -> None:
    """A worker that is started anew, a revision that is applied, and a gateway that is started again serve the live
    weights."""
    gateway = start_gateway("-c", file)
    traffic(gateway, "promote", "v3")
    gateway.forgiven = {"worker_ended"}
    (before,) = gateway.workers()
    os.kill(before, signal.SIGKILL)
    until(lambda: gateway.workers() not in ([], [before]), "a new worker")
    assert http.get(gateway.url).headers["x-served-by"] == "c"
    file.write_text(file.read_text().replace('name = "all"', 'name = "every"'))
    gateway.apply(file)
    assert http.get(gateway.url).headers["x-served-by"] == "c"
    assert gateway.end() == 0
    again = start_gateway("-c", file)
    assert http.get(again.url).headers["x-served-by"] == "c"
    traffic(again, "reset")
    assert http.get(again.url).headers["x-served-by"] == "a"


def test_nobody_is_sent_to_the_dead(
    start_upstreams: StartUpstreams, start_gateway: StartGateway, tmp_path: Path, http: httpx.Client
) -> None:
    """A version whose endpoints are all unhealthy is refused, unless somebody insists."""
    mine = start_upstreams("a", "b", "c")
    mine.control("b", health=500)
    path = tmp_path / "mesh.toml"
    path.write_text(
        mesh_of(mine, extra='health = { path = "/healthz", interval = "50ms", timeout = "30s", unhealthy = 1 }')
    )
    gateway = start_gateway("-c", path)
    until(lambda: not traffic(gateway, "split")["versions"][1]["healthy"], "v2 to be unhealthy")
    assert "no healthy endpoint" in traffic(gateway, "shift", "v2=10", status=1)
    assert weights(gateway) == {"v1": 100, "v2": 0, "v3": 0}
    assert traffic(gateway, "shift", "v2=10", "--force")["after"]["v2"] == 10
    assert traffic(gateway, "shift", "v2=5")["after"]["v2"] == 5


def test_shifted_weights_are_marked(upstreams: Upstreams, start_gateway: StartGateway, file: Path) -> None:
    """Wherever weights are shown, those that are not the file's say so; `routes explain` goes by what holds."""
    gateway = start_gateway("-c", file)

    def shown() -> str:
        lines = [
            gateway.meshctl("routes", "ls").out,
            gateway.meshctl("services", "ls").out,
            gateway.meshctl("services", "show", "s").out,
            gateway.meshctl("config", "show", "-c", file).out,
            gateway.meshctl("routes", "explain", "GET", "/").out,
        ]
        return "\n".join(lines)

    assert "live" not in shown()
    traffic(gateway, "shift", "v2=25")
    text = shown()
    assert text.count("v1 75% v2 25% v3 0% (live)") == 2
    assert "WEIGHT  IN THE FILE" in text
    assert "0 (live 25%, `meshctl traffic`)" in text
    assert "by chance: v1 0.75, v2 0.25" in text
    traffic(gateway, "rollback")
    assert "live" not in shown()


def test_testers_see_it_at_weight_0(
    upstreams: Upstreams, start_gateway: StartGateway, file: Path, http: httpx.Client
) -> None:
    """Who carries what a version asks for gets it at weight 0, by header, cookie or query, everybody else the split; a
    route that names a version leads there alone; `routes explain` says so; shifts of the others change none of it."""
    text = mesh_of(upstreams)
    match = 'match = { headers = { x-tester = "yes" }, cookies = { beta = { regex = "[0-9]+" } } }\n'
    asked = text.replace("[services.s.versions.v2]\n", f"[services.s.versions.v2]\n{match}")
    asked = asked.replace("[services.s.versions.v3]\n", '[services.s.versions.v3]\nmatch.query = { v = "3" }\n')
    file.write_text(f'[[routes]]\nname = "new"\npath = "/new"\nservice = "s"\nversion = "v2"\n{asked}')
    gateway = start_gateway("-c", file)

    def serves(path: str = "/", **headers: str) -> str:
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        return http.get(f"{gateway.url}{path}", headers=given).headers["x-served-by"]

    for weights_given in ((), ("v1=50", "v3=50", "v2=0")):
        if weights_given:
            traffic(gateway, "shift", *weights_given)
        assert {serves(x_tester="yes", cookie="a=b; beta=17") for _ in range(20)} == {"b"}
        assert "b" not in {serves(x_tester="yes") for _ in range(20)}
        assert "b" not in {serves(x_tester="no", cookie="beta=17") for _ in range(20)}
        assert {serves("/?v=3") for _ in range(20)} == {"c"}
        assert {serves("/new/x") for _ in range(20)} == {"b"}
    assert {serves() for _ in range(40)} == {"a", "c"}

    def explained(*arguments: object) -> dict[str, str]:
        return gateway.meshctl("routes", "explain", "GET", *arguments, "-o", "json").json()  # type: ignore[no-any-return]

    tester = explained("/", "-H", "x-tester: yes", "-H", "cookie: beta=1")
    assert tester["version"] == "v2 (it asks for x-tester=yes cookie:beta~[0-9]+)"
    assert tester["endpoint"] == upstreams.address("b")
    assert explained("/")["version"] == "by chance: v1 0.5, v3 0.5"
    pinned = explained("/new")
    assert (pinned["version"], pinned["target"]) == ("v2 (by the route)", "service s v2")
