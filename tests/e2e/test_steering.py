"""Faults and mirrors in a whole mesh: set by one command, live in a gateway and a sidecar, and over when they are to
be."""

from __future__ import annotations

import os
import re
import signal
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from .conftest import StartGateway, StartUpstreams
from .gateway import Gateway, meshctl
from .servers import Upstreams
from .sidecar import Wrapped
from .waiting import until

APP = Path(__file__).with_name("wrapped_app.py")


@dataclass
class Two:
    """A gateway and a sidecar, both of which send to service s: version v1 is a, v2 is b."""

    home: Path
    gateway: Gateway
    web: Wrapped

    @property
    def urls(self) -> tuple[str, str]:
        """Where the gateway and the sidecar send to the service."""
        return self.gateway.url, f"http://{self.web.address('upstream:s')}"

    def traffic(self, *arguments: object) -> Any:
        """A `traffic` command's document, and what it said."""
        changes = {"--abort", "--clear"} & set(map(str, arguments))
        patient = ("--timeout", "60s") if changes else ()
        ended = meshctl(self.home, "traffic", *arguments, *patient, "-o", "json")
        assert ended.status == 0, ended.err
        return ended.json()


def file_of(folder: Path, upstreams: Upstreams) -> Path:
    """A mesh.toml with the service."""
    versions = "".join(
        f'[services.s.versions.{version}]\nendpoints = ["{upstreams.address(name)}"]\nweight = {weight}\n'
        for version, name, weight in (("v1", "a", 100), ("v2", "b", 0))
    )
    path = folder / "mesh.toml"
    path.write_text(f'[gateway]\nlisten = ["127.0.0.1:0"]\nworkers = 2\n[[routes]]\nservice = "s"\n{versions}')
    return path


@pytest.fixture
def mine(start_upstreams: StartUpstreams) -> Upstreams:
    """The two versions."""
    return start_upstreams("a", "b")


@pytest.fixture
def two(mine: Upstreams, tmp_path: Path) -> Iterator[Two]:
    """Both, ready."""
    home = tmp_path / "home"
    gateway = Gateway(home, tmp_path / "gateway", ["-c", file_of(tmp_path, mine)])
    web: Wrapped | None = None
    try:
        gateway.until_ready()
        words = ("--service", "web", "--upstream", "s")
        web = Wrapped(home, tmp_path / "web", words, (sys.executable, APP)).until_registered()
        yield Two(home, gateway, web)
        for each in (web, gateway):
            each.check()
    finally:
        for each in (gateway, web):
            if each is not None:
                each.kill()


def test_fault(two: Two, mine: Upstreams, http: httpx.Client) -> None:
    """A fault for one caller's requests hits those alone, as soon as the command returns; everybody can see it; another
    apply and a worker's death leave it; it ends by itself in every proxy, or when it is cleared."""
    at_gateway, at_web = two.urls

    def statuses() -> tuple[int, int]:
        return http.get(at_gateway).status_code, http.get(at_web).status_code

    told = two.traffic("fault", "s", "--abort", "418", "--from", "web")
    assert {each["status"] for each in told["proxies"]} == {"live"}
    assert statuses() == (200, 418)
    two.traffic("fault", "s", "--abort", "429", "--from", "gateway", "--for", "1h")
    assert statuses() == (429, 418)
    # Everybody can see it.
    assert len(two.traffic("fault")) == len(two.traffic("split", "s")["faults"]) == 2
    assert [len(each["faults"]) for each in meshctl(two.home, "gateway", "status", "-o", "json").json()] == [2, 2]
    for words in (("traffic", "split", "s"), ("services", "show", "s"), ("gateway", "status")):
        out = meshctl(two.home, *words).out
        assert re.search("abort 418, from web, ends in (9|10)m", out)
        assert re.search("abort 429, from gateway, ends in (59m|1h)", out)
    for words in (("routes", "ls"), ("services", "ls"), ("sidecar", "ls")):
        assert re.search("fault at s: abort 418, from web, ends in (9|10)m", meshctl(two.home, *words).err)

    def is_counted() -> bool:
        metrics = httpx.get(f"{two.gateway.admin}/metrics", trust_env=False, timeout=30).text
        return 'meshctl_faults_injected_total{kind="abort",service="s"} 1.0' in metrics

    until(is_counted, "the fault to be counted")
    # It holds over an apply and in a worker that is started again.
    file = two.gateway.out.parent.parent / "mesh.toml"
    file.write_text(f'{file.read_text()}[services.other]\nendpoints = ["127.0.0.1:9"]\n')
    two.gateway.apply(file)
    two.gateway.forgiven.add("worker_ended")
    old = two.gateway.workers()
    for pid in old:
        os.kill(pid, signal.SIGKILL)
    until(lambda: len(set(two.gateway.workers()) - set(old)) == 2, "new workers")
    until(lambda: _status(at_gateway) == 429, "the fault in a new worker")
    # And ends, cleared or not.
    begins = time.monotonic()
    two.traffic("fault", "s", "--abort", "418", "--from", "web", "--for", "1s")
    two.traffic("fault", "s", "--clear", "--from", "gateway")
    assert http.get(at_gateway).status_code == 200
    until(lambda: _status(at_web) == 200, "the fault to end")
    assert time.monotonic() > begins + 0.9
    assert two.traffic("fault", "s") == []


def _status(url: str) -> int:
    try:
        return httpx.get(url, trust_env=False, timeout=30).status_code
    except httpx.TransportError:
        return 0


def test_mirror(mine: Upstreams, start_gateway: StartGateway, tmp_path: Path, http: httpx.Client) -> None:
    """A mirror with diff finds a planted difference and tells where it is; what may differ is ignored; originals are
    answered as ever, also while the version fails."""
    gateway = start_gateway("-c", file_of(tmp_path, mine), listen="")
    # The servers tell their names, and what came: with a mark in the copy, and of another port.
    ended = gateway.meshctl(
        "traffic",
        "mirror",
        "s",
        "--to",
        "v2",
        "--percent",
        100,
        "--diff",
        "--ignore",
        "$.name",
        "--ignore",
        "$.headers",
    )
    assert ended.status == 0, ended.err
    assert "100% to v2, compared" in gateway.meshctl("gateway", "status").out

    def tally() -> Any:
        (view,) = gateway.meshctl("traffic", "mirror", "s", "-o", "json").json()
        return view

    for number in range(10):
        assert http.get(f"{gateway.url}/same/{number}").headers["x-served-by"] == "a"
    until(lambda: tally()["tally"]["compared"] == 10, "ten comparisons")
    until(lambda: mine.control("b")["requests"] == 10, "ten copies")
    assert (tally()["tally"]["mismatched"], tally()["mismatch_rate"]) == (0, 0.0)
    mine.control("b", status=203)
    assert http.get(f"{gateway.url}/planted", headers={"authorization": "secret"}).status_code == 200
    until(lambda: tally()["tally"]["mismatched"] == 1, "the mismatch")
    (example,) = tally()["tally"]["examples"]
    assert (example["method"], example["path"]) == ("GET", "/planted")
    assert example["differences"] == [{"what": "status", "original": "200", "copy": "203"}]
    shown = gateway.meshctl("traffic", "mirror", "s").out
    assert "/planted  status  200       203" in shown
    assert "secret" not in shown
    # With the version gone nobody notices.
    mine.control("b", status=200, slow=30.0)
    assert {http.get(gateway.url, timeout=25).status_code for _ in range(20)} == {200}
    until(lambda: mine.control("b")["requests"] == 31, "all copies")
    answered = r'^meshctl_mirrored_requests_total\{result="answered",service="s"\} [1-9]'

    def is_counted() -> bool:
        metrics = httpx.get(f"{gateway.admin}/metrics", trust_env=False, timeout=30).text
        split = gateway.answer("traffic", "split", "s")["versions"]
        counts = {each["version"]: each["requests"] for each in split}
        return counts == {"v1": 31, "v2": 0} and re.search(answered, metrics, re.MULTILINE) is not None

    until(is_counted, "all to be counted, copies apart")
    assert gateway.meshctl("traffic", "mirror", "s", "--stop").status == 0
    assert gateway.meshctl("traffic", "mirror", "-o", "json").json() == []
    assert http.get(gateway.url).status_code == 200
    assert mine.control("b")["requests"] == 31
