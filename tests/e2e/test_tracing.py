"""Traces of a running gateway, as receivers get them."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from .conftest import StartGateway
from .otlp_receiver import MockOtlpServer, Receiver, has_mock_otlp_server
from .servers import Upstreams
from .two_apps import two_apps
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
    receiver.until(lambda spans: len(spans) >= 5)  # at least one more than without a retry
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
        lambda: (
            f"meshctl_spans_exported_total {len(spans)}.0" in httpx.get(f"{gateway.admin}/metrics", timeout=30).text
        ),
        "the count",
    )


MESH = """\
[mesh]
name = "shop"
[gateway]
listen = ["127.0.0.1:0"]
access_log = "off"
[[routes]]
path = "/"
service = "web"
[services.web]
[services.orders]
trace_hook = false
[tracing]
endpoint = "{receiver}"
sample = "0%"
"""
HOPS = [
    ("gateway", "server", "gateway"),
    ("gateway", "client", "web"),
    ("web", "server", "inbound"),
    ("web", "client", "local:web"),
    ("web", "server", "outbound"),
    ("web", "client", "orders"),
    ("orders", "server", "inbound"),
    ("orders", "client", "local:orders"),
]


def test_a_trace_through_the_mesh(tmp_path: Path, http: httpx.Client) -> None:
    """A request and the call that an app makes for it, through the gateway and the sidecars of both apps, are one trace
    in which each span is part of the one before, although neither app knows of traces. The receiver that understands
    all of it is one that others wrote, where it is installed."""
    receiver = MockOtlpServer() if has_mock_otlp_server() else Receiver()
    with two_apps(tmp_path, MESH.format(receiver=receiver.url)) as (gateway, *wrapped):
        url = f"{gateway.url}/call?url=http://orders/headers"

        def answered() -> httpx.Response | None:
            got = http.get(url)  # not recorded: the gateway may not know of the apps yet
            return got if got.status_code == 200 and got.json()["status"] == 200 else None

        until(answered, "both apps to answer", timeout=60)
        seen = http.get(url, headers={"traceparent": f"00-{TRACE}-{CALLER}-01", "tracestate": "a=1"}).json()["body"]
        hooked = [http.get(f"http://127.0.0.1:{each.port}/env").json().get("PYTHONPATH", "") for each in wrapped]
        assert ["trace_hook" in path for path in hooked] == [True, False]
        found = receiver.until(lambda spans: len(spans) >= len(HOPS))
        assert chain(found) == HOPS
        assert seen["traceparent"].startswith(f"00-{TRACE}-")
        assert seen["tracestate"] == "a=1"
    receiver.close()


def chain(spans: list[dict[str, Any]]) -> list[tuple[str, str, str]]:
    """The spans from the caller's on, each a part of the one before: whose, of which side, and where it came in or
    where it went."""
    assert {each.get("traceId", each.get("trace")) for each in spans} == {TRACE}
    below = {each.get("parentSpanId", each.get("parent")): each for each in spans}
    assert len(below) == len(spans)
    found, parent = [], CALLER
    while parent in below:
        each = below[parent]
        about = each["attributes"]
        side = str(each["kind"]).removeprefix("SPAN_KIND_").lower()
        service = each["service"] if "service" in each else each["resource"]["service.name"]
        found.append((service, side, about["meshctl.entry" if side == "server" else "meshctl.service"]))
        parent = each.get("spanId", each.get("id"))
    return found
