"""/metrics/mesh has every proxy's series under the proxy's name, each family once, and says who did not answer."""

from __future__ import annotations

import os
import shutil
import subprocess

import msgspec
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_openmetrics
from prometheus_client.parser import text_string_to_metric_families as read_text

from meshctl.model.views import EndpointView, ServiceView, VersionView
from meshctl.observe.counters import Counters
from meshctl.observe.exposition import Facts
from meshctl.observe.mesh_exposition import Member, Told, expose_mesh
from meshctl.observe.processes import Usage, usage

OPENMETRICS = "application/openmetrics-text"


def told(requests: int, role: str = "sidecar") -> Told:
    """What a proxy tells that has served so many requests."""
    counters = Counters()
    for _ in range(requests):
        counters.series("all", "orders", "v1").record(200, 0.02, 10, 100, "")
    versions = (VersionView("v1", 1.0, 2, 1), VersionView("v2", 0.0, 0, 0))
    endpoints = (
        EndpointView("127.0.0.1:1", "v1", 1.0, "healthy", in_flight=2, connections=3),
        EndpointView("127.0.0.1:2", "v1", 1.0, "ejected", in_flight=1, connections=1),
    )
    services = (ServiceView("orders", "random", versions, endpoints, retries_left=97.5),)
    facts = Facts("1.2.3", role, 6, 7, services=services, usage=Usage(1.5, 1000, 10, 100), served=(("/c.pem", 2e9),))
    return Told(counters.export(), facts)


MEMBERS = (
    Member("gateway", "gateway", told(3, "gateway")),
    Member("orders-1", "sidecar", told(5)),
    Member("web-1", "sidecar", None),
)


def scraped(accept: str = "", members: tuple[Member, ...] = MEMBERS) -> dict[tuple[str, ...], float]:
    content_type, body = expose_mesh(members, accept)
    read = read_openmetrics if "openmetrics" in content_type else read_text
    families = list(read(body.decode()))
    assert len({family.name for family in families}) == len(families)
    return {
        (one.name, *(f"{name}={value}" for name, value in sorted(one.labels.items()))): one.value
        for family in families
        for one in family.samples
    }


@pytest.mark.parametrize("accept", ["", OPENMETRICS])
@pytest.mark.parametrize(
    ("key", "value"),
    [
        (("meshctl_proxy_up", "proxy=gateway", "role=gateway"), 1),
        (("meshctl_proxy_up", "proxy=orders-1", "role=sidecar"), 1),
        (("meshctl_proxy_up", "proxy=web-1", "role=sidecar"), 0),
        (("meshctl_http_request_bytes_total", "proxy=gateway", "route=all", "service=orders", "version=v1"), 30),
        (("meshctl_http_request_bytes_total", "proxy=orders-1", "route=all", "service=orders", "version=v1"), 50),
        (("meshctl_revision", "proxy=orders-1"), 6),
        (("meshctl_revision_latest", "proxy=orders-1"), 7),
        (("meshctl_endpoints", "proxy=gateway", "service=orders", "state=healthy", "version=v1"), 1),
        (("meshctl_endpoints", "proxy=gateway", "service=orders", "state=ejected", "version=v1"), 1),
        (("meshctl_endpoints", "proxy=gateway", "service=orders", "state=healthy", "version=v2"), 0),
        (("meshctl_upstream_connections", "proxy=gateway", "service=orders", "version=v1"), 4),
        (("meshctl_upstream_requests_in_flight", "proxy=gateway", "service=orders", "version=v1"), 3),
        (("meshctl_retry_budget_remaining", "proxy=gateway", "service=orders"), 97.5),
        (("meshctl_listener_certificate_expiry_timestamp_seconds", "file=/c.pem", "proxy=gateway"), 2e9),
        (("process_cpu_seconds_total", "proxy=gateway"), 1.5),
        (("process_max_fds", "proxy=gateway"), 100),
    ],
)
def test_values(key: tuple[str, ...], value: float, accept: str) -> None:
    """Each number of each proxy is found under its name, its labels and its proxy."""
    assert value == scraped(accept)[key]


def test_every_series_has_its_proxy() -> None:
    """No series is without the proxy that it is of, and who did not answer has none but that it did not."""
    found = scraped()
    assert [key for key in found if not any(label.startswith("proxy=") for label in key)] == []
    assert [key for key in found if "proxy=web-1" in key] == [("meshctl_proxy_up", "proxy=web-1", "role=sidecar")]


def test_nobody_answers() -> None:
    """Even then there is an answer, and it says who is missing."""
    assert scraped(members=(Member("a", "sidecar", None),)) == {("meshctl_proxy_up", "proxy=a", "role=sidecar"): 0}


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
def test_promtool_finds_nothing_wrong() -> None:
    """The text of several proxies passes Prometheus' own checker without a word."""
    _, body = expose_mesh(MEMBERS)
    done = subprocess.run(["promtool", "check", "metrics"], input=body, capture_output=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_what_a_proxy_tells_survives_the_way() -> None:
    """The document a proxy sends is the one the asker reads."""
    sent = told(2)
    assert sent == msgspec.json.decode(msgspec.json.encode(sent), type=Told)


def test_usage() -> None:
    """What this very process takes is told, the number of files that it may have open included."""
    used = usage([os.getpid()])
    assert used.memory > 1 << 20
    assert 0 < used.files <= used.most_files
