"""/metrics is what Prometheus reads, says what was counted, and nothing twice."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_openmetrics
from prometheus_client.parser import text_string_to_metric_families as read_text

from meshctl.model.views import BreakerView, EndpointView, IdentityView, LimitView, ServiceView, VersionView
from meshctl.observe.counters import Counters
from meshctl.observe.exposition import Facts, expose
from meshctl.observe.sample import Sample

OPENMETRICS = "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.2,*/*;q=0.1"
STATES = ("healthy", "unknown", "half_open", "ramping", "unhealthy", "ejected", "unresolved")
ENDPOINTS = tuple(EndpointView(f"127.0.0.1:{9000 + index}", "v1", 1.0, state) for index, state in enumerate(STATES))
FACTS = Facts(
    "1.2.3",
    revision=7,
    started=1.5e9,
    restarts=2,
    services=(
        ServiceView(
            "orders",
            "random",
            (VersionView("v1", 90.0, 2, 2), VersionView("v2", 10.0, 1, 1)),
            ENDPOINTS,
            limit=LimitView(9, 8, 7),
            breaker=BreakerView("half_open"),
        ),
        ServiceView("web", "", (), ()),
    ),
)


IDENTITY = IdentityView("spiffe://shop.mesh/service/orders", "ab", "cd", 1.5e9, 1.6e9, 1, intermediate_not_after=1.7e9)


def test_when_certificates_end() -> None:
    """A proxy with an identity tells when its certificate, what signed it and the mesh's roots end; one without tells
    nothing."""
    facts = Facts("1.2.3", pids=(os.getpid(),), identity=IDENTITY, roots=(("cd", 1.9e9),))
    found = scraped(Sample(), facts)
    own, roots = "meshctl_certificate_expiry_timestamp_seconds", "meshctl_root_expiry_timestamp_seconds"
    assert named(found, own) == {("identity=spiffe://shop.mesh/service/orders",): 1.6e9}
    assert named(found, roots) == {("fingerprint=cd",): 1.9e9}
    assert named(found, "meshctl_intermediate_expiry_timestamp_seconds") == {("root=cd",): 1.7e9}
    assert named(scraped(Sample()), own) == {}


def busy() -> Sample:
    counters = Counters()
    counters.connections, counters.in_flight, counters.accepted, counters.handshake_failures = 3, 2, 40, 1
    series = counters.series("orders", "orders", "v1")
    for status, reason in ((200, ""), (200, ""), (503, ""), (503, "breaker_open"), (503, "breaker_open"), (0, "")):
        series.record(status, 0.02, 10, 100, reason)
    counters.series("").record(404, 100.0, 0, 50, "no_route")
    counters.refuse("bad_request")
    counters.service("orders").connect("ok")
    counters.service("orders").connect("timeout")
    counters.service("orders").retry("ok")
    counters.service("orders").eject()
    counters.service("orders").open_breaker()
    counters.service("orders").limit("full")
    counters.shed("low")
    return counters.export()


def scraped(sample: Sample, facts: Facts = FACTS, accept: str = "") -> dict[tuple[str, ...], float]:
    content_type, body = expose(sample, facts, accept)
    read = read_openmetrics if "openmetrics" in content_type else read_text
    found = {}
    for family in read(body.decode()):
        for one in family.samples:
            found[(one.name, *(f"{name}={value}" for name, value in sorted(one.labels.items())))] = one.value
    return found


def named(found: dict[tuple[str, ...], float], name: str) -> dict[tuple[str, ...], float]:
    return {key[1:]: value for key, value in found.items() if key[0] == name}


@pytest.mark.parametrize("sample", [Sample(), busy()], ids=["idle", "busy"])
@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
def test_promtool_finds_nothing_wrong(sample: Sample) -> None:
    """The classic text passes Prometheus' own checker without a word."""
    _, body = expose(sample, Facts("1.2.3", pids=(os.getpid(),), services=FACTS.services, identity=IDENTITY))
    done = subprocess.run(["promtool", "check", "metrics"], input=body, capture_output=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("", "text/plain; version=0.0.4; charset=utf-8"),
        ("*/*", "text/plain; version=0.0.4; charset=utf-8"),
        (OPENMETRICS, "application/openmetrics-text; version=1.0.0; charset=utf-8"),
        ("application/openmetrics-text;version=rubbish", "application/openmetrics-text; version=1.0.0"),
        ("text/plain;version=rubbish,,;;=", "text/plain"),
    ],
)
def test_the_form_follows_the_accept_header(accept: str, expected: str) -> None:
    """OpenMetrics is served to who asks for it, text to everybody else; no Accept header makes a scrape fail."""
    content_type, body = expose(busy(), FACTS, accept)
    assert content_type.startswith(expected)
    assert ("openmetrics" in expected) == body.endswith(b"# EOF\n")


@pytest.mark.parametrize("accept", ["", OPENMETRICS])
def test_every_request_is_exposed_once(accept: str) -> None:
    """The requests of all label sets add up to those counted, with upstream answers and the proxy's own apart."""
    found = named(scraped(busy(), accept=accept), "meshctl_http_requests_total")
    series = ("route=orders", "service=orders")
    assert {
        ("reason=", *series, "status_class=2xx", "version=v1"): 2,
        ("reason=", *series, "status_class=5xx", "version=v1"): 1,
        ("reason=breaker_open", *series, "status_class=5xx", "version=v1"): 2,
        ("reason=", *series, "status_class=none", "version=v1"): 1,
        ("reason=no_route", "route=", "service=", "status_class=4xx", "version="): 1,
    } == found


def test_the_histogram() -> None:
    """Buckets are cumulative and end with all requests, those beyond the last bound included."""
    found = scraped(busy())
    labels = ("route=orders", "service=orders", "version=v1")
    buckets = named(found, "meshctl_http_request_duration_seconds_bucket")
    assert tuple(buckets[(f"le={bound}", *labels)] for bound in ("0.01", "0.025", "+Inf")) == (0, 6, 6)
    assert named(found, "meshctl_http_request_duration_seconds_count")[labels] == 6
    assert named(found, "meshctl_http_request_duration_seconds_sum")[labels] == pytest.approx(0.12)
    nowhere = ("route=", "service=", "version=")
    assert tuple(buckets[(f"le={bound}", *nowhere)] for bound in ("60.0", "+Inf")) == (0, 1)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        (("meshctl_http_request_bytes_total", "route=orders", "service=orders", "version=v1"), 60),
        (("meshctl_http_response_bytes_total", "route=orders", "service=orders", "version=v1"), 600),
        (("meshctl_http_requests_in_flight",), 2),
        (("meshctl_connections",), 3),
        (("meshctl_connections_accepted_total",), 40),
        (("meshctl_tls_handshake_failures_total",), 1),
        (("meshctl_access_log_dropped_lines_total",), 0),
        (("meshctl_refusals_total", "reason=bad_request"), 1),
        (("meshctl_upstream_connects_total", "result=ok", "service=orders"), 1),
        (("meshctl_upstream_connects_total", "result=timeout", "service=orders"), 1),
        (("meshctl_retries_total", "result=ok", "service=orders"), 1),
        (("meshctl_ejections_total", "service=orders"), 1),
        (("meshctl_breaker_opened_total", "service=orders"), 1),
        (("meshctl_breaker_state", "service=orders", "state=half_open"), 1),
        (("meshctl_breaker_state", "service=orders", "state=open"), 0),
        (("meshctl_version_weight", "service=orders", "version=v1"), 90),
        (("meshctl_version_weight", "service=orders", "version=v2"), 10),
        (("meshctl_limit_refusals_total", "service=orders", "why=full"), 1),
        (("meshctl_limit_requests", "service=orders"), 9),
        (("meshctl_limit_in_flight", "service=orders"), 8),
        (("meshctl_limit_waiting", "service=orders"), 7),
        (("meshctl_shed_requests_total", "priority=low"), 1),
        (("meshctl_revision",), 7),
        (("meshctl_worker_restarts_total",), 2),
        (("process_start_time_seconds",), 1.5e9),
    ],
)
def test_values(key: tuple[str, ...], value: float) -> None:
    """Each number that was counted is found under its name and labels."""
    assert value == scraped(busy())[key]


def test_endpoint_health() -> None:
    """An endpoint that may get requests, checked or not, is 1; one that may not is 0."""
    found = named(scraped(Sample()), "meshctl_endpoint_healthy")
    assert [found[f"endpoint={one.address}", "service=orders", "version=v1"] for one in ENDPOINTS] == [
        1,
        1,
        1,
        1,
        0,
        0,
        0,
    ]


def test_build_info() -> None:
    """The running version and role can be read from the metrics."""
    (labels,) = named(scraped(Sample()), "meshctl_build_info")
    assert {"role=gateway", "version=1.2.3"} <= set(labels)


def test_names_with_quotes_do_not_break_the_text() -> None:
    """Names are escaped, whatever the configuration lets through."""
    counters = Counters()
    counters.series('a"b\\c\nd').record(200, 0.1, 0, 0)
    assert any('route=a"b\\c\nd' in key for key in scraped(counters.export()))


def test_processes_are_summed() -> None:
    """Memory, descriptors and CPU time are those of all processes; one that has ended is passed over."""
    ended = subprocess.Popen(["true"])
    ended.wait()
    one = scraped(Sample(), Facts("1", pids=(os.getpid(),)))
    two = scraped(Sample(), Facts("1", pids=(os.getpid(), os.getpid(), ended.pid)))
    assert one["process_resident_memory_bytes",] > 1 << 20
    assert one["process_cpu_seconds_total",] > 0
    assert two["process_resident_memory_bytes",] >= 1.5 * one["process_resident_memory_bytes",]
    assert 2 * one["process_open_fds",] == two["process_open_fds",]
    assert scraped(Sample(), Facts("1", pids=(ended.pid,)))["process_open_fds",] == 0


def test_a_proxy_that_nobody_scrapes_does_not_load_the_library() -> None:
    """Importing the exposition does not import prometheus_client or psutil."""
    program = "import sys, meshctl.observe.exposition; print({'prometheus_client', 'psutil'} & set(sys.modules))"
    environ = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    out = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, env=environ
    ).stdout
    assert out.strip() == "set()"


def test_every_family_has_help() -> None:
    """Whoever reads the metrics finds a sentence beside each."""
    body = expose(busy(), FACTS)[1].decode()
    typed = set(re.findall(r"^# TYPE (\S+)", body, re.MULTILINE))
    helped = set(re.findall(r"^# HELP (\S+) \S+", body, re.MULTILINE))
    assert typed == helped
    assert len(typed) > 20
