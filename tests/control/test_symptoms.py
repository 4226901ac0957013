"""What `status` makes of what proxies tell: each row is a state of the world and the lines that follow from it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

from meshctl.control.health import Told, denied
from meshctl.control.symptoms import (
    certificate_lines,
    denied_lines,
    gravest,
    proxy_lines,
    service_lines,
    with_passes,
)
from meshctl.errors import MeshError
from meshctl.model.health import Denied, Line, ProxyHealth
from meshctl.model.views import (
    Acknowledgement,
    AppView,
    BreakerView,
    EndpointView,
    IdentityView,
    ProxyRecord,
    ProxyView,
    ServiceView,
    VersionView,
    WorkerView,
)
from meshctl.observe.counters import Counters

NOW = 1.8e9
DAY = 86400.0
RECORD = ProxyRecord("web-1", "sidecar", 7, NOW - 99, "/s")
ONE = {("one", "v1"): 2}


def health(services: Iterable[ServiceView] = (), denials: Iterable[Denied] = (), **changes: Any) -> ProxyHealth:
    fields: dict[str, Any] = {"id": "web-1", "role": "sidecar", "pid": 7, "version": "1", "started": NOW - 99,
                              "revision": 3, "latest": 3, "service": "web"}  # fmt: skip
    return ProxyHealth(ProxyView(**fields | changes), tuple(services), tuple(denials))


def service(*states: str, breaker: BreakerView | None = None, empty: bool = False, row: int = 0) -> ServiceView:
    endpoints = tuple(
        EndpointView(f"h:{at}", "v1", 1.0, state, "why", row=row, failure="refused") for at, state in enumerate(states)
    )
    versions = (VersionView("v1", 1.0, len(states), 0), *([VersionView("v2", 1.0, 0, 0)] if empty else []))
    return ServiceView("one", "random", versions, endpoints, breaker=breaker)


def short(lines: Iterable[Line]) -> list[tuple[str, str, str, str]]:
    return [(line.state, line.name, line.detail, line.command) for line in lines]


REFUSED = Acknowledgement("web-1", 3, accepted=False, reason="port taken")
SILENT = Told(RECORD, None, MeshError("proxy_unreachable", 'proxy "web-1" did not answer within 1 s'))


@pytest.mark.parametrize(
    ("told", "answer", "expected"),
    [
        (Told(RECORD, health()), None, []),
        (SILENT, None, ["fail: did not answer within 1 s; 3 is applied, and the last it has taken is none"]),
        (
            SILENT,
            Acknowledgement("web-1", 2, accepted=True),
            ["fail: did not answer within 1 s; 3 is applied, and the last it has taken is revision 2"],
        ),
        (SILENT, Acknowledgement("web-1", 3, accepted=True), ["fail: did not answer within 1 s"]),
        (SILENT, REFUSED, ["fail: did not answer within 1 s; it has refused revision 3: port taken"]),
        (Told(RECORD, health(revision=2)), None, ["fail: serves revision 2, and 3 is applied"]),
        (
            Told(RECORD, health(revision=2, refusal="port taken")),
            REFUSED,
            ["fail: serves revision 2, and 3 is applied: it refused that: port taken"],
        ),
        (Told(RECORD, health(workers=(WorkerView(9, "ready"),))), None, []),
        (
            Told(RECORD, health(workers=(WorkerView(9, "ready"), WorkerView(0, "restarting", 2)))),
            None,
            ["fail: 1 worker of 2 ended and is being started again"],
        ),
        (Told(RECORD, health(app=AppView(1, 2, "ready", "x"))), None, []),
        (
            Told(RECORD, health(app=AppView(0, 2, "ended", "x", problem="status 1"))),
            None,
            ["fail: its app is ended: status 1"],
        ),
        (
            Told(RECORD, health(app=AppView(1, 2, "drained", "x"))),
            None,
            ["note: its app is kept from requests by hand"],
        ),
        (
            Told(RECORD, health(state="draining")),
            None,
            ["note: is draining: it ends when what is in flight is done"],
        ),
    ],
)
def test_proxies(told: Told, answer: Acknowledgement | None, expected: list[str]) -> None:
    """A proxy that is silent, behind, or without its workers or its app is told of, and no other."""
    found = list(proxy_lines([told], {"web-1": answer} if answer else {}, 3))
    assert [f"{line.state}: {line.detail}" for line in found] == expected
    assert all(line.name == "web-1" and line.command.startswith("meshctl ") for line in found)


@pytest.mark.parametrize(
    ("views", "expected"),
    [
        ([service("healthy", "unknown", "half_open", "ramping")], []),
        ([], []),
        (
            [service("healthy", "healthy"), service("healthy", "unhealthy"), service("healthy", "ejected")],
            ["fail: 1 of 2 endpoints takes no requests: h:1 unhealthy (why)"],
        ),
        (
            [service("unhealthy", "ejected", "unresolved")],
            ["fail: 3 of 3 endpoints take no requests: h:0 unhealthy (why); h:1 ejected (why); and 1 more"],
        ),
        (
            [service("healthy"), service("unknown", row=5), service("healthy", row=4)],
            ["fail: h:0 failed its last 5 requests: refused"],
        ),
        ([service("ejected", row=9)], ["fail: 1 of 1 endpoint takes no requests: h:0 ejected (why)"]),
        (
            [service("healthy", "healthy", "healthy", row=7)],
            ["fail: h:0 failed its last 7 requests: refused; h:1 failed its last 7 requests: refused; and 1 more"],
        ),
        ([service("healthy", empty=True)], ["fail: v2 has weight and no endpoint"]),
        (
            [
                service("healthy", breaker=BreakerView("closed")),
                service("healthy", breaker=BreakerView("open", "5 in a row")),
                service("healthy", breaker=BreakerView("half_open", "4 in a row")),
            ],
            ["fail: breaker open: 5 in a row"],
        ),
        ([service("healthy", breaker=BreakerView("half_open", "why"))], ["warn: breaker half-open: why"]),
    ],
)
def test_services(views: list[ServiceView], expected: list[str]) -> None:
    """What the proxy that sees the worst of an endpoint or a breaker sees is told, with the command for the service."""
    found = list(service_lines([health([view]) for view in views], ONE))
    assert [f"{line.state}: {line.detail}" for line in found] == expected
    assert all((line.name, line.command) == ("one", "meshctl services show one") for line in found)


def test_a_service_that_nobody_serves() -> None:
    """A service without any endpoint is told of, whether or not a proxy knows it."""
    expected = [("fail", "one", "it has no endpoint", "meshctl services show one")]
    assert short(service_lines([], {("one", "v1"): 0})) == expected
    assert short(service_lines([health([service()])], {("one", "v1"): 0})) == expected


def test_denied_calls_add_up() -> None:
    """The calls that all proxies denied are one line for each caller, service and rule."""
    told = [
        health(denials=[Denied("web", "orders", "pay", 2), Denied("", "", "key", 1)]),
        health(denials=[Denied("web", "orders", "pay", 3)]),
    ]
    assert short(denied_lines(told)) == [
        ("warn", "(unknown)", "1 call to a route denied by key in the last 5m", "meshctl stat --by route --window 5m"),
        ("warn", "web", "5 calls to orders denied by pay in the last 5m", "meshctl edges orders --window 5m"),
    ]


def test_denied_calls_are_found_in_what_is_counted() -> None:
    """A sidecar's own denials are of the service that it wraps, by caller where one is known; other refusals are no
    denials, and no call is told of twice."""
    counters = Counters()
    inbound, route = counters.series("inbound", "local:orders"), counters.series("shop", "shop", "v1")
    for _ in range(3):
        inbound.of("web").record(403, 0.1, 0, 0, "denied:pay")
    inbound.record(403, 0.1, 0, 0, "denied:pay")
    inbound.of("web").record(503, 0.1, 0, 0, "no_endpoint")
    route.record(403, 0.1, 0, 0, "denied:key")
    found = set(denied([inbound.freeze(), route.freeze()], "local:orders", "orders"))
    assert found == {
        Denied("web", "orders", "pay", 3),
        Denied("", "orders", "pay", 1),
        Denied("", "shop", "key", 1),
    }


def test_certificates() -> None:
    """A certificate of a proxy that has expired, was not renewed, is revoked, or whose intermediate ends soon is told
    of; one in its time is not."""

    def lines(left: float, **changes: Any) -> list[tuple[str, str]]:
        known = {"intermediate_not_after": NOW + 90 * DAY} | changes
        identity = IdentityView("spiffe://m/service/web", "ab", "cd", NOW - 0.4 * DAY, NOW + left, 0, ("cd",), **known)
        found = certificate_lines([health(identity=identity).proxy, health().proxy], {"99"}, NOW)
        return [(line.state, line.command) for line in found]

    show = "meshctl certs show web"
    assert lines(0.6 * DAY) == []
    assert lines(0.05 * DAY) == [("warn", show)]
    assert lines(-1.0) == [("fail", show)]
    assert lines(0.6 * DAY, intermediate_not_after=NOW + DAY) == [("warn", "meshctl certs ls")]
    identity = IdentityView("spiffe://m/service/web", "99", "cd", NOW, NOW + DAY, 0)
    assert [line.detail for line in certificate_lines([health(identity=identity).proxy], {"99"}, NOW)] == [
        "presents a certificate that is revoked"
    ]


def test_the_gravest_comes_first() -> None:
    """The state of a mesh is that of its worst line, which stands first; an area without any says that it is well."""
    lines = [Line("services", state, state, "") for state in ("note", "fail", "warn")]  # type: ignore[arg-type]
    assert [line.name for line in with_passes("services", lines, "well")] == ["fail", "warn", "note"]
    assert with_passes("services", [], "well") == [Line("services", "pass", "services", "well")]
    assert gravest(lines) == "fail"
    assert gravest([]) == "pass"
