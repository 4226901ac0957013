"""Traces of a running gateway, as receivers get them."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from .conftest import StartGateway
from .otlp_receiver import MockOtlpServer, Receiver, has_mock_otlp_server
from .servers import Upstreams
from .waiting import until

TEXT = """\
[mesh]
name = "shop"
[gateway]
listen = ["127.0.0.1:0"]
[[routes]]
name = "all"
service = "orders"
[services.orders]
endpoints = ["{dead}", "{alive}"]
balance = "round_robin"
ejection = false
[tracing]
endpoint = "{receiver}"
sample = "100%"
headers_file = "otlp.headers"
"""
TRACE, CALLER = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A receiver of the test's own."""
    made = Receiver()
    yield made
    made.close()


@pytest.fixture
def dead() -> Iterator[str]:
    """An address where nobody listens."""
    with socket.socket() as end:
        end.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{end.getsockname()[1]}"


def test_a_gateway_tells(
    start_gateway: StartGateway, upstreams: Upstreams, receiver: Receiver, dead: str, tmp_path: Path, http: httpx.Client
) -> None:
    """A receiver gets a request's span and one for each try, under the gateway's name and with the headers it wants;
    the log has the trace; what was told is counted."""
    (tmp_path / "otlp.headers").write_text("x-token: secret\n")
    file = tmp_path / "mesh.toml"
    file.write_text(TEXT.format(dead=dead, alive=upstreams.address("a"), receiver=receiver.url))
    gateway = start_gateway("-c", file)
    for _ in range(2):  # one of them finds the dead endpoint first
        http.get(f"{gateway.url}/x", headers={"traceparent": f"00-{TRACE}-{CALLER}-01"}).raise_for_status()
    receiver.until(5)  # at least one more than without a retry
    until(lambda: len(receiver.spans) == sum(2 + each["attributes"].get("meshctl.retries", 0) for each in receiver.spans
                                             if each["kind"] == "server"), "all of each trace")  # fmt: skip
    spans = list(receiver.spans)
    servers = [each for each in spans if each["kind"] == "server"]
    assert {(each["trace"], each["parent"], each["service"]) for each in servers} == {(TRACE, CALLER, "gateway")}
    retried = next(each for each in servers if each["attributes"]["meshctl.retries"])
    failed, answered = sorted(
        (each for each in spans if each["parent"] == retried["id"]), key=lambda each: each["start"]
    )
    assert (failed["failed"], failed["attributes"]["error.type"]) == (True, "upstream_connect")
    assert failed["attributes"]["meshctl.endpoint"] == dead
    assert (answered["failed"], answered["attributes"]["http.request.resend_count"]) == (False, 1)
    assert (
        retried["start"] <= failed["start"] <= failed["end"] <= answered["start"] <= answered["end"] <= retried["end"]
    )
    assert (receiver.resources[0]["service.namespace"], receiver.headers["x-token"]) == ("shop", "secret")
    assert {line["trace_id"] for line in gateway.log()} == {TRACE}
    until(
        lambda: f"meshctl_spans_exported_total {len(spans)}.0" in httpx.get(f"{gateway.admin}/metrics").text,
        "the count",
    )


@pytest.mark.skipif(not has_mock_otlp_server(), reason="npm's @elastic/mockotlpserver is not installed")
def test_a_receiver_of_others(
    start_gateway: StartGateway, upstreams: Upstreams, dead: str, tmp_path: Path, http: httpx.Client
) -> None:
    """A receiver that others wrote understands all that is told."""
    receiver = MockOtlpServer()
    (tmp_path / "otlp.headers").write_text("")
    file = tmp_path / "mesh.toml"
    file.write_text(TEXT.format(dead=dead, alive=upstreams.address("a"), receiver=receiver.url))
    gateway = start_gateway("-c", file)
    http.get(f"{gateway.url}/x", headers={"traceparent": f"00-{TRACE}-{CALLER}-01"}).raise_for_status()
    spans = receiver.until(lambda found: any(each["kind"] == "SPAN_KIND_SERVER" for each in found))
    (server,) = (each for each in spans if each["kind"] == "SPAN_KIND_SERVER")
    assert (server["traceId"], server["parentSpanId"], server["name"]) == (TRACE, CALLER, "GET /")
    assert (server["attributes"]["http.response.status_code"], server["resource"]["service.name"]) == (200, "gateway")
    assert {each["parentSpanId"] for each in spans if each["kind"] == "SPAN_KIND_CLIENT"} == {server["spanId"]}
    receiver.close()
