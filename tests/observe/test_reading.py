"""What several proxies tell, as one picture in which each request is counted once."""

from __future__ import annotations

from meshctl.observe.counters import Counters
from meshctl.observe.reading import MTLS, PLAIN, Flow, Load, Reading, Row, flows, joined, rows
from meshctl.observe.sample import SeriesSample


def series(
    route: str, service: str, version: str = "v1", *, callers: tuple[str, ...] = ("",), status: int = 200, ms: int = 10
) -> SeriesSample:
    """A series with one request of each caller."""
    counters = Counters()
    made = counters.series(route, service, version)
    for caller in callers:
        reason = "no_endpoint" if status == 503 else ""
        (made.of(caller) if caller else made).record(status, ms / 1000, 10, 100, reason)
    return made.freeze()


GATEWAY = Reading(
    "gateway",
    "gateway",
    seconds=10.0,
    series=(series("shop", "web"), series("", "", ""), series("legacy", "legacy", "default")),
    loads=(Load("web", "v1", 1, 2, MTLS), Load("legacy", "default", 0, 1, PLAIN)),
)
WEB = Reading(
    "web-1",
    "web",
    "local:web",
    10.0,
    (series("outbound:orders", "orders"), series("inbound", "local:web", callers=("gateway",))),
    (Load("orders", "v1", 0, 1, MTLS), Load("local:web", "v1", 0, 1, PLAIN)),
)
ORDERS = Reading(
    "orders-1", "orders", "local:orders", 10.0, (series("inbound", "local:orders", callers=("web", "", "cron")),)
)


def told(*readings: Reading) -> set[tuple[str, str, str, int, str]]:
    """The flows in short: caller, service, version, requests, tls."""
    return {(flow.caller, flow.service, flow.version, flow.series.requests, flow.tls) for flow in flows(list(readings))}


def test_each_request_counts_once() -> None:
    """What gateway, caller and callee all saw counts where it was sent; what only the callee saw counts there."""
    assert told(GATEWAY, WEB, ORDERS) == {
        ("gateway", "web", "v1", 1, MTLS),
        ("gateway", "", "", 1, ""),
        ("gateway", "legacy", "default", 1, PLAIN),
        ("web", "orders", "v1", 1, MTLS),
        ("cron", "orders", "v1", 1, MTLS),
        ("", "orders", "v1", 1, PLAIN),
    }


def test_a_silent_proxy_is_told_of_by_those_it_calls() -> None:
    """Where a caller's own proxy does not answer, what its callee counted of it takes the place."""
    assert ("web", "orders", "v1", 1, MTLS) in told(GATEWAY, ORDERS)
    assert ("gateway", "web", "v1", 1, MTLS) in told(WEB, ORDERS)


def test_why_a_callee_refused_is_told_with_its_callers_requests() -> None:
    """The caller's proxy knows the status and counts the request; the reason is the callee's, of whatever version."""
    refused = series("inbound", "local:orders", "", callers=("web", "web"), status=503)
    orders = Reading("orders-1", "orders", "local:orders", 10.0, (refused,), (Load("local:orders", "v1"),))
    row = rows(flows([WEB, orders]), lambda flow: (flow.caller, flow.service, flow.version))["web", "orders", "v1"]
    assert (row.requests, row.reasons, row.tls) == (1, {"no_endpoint": 2}, MTLS)
    assert rows(flows([orders]), lambda flow: (flow.caller,))["web",].requests == 2


def test_rows_add_counts_and_rates_and_merge_latencies() -> None:
    """A row has the sum of all rates, each over its proxy's own time, and percentiles of all requests together."""
    slow, fast = series("a", "s", callers=("",), ms=1000), series("a", "s", callers=("",) * 99, ms=10)
    both = [Flow("x", "a", "s", "v1", slow, 1.0, PLAIN), Flow("y", "a", "s", "v1", fast, 10.0, MTLS)]
    found = rows(both, lambda flow: (flow.service,))
    row = found["s",]
    assert (row.requests, row.errors, row.success) == (100, 0, 1.0)
    assert round(row.rps, 6) == 10.9
    assert 10 * round(row.received / 1.09) == 1000  # 10 B each: 10/s + 99 B/s
    assert 0.009 < row.p50 == row.p99 < 0.011
    assert row.tls == "mtls+plain"
    assert {("x",), ("y",)} == rows(both, lambda flow: (flow.caller,)).keys()


def test_failures_have_reasons() -> None:
    """A row tells its share of successes and why proxies answered themselves; one without requests has no share."""
    bad, good = series("a", "s", callers=("",) * 3, status=503), series("a", "s", callers=("",))
    (row,) = rows(
        [Flow("x", "a", "s", "v1", bad, 1.0), Flow("x", "a", "s", "v1", good, 1.0)], lambda _: ("all",)
    ).values()
    assert (row.success, row.reasons) == (0.25, {"no_endpoint": 3})
    assert Row().success is None


def test_an_answer_that_was_cut_off_failed_once() -> None:
    """Its caller counts it as failed; the callee's word on why is no second failure."""
    cut = Counters()
    cut.series("outbound:orders", "orders", "v1").record(200, 0.01, 0, 3, "upstream_cut")
    inbound = Counters()
    inbound.series("inbound", "local:orders", "v1").of("web").record(200, 0.01, 0, 3, "upstream_cut")
    web = Reading("web-1", "web", "local:web", 10.0, cut.export().series)
    orders = Reading("orders-1", "orders", "local:orders", 10.0, inbound.export().series)
    row = rows(flows([web, orders]), lambda flow: (flow.service,))["orders",]
    assert (row.requests, row.errors, row.success) == (1, 1, 0.0)


def test_what_clients_gave_up_is_no_success() -> None:
    """Where nobody waited for an answer there is no share of successes."""
    counters = Counters()
    for status, reason in ((499, "client_gone"), (499, "client_gone")):
        counters.series("r", "s", "v1").record(status, 0.01, 0, 0, reason)
    flow = Flow("x", "r", "s", "v1", counters.export().series[0], 1.0)
    found = rows([flow], lambda _: ("s",))["s",]
    assert (found.requests, found.given_up, found.success) == (2, 2, None)


def test_ways_of_speaking_are_joined_in_order() -> None:
    """However they come, each is named once, the best first."""
    assert joined(["plain", "", "plain+mtls"]) == "mtls+plain"
    assert joined([""]) == ""
