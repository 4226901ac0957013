"""A real Prometheus scrapes a gateway, a sidecar and the whole mesh at one target, and answers with what happened."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest

from meshctl import resources
from meshctl.control.acks import proxies
from meshctl.model.views import ProxyRecord
from meshctl.store.sqlite import SqliteStore

from .gateway import Gateway, meshctl
from .sidecar import Wrapped
from .waiting import until

APP = Path(__file__).with_name("wrapped_app.py")
DASHBOARD = json.loads(resources.text("templates/grafana", "meshctl.json"))
REQUESTS = 7

pytestmark = pytest.mark.skipif(shutil.which("prometheus") is None, reason="prometheus is not installed")


class Prometheus:
    """Debian's Prometheus as a process, at a port of its own choice."""

    def __init__(self, folder: Path, targets: dict[str, tuple[str, str]]) -> None:
        self.log = folder / "log"
        self.http = httpx.Client(trust_env=False, timeout=30)
        jobs = [
            {"job_name": name, "metrics_path": path, "static_configs": [{"targets": [target]}]}
            for name, (target, path) in targets.items()
        ]
        every = {"scrape_interval": "3s", "scrape_timeout": "3s", "evaluation_interval": "1s"}
        (folder / "alerts.yml").write_text(resources.text("templates/prometheus", "alerts.yml"))
        # YAML takes JSON as it is.
        (folder / "prometheus.yml").write_text(
            json.dumps({"global": every, "rule_files": ["alerts.yml"], "scrape_configs": jobs})
        )
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [
                    "prometheus",
                    f"--config.file={folder / 'prometheus.yml'}",
                    f"--storage.tsdb.path={folder / 'data'}",
                    "--web.listen-address=127.0.0.1:0",
                ],
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
            )

    def until_ready(self) -> Prometheus:
        """Return when it listens; where it does, it says itself."""
        found = until(lambda: re.search(r'msg="Listening on" address=(\S+)', self.log.read_text()), "it", timeout=60)
        self.url = f"http://{found[1]}"
        return self

    def end(self) -> None:
        """End it by its process id."""
        self.http.close()
        self.process.kill()
        self.process.wait()

    def api(self, path: str, **query: str) -> Any:
        """What its API answers; {} while it does not."""
        try:
            answer = self.http.get(f"{self.url}/api/v1/{path}", params=query)
        except httpx.TransportError:
            return {}
        return answer.json().get("data", {}) if answer.status_code == 200 else {}

    def values(self, query: str) -> dict[str, float]:
        """The value of each series that a query gives, by the values of its labels."""
        found = self.api("query", query=query).get("result", [])
        return {" ".join(each["metric"].values()): float(each["value"][1]) for each in found}


@pytest.fixture(scope="module")
def mesh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Gateway, ProxyRecord]]:
    """A gateway in front of one wrapped app, which has answered some requests, and what is known of the sidecar."""
    folder = tmp_path_factory.mktemp("mesh")
    home, file = folder / "home", folder / "mesh.toml"
    file.write_text("""
        gateway = { listen = ["127.0.0.1:0"], access_log = "off" }
        routes = [{ name = "all", service = "orders" }]
        services.orders = {}
    """)
    gateway = Gateway(home, folder / "gateway", ("-c", file))
    app = Wrapped(home, folder / "orders", ("--service", "orders"), (sys.executable, APP))
    try:
        gateway.until_ready()
        app.until_registered()
        until(
            lambda: httpx.get(f"{gateway.url}/", trust_env=False, timeout=30).status_code == 200, "orders to be reached"
        )
        for _ in range(REQUESTS - 1):
            assert httpx.get(f"{gateway.url}/", trust_env=False, timeout=30).status_code == 200
        with closing(SqliteStore(home / "mesh.db")) as store:
            (record,) = (each for each in proxies(store) if each.role == "sidecar")
        yield gateway, record
        app.check()
        gateway.check()
    finally:
        app.kill()
        gateway.kill()


def test_prometheus_sees_everything(mesh: tuple[Gateway, ProxyRecord], tmp_path: Path) -> None:
    """All three targets are up, the requests that were sent are counted in each, and no query of the dashboard and no
    alert rule is one that Prometheus fails at."""
    gateway, sidecar = mesh
    one, other = (url.removeprefix("http://") for url in (gateway.admin, sidecar.admin))
    targets = {
        "meshctl": (one, "/metrics/mesh"),
        "meshctl-gateway": (one, "/metrics"),
        "meshctl-sidecar": (other, "/metrics"),
    }
    prometheus = Prometheus(tmp_path, targets)
    try:
        prometheus.until_ready()
        until(lambda: prometheus.values("sum by (job) (up)") == dict.fromkeys(targets, 1), "all to be up", timeout=60)
        roles = {"gateway": 1, "sidecar": 1}
        until(lambda: prometheus.values("sum by (role) (meshctl_proxy_up)") == roles, "all proxies to have answered")
        answered = 'sum by (job) (meshctl_http_requests_total{status_class="2xx", service="%s"})'
        at_gateway = {"meshctl": REQUESTS, "meshctl-gateway": REQUESTS}
        until(lambda: prometheus.values(answered % "orders") == at_gateway, "the requests, at the gateway")
        at_sidecar = {"meshctl": REQUESTS, "meshctl-sidecar": REQUESTS}
        until(lambda: prometheus.values(answered % "local:orders") == at_sidecar, "the requests, at the sidecar")
        budget = 'meshctl_retry_budget_remaining{job="meshctl-gateway", service="orders"}'
        until(lambda: prometheus.values(budget), "the retry budget")
        healthy = 'sum by (version) (meshctl_endpoints{job="meshctl-gateway", state="healthy"})'
        until(lambda: prometheus.values(healthy) == {"default": 1}, "the endpoints")
        check_dashboard(prometheus)
        until(lambda: all(rule["health"] == "ok" for rule in alerts(prometheus)), "every alert rule to be evaluated")
        assert [rule["name"] for rule in alerts(prometheus) if rule["state"] == "firing"] == []
    finally:
        prometheus.end()


def alerts(prometheus: Prometheus) -> list[dict[str, Any]]:
    """The alert rules, with how they are."""
    found = [rule for group in prometheus.api("rules").get("groups", []) for rule in group["rules"]]
    assert found
    return found


def check_dashboard(prometheus: Prometheus) -> None:
    """Prometheus answers every query of the dashboard."""
    for panel in DASHBOARD["panels"]:
        for target in panel.get("targets", ()):
            query = target["expr"].replace("$__rate_interval", "5m").replace("$service", ".*").replace("$proxy", ".*")
            assert prometheus.api("query", query=query), panel["title"]


def test_who_does_not_answer_is_named(mesh: tuple[Gateway, ProxyRecord]) -> None:
    """A sidecar whose process stands still is told of as down, by the gateway in time for a scrape and by the command,
    and its series are left out; when it goes on, it is back."""
    gateway, sidecar = mesh
    down, up = (f'meshctl_proxy_up{{proxy="{sidecar.id}",role="sidecar"}} {number}' for number in ("0.0", "1.0"))

    def scraped() -> str:
        return httpx.get(f"{gateway.admin}/metrics/mesh", trust_env=False, timeout=30).text

    until(lambda: up in scraped(), "it to answer")
    os.kill(sidecar.pid, signal.SIGSTOP)
    try:
        found = scraped()
        told = meshctl(gateway.home, "metrics", "show")
    finally:
        os.kill(sidecar.pid, signal.SIGCONT)
    assert down in found
    assert f'meshctl_revision{{proxy="{sidecar.id}"}}' not in found
    assert 'meshctl_revision{proxy="gateway"} 1.0' in found
    assert (told.status, down in told.out, sidecar.id in told.err) == (1, True, True)
    until(lambda: up in scraped(), "it to be back")


@pytest.mark.parametrize("form", ["text", "openmetrics", "json"])
def test_metrics_of_the_mesh_on_a_terminal(mesh: tuple[Gateway, ProxyRecord], form: str) -> None:
    """`metrics show` has what the endpoint has, in the form that is asked for: every proxy, every family once."""
    gateway, sidecar = mesh
    said = until(lambda: (told := meshctl(gateway.home, "metrics", "show", "-o", form)).status == 0 and told, "all")
    if form == "json":
        families = {family["name"]: family for family in said.json()}
        assert len(families) == len(said.json())
        up = {one["labels"]["proxy"]: one["value"] for one in families["meshctl_proxy_up"]["samples"]}
    else:
        assert said.out.endswith("# EOF\n") == (form == "openmetrics")
        up = {
            name: float(value)
            for name, value in re.findall(r'^meshctl_proxy_up{proxy="(\S+?)".*} (\S+)', said.out, re.M)
        }
    assert up == {"gateway": 1.0, sidecar.id: 1.0}
    if form == "text":
        checked = subprocess.run(["promtool", "check", "metrics"], input=said.out, text=True, capture_output=True)
        assert (checked.returncode, checked.stdout + checked.stderr) == (0, "")
