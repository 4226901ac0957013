"""What is shipped for Prometheus and Grafana holds: Prometheus' own tool parses it, each alert fires when it should and
only then, and no word of it is a metric or a label that no proxy tells."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from meshctl import resources
from meshctl.model.views import BreakerView, EndpointView, IdentityView, LimitView, ServiceView, VersionView
from meshctl.observe.counters import Counters
from meshctl.observe.exposition import Facts
from meshctl.observe.mesh_exposition import Member, Told, expose_mesh
from meshctl.observe.processes import Usage
from meshctl.observe.sample import CacheSample

needs_promtool = pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
ALERTS = resources.folder("templates/prometheus") / "alerts.yml"
DASHBOARD = json.loads(resources.text("templates/grafana", "meshctl.json"))
# What Prometheus adds to what it scrapes.
ADDED = {"instance", "job"}
HOUR, DAY = 3600, 86400


def promtool(*arguments: object, cwd: Path | None = None) -> str:
    """What promtool says; it must be satisfied."""
    done = subprocess.run(["promtool", *map(str, arguments)], cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def expressions() -> Iterator[str]:
    """The dashboard's queries, with what Grafana puts into them."""
    for panel in DASHBOARD["panels"]:
        for target in panel.get("targets", ()):
            filled = target["expr"].replace("$__rate_interval", "5m").replace("$service", ".*").replace("$proxy", ".*")
            assert "$" not in filled
            yield filled


def rules() -> list[str]:
    """The rules' names."""
    return re.findall(r"- alert: (\w+)", ALERTS.read_text())


def live() -> dict[str, set[str]]:
    """Every series' name that proxies tell, and the labels it has."""
    counters = Counters()
    counters.series("all", "orders", "v1").record(503, 0.02, 10, 100, "breaker_open")
    counters.refuse("bad_request")
    counters.shed("low")
    counters.cached("all", "hit")
    counters.cache = CacheSample()
    counters.deny("rule", "web", is_shadow=False)
    service = counters.service("orders")
    service.connect("refused")
    service.retry("budget")
    service.eject()
    service.open_breaker()
    service.limit("full")
    service.fault("delay")
    service.mirror("ok")
    views = (
        ServiceView(
            "orders",
            "random",
            (VersionView("v1", 1.0, 1, 1),),
            (EndpointView("127.0.0.1:1", "v1", 1.0, "ejected"),),
            limit=LimitView(1),
            breaker=BreakerView("open"),
            retries_left=1.0,
        ),
    )
    facts = Facts(
        "1.2.3",
        services=views,
        usage=Usage(most_files=1),
        identity=IdentityView("spiffe://shop.mesh/service/orders", "ab", "cd", 1.5e9, 1.6e9, 1),
        roots=(("ab", 1e9),),
        served=(("c.pem", 1e9),),
        limits_backend=True,
        apis=(("all", "shop", "v1"),),
    )
    text = expose_mesh([Member("gateway", "gateway", Told(counters.export(), facts))])[1].decode()
    found: dict[str, set[str]] = {"up": set()}
    for name, labels in re.findall(r"^(\w+)(?:\{(.*)\})? \S+$", text, re.MULTILINE):
        found.setdefault(name, set()).update(re.findall(r'(\w+)="', labels))
    return found


LIVE = live()


@pytest.mark.parametrize(
    "text",
    [*expressions(), *re.findall(r"expr: (?:\|\n)?(.*?)\n        (?:for|labels):", ALERTS.read_text(), re.DOTALL)],
)
def test_words_are_those_of_proxies(text: str) -> None:
    """Each metric in a query is one that proxies tell, with each label that it is chosen by."""
    bare = re.sub(r'"[^"]*"', '""', text)
    used = re.findall(r"\b((?:meshctl|process)_\w+|up\b)(?:\{([^}]*)\})?", bare)
    assert used
    for name, matchers in used:
        assert name in LIVE
        assert set(re.findall(r"(\w+)\s*[!=]", matchers)) <= LIVE[name] | ADDED
    labels = set().union(*(LIVE[name] for name, _ in used)) | ADDED
    for group in re.findall(r"\b(?:by|on) \(([^)]*)\)", bare):
        assert set(re.split(r",\s*", group)) <= labels


@needs_promtool
def test_the_dashboard_parses(tmp_path: Path) -> None:
    """Every query of the dashboard is one that Prometheus understands."""
    found = [{"record": f"query:{index}", "expr": expr} for index, expr in enumerate(expressions())]
    assert len(found) > 40
    file = tmp_path / "rules.yml"
    # YAML takes JSON as it is.
    file.write_text(json.dumps({"groups": [{"name": "dashboard", "rules": found}]}))
    assert f"{len(found)} rules found" in promtool("check", "rules", file)


def test_panels_are_apart() -> None:
    """No two panels lie on each other, none is wider than the screen, and each has a number of its own."""
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        at = panel["gridPos"]
        cells = {(at["x"] + x, at["y"] + y) for x in range(at["w"]) for y in range(at["h"])}
        assert at["x"] + at["w"] <= 24
        assert not cells & taken
        taken |= cells
    numbers = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(numbers) == len(set(numbers))


@needs_promtool
def test_rules_and_configuration_parse(tmp_path: Path) -> None:
    """promtool accepts the alert rules, and the scrape configuration together with them."""
    shutil.copy(ALERTS, tmp_path / "meshctl-alerts.yml")
    (tmp_path / "prometheus.yml").write_text(resources.text("templates/prometheus", "prometheus.yml"))
    assert f"{len(rules())} rules found" in promtool("check", "config", tmp_path / "prometheus.yml")
    assert len(set(rules())) == len(rules())


Series = tuple[str, str]
"""A series and its values, minute by minute: "1x60" is sixty times 1, "0+6x60" grows by 6 each time."""

# What is so in a mesh that is well.
WELL: tuple[Series, ...] = (
    ('up{job="meshctl", instance="gw"}', "1x60"),
    ('meshctl_proxy_up{proxy="p", role="gateway"}', "1x60"),
    ('meshctl_revision{proxy="p"}', "3x60"),
    ('meshctl_revision_latest{proxy="p"}', "3x60"),
    ('meshctl_worker_restarts_total{proxy="p"}', "2x60"),
    ('process_open_fds{job="meshctl", proxy="p"}', "50x60"),
    ('process_max_fds{job="meshctl", proxy="p"}', "1024x60"),
    ('meshctl_shed_requests_total{proxy="p", priority="low"}', "7x60"),
    ('meshctl_limits_backend_up{proxy="p"}', "1x60"),
    ('meshctl_http_requests_total{service="orders", status_class="2xx"}', "0+600x60"),
    ('meshctl_http_requests_total{service="orders", status_class="5xx"}', "0+6x60"),
    ('meshctl_http_requests_total{service="", status_class="5xx"}', "0+600x60"),
    ('meshctl_http_requests_total{service="local:orders", status_class="5xx"}', "0+600x60"),
    ('meshctl_http_request_duration_seconds_bucket{service="orders", le="0.1"}', "0+600x60"),
    ('meshctl_http_request_duration_seconds_bucket{service="orders", le="+Inf"}', "0+600x60"),
    ('meshctl_endpoints{service="orders", version="v1", state="healthy"}', "1x60"),
    ('meshctl_endpoints{service="orders", version="v1", state="unhealthy"}', "1x60"),
    # One that waits for its first sidecar.
    ('meshctl_endpoints{service="waits", version="v1", state="healthy"}', "0x60"),
    # Another proxy reaches it.
    ('meshctl_endpoint_healthy{proxy="p", service="orders", version="v1", endpoint="a"}', "1x60"),
    ('meshctl_endpoint_healthy{proxy="q", service="orders", version="v1", endpoint="a"}', "0x60"),
    ('meshctl_breaker_state{service="orders", state="open"}', "0x60"),
    ('meshctl_breaker_state{service="orders", state="closed"}', "1x60"),
    ('meshctl_retries_total{service="orders", result="sent"}', "0+60x60"),
    ('meshctl_denied_calls_total{caller="web", rule="r", shadow="true"}', "0+60x60"),
    ('meshctl_certificate_expiry_timestamp_seconds{identity="web"}', f"{DAY}x60"),
    ('meshctl_root_expiry_timestamp_seconds{fingerprint="ab"}', f"{3650 * DAY}x60"),
    ('meshctl_intermediate_expiry_timestamp_seconds{root="ab"}', f"{365 * DAY}x60"),
    ('meshctl_listener_certificate_expiry_timestamp_seconds{file="c"}', f"{90 * DAY}x60"),
)
# What makes each alert fire, and the labels it has then beside its name and severity.
ILL: dict[str, tuple[tuple[Series, ...], str]] = {
    "MeshctlNotScraped": ((('up{job="meshctl", instance="gw"}', "0x60"),), 'job="meshctl", instance="gw"'),
    "MeshctlProxyDown": (
        (('meshctl_proxy_up{proxy="s", role="sidecar"}', "1x9 0x50"),),
        'proxy="s", role="sidecar"',
    ),
    "MeshctlProxyBehind": (
        (('meshctl_revision{proxy="s"}', "3x60"), ('meshctl_revision_latest{proxy="s"}', "4x60")),
        'proxy="s"',
    ),
    "MeshctlWorkerRestarted": ((('meshctl_worker_restarts_total{proxy="s"}', "0x19 1x40"),), 'proxy="s"'),
    "MeshctlOpenFilesRunOut": (
        (
            ('process_open_fds{job="meshctl", proxy="s"}', "900x60"),
            ('process_max_fds{job="meshctl", proxy="s"}', "1024x60"),
        ),
        'job="meshctl", proxy="s"',
    ),
    "MeshctlOverloaded": (
        (('meshctl_shed_requests_total{proxy="s", priority="low"}', "0+60x60"),),
        'proxy="s", priority="low"',
    ),
    "MeshctlAccessLogLost": ((('meshctl_access_log_dropped_lines_total{proxy="s"}', "0+6x60"),), 'proxy="s"'),
    "MeshctlSpansLost": ((('meshctl_spans_dropped_total{proxy="s"}', "0+6x60"),), 'proxy="s"'),
    "MeshctlLimitsNotShared": ((('meshctl_limits_backend_up{proxy="s"}', "0x60"),), 'proxy="s"'),
    "MeshctlServiceFails": (
        (
            ('meshctl_http_requests_total{service="web", status_class="2xx"}', "0+600x60"),
            ('meshctl_http_requests_total{service="web", status_class="5xx"}', "0+20x60"),
            ('meshctl_http_requests_total{service="web", status_class="2xx", reason="upstream_cut"}', "0+20x60"),
        ),
        'service="web"',
    ),
    "MeshctlServiceSlow": (
        (
            ('meshctl_http_request_duration_seconds_bucket{service="web", le="1.0"}', "0+500x60"),
            ('meshctl_http_request_duration_seconds_bucket{service="web", le="2.5"}', "0+600x60"),
            ('meshctl_http_request_duration_seconds_bucket{service="web", le="+Inf"}', "0+600x60"),
        ),
        'service="web"',
    ),
    "MeshctlNoEndpoint": (
        (
            ('meshctl_endpoints{service="web", version="v1", state="healthy"}', "0x60"),
            ('meshctl_endpoints{service="web", version="v1", state="ejected"}', "2x60"),
        ),
        'service="web", version="v1"',
    ),
    "MeshctlEndpointDown": (
        (('meshctl_endpoint_healthy{proxy="p", service="web", version="v1", endpoint="b"}', "0x60"),),
        'service="web", version="v1", endpoint="b"',
    ),
    "MeshctlBreakerOpen": ((('meshctl_breaker_state{service="web", state="open"}', "1x60"),), 'service="web"'),
    "MeshctlRetriesRefused": ((('meshctl_retries_total{service="web", result="budget"}', "0+6x60"),), 'service="web"'),
    "MeshctlCallsDenied": (
        (('meshctl_denied_calls_total{caller="web", rule="r", shadow="false"}', "0+6x60"),),
        'caller="web", rule="r"',
    ),
    "MeshctlCertificateNotRenewed": (
        (('meshctl_certificate_expiry_timestamp_seconds{identity="s"}', f"{2 * HOUR}x60"),),
        'identity="s"',
    ),
    "MeshctlRootEnds": (
        (('meshctl_root_expiry_timestamp_seconds{fingerprint="cd"}', f"{9 * DAY}x60"),),
        'fingerprint="cd"',
    ),
    "MeshctlIntermediateEnds": (
        (('meshctl_intermediate_expiry_timestamp_seconds{root="cd"}', f"{3 * DAY}x60"),),
        'root="cd"',
    ),
    "MeshctlListenerCertificateEnds": (
        (('meshctl_listener_certificate_expiry_timestamp_seconds{file="d"}', f"{9 * DAY}x60"),),
        'file="d"',
    ),
}


def case(name: str, series: dict[str, str], firing: list[str]) -> dict[str, Any]:
    """A test as promtool takes it: with these series, exactly these alerts fire after half an hour."""
    return {
        "name": name,
        "interval": "1m",
        "input_series": [{"series": each, "values": values} for each, values in series.items()],
        "promql_expr_test": [
            {
                "expr": 'sum without (severity, alertstate) (ALERTS{alertstate="firing"})',
                "eval_time": "30m",
                "exp_samples": [{"labels": f"{{{each}}}", "value": 1} for each in firing],
            }
        ],
    }


@needs_promtool
def test_each_alert_fires_when_it_should(tmp_path: Path) -> None:
    """In a mesh that is well no alert fires; with one thing wrong, that one alert does, and names what is wrong."""
    assert list(ILL) == rules()
    tests = [case("well", dict(WELL), [])]
    for alert, (series, labels) in ILL.items():
        tests.append(case(alert, dict(WELL) | dict(series), [f'alertname="{alert}", {labels}']))
    file = tmp_path / "test.yml"
    file.write_text(json.dumps({"rule_files": [str(ALERTS)], "evaluation_interval": "1m", "tests": tests}))
    assert "SUCCESS" in promtool("test", "rules", file, cwd=tmp_path)
