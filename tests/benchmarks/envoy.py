"""Envoy as the same gateway: one route per prefix, JSON log, its default request id, statistics and W3C traceparent."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from .case import HOST, Case, TlsFiles, prefix

TYPE = "type.googleapis.com/envoy.extensions."
_CLUSTER = "shop"
_LOG = {
    "time": "%START_TIME%",
    "request_id": "%REQ(X-REQUEST-ID)%",
    "traceparent": "%REQ(TRACEPARENT)%",
    "client": "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%",
    "method": "%REQ(:METHOD)%",
    "host": "%REQ(:AUTHORITY)%",
    "path": "%REQ(:PATH)%",
    "status": "%RESPONSE_CODE%",
    "reason": "%RESPONSE_FLAGS%",
    "route": "%ROUTE_NAME%",
    "service": "%UPSTREAM_CLUSTER%",
    "endpoint": "%UPSTREAM_HOST%",
    "duration_ms": "%DURATION%",
    "upstream_ms": "%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)%",
    "bytes_in": "%BYTES_RECEIVED%",
    "bytes_out": "%BYTES_SENT%",
    "protocol": "%PROTOCOL%",
    "user_agent": "%REQ(USER-AGENT)%",
}


def configure(case: Case, *, tracing: bool = True) -> list[str]:
    """Write envoy.json; return the command."""
    made = manager(case.access_log, routes(prefix(number) for number in range(case.routes)), tracing=tracing)
    chain = made | ({"transport_socket": _downstream_tls(case.tls)} if case.tls else {})
    return command(case.folder / "envoy.json", case.port, chain, cluster(case.upstream_port), case.workers)


def command(path: Path, port: int, chain: dict[str, Any], made: dict[str, Any], workers: int) -> list[str]:
    """Write an Envoy with one listener, of one filter chain, and one cluster to `path`; return the command."""
    listener = {"name": "edge", "address": address(port), "filter_chains": [chain]}
    path.write_text(json.dumps({"static_resources": {"listeners": [listener], "clusters": [made]}}))
    quiet = ["--disable-hot-restart", "--log-level", "warning"]
    return ["envoy", "-c", str(path), "--concurrency", str(workers), *quiet]


def routes(prefixes: Iterable[str]) -> list[dict[str, Any]]:
    """One route for each prefix."""
    return [
        {"name": f"route-{number}", "match": {"prefix": f"{each}/"}, "route": {"cluster": _CLUSTER}}
        for number, each in enumerate(prefixes)
    ]


def manager(log: Path, made: list[dict[str, Any]], *, tracing: bool = True) -> dict[str, Any]:
    """A filter chain that is an HTTP connection manager with these routes."""
    config = {
        "@type": f"{TYPE}filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "edge",
        "use_remote_address": True,
        "always_set_request_id_in_response": True,
        "access_log": [{"name": "file", "typed_config": _access_log(log)}],
        "http_filters": [
            {"name": "envoy.filters.http.router", "typed_config": {"@type": f"{TYPE}filters.http.router.v3.Router"}}
        ],
        "route_config": {
            "virtual_hosts": [{"name": "all", "domains": ["*"], "routes": made}],
            "request_headers_to_add": [{"header": {"key": "x-forwarded-host", "value": "%REQ(:AUTHORITY)%"}}],
        },
    }
    return {"filters": [{"name": "http", "typed_config": config | ({"tracing": _tracing()} if tracing else {})}]}


def _tracing() -> dict[str, Any]:
    """A tracer that must name an exporter but samples nothing: all that is left of it is the header, made or kept."""
    exporter = {"http_uri": {"uri": "http://shop/v1/traces", "cluster": _CLUSTER, "timeout": "1s"}}
    kind = "type.googleapis.com/envoy.config.trace.v3.OpenTelemetryConfig"
    tracer = {"@type": kind, "service_name": "edge", "http_service": exporter}
    provider = {"name": "envoy.tracers.opentelemetry", "typed_config": tracer}
    return {"provider": provider, "random_sampling": {"value": 0}}


def _access_log(path: Path) -> dict[str, Any]:
    return {
        "@type": f"{TYPE}access_loggers.file.v3.FileAccessLog",
        "path": str(path),
        "log_format": {"json_format": _LOG},
    }


def cluster(port: int) -> dict[str, Any]:
    """The upstream: one address."""
    endpoint = {"endpoint": {"address": address(port)}}
    assignment = {"cluster_name": _CLUSTER, "endpoints": [{"lb_endpoints": [endpoint]}]}
    return {"name": _CLUSTER, "type": "STATIC", "load_assignment": assignment}


def address(port: int) -> dict[str, Any]:
    """A port of the loopback interface."""
    return {"socket_address": {"address": HOST, "port_value": port}}


def _downstream_tls(files: TlsFiles) -> dict[str, Any]:
    pair = {"certificate_chain": {"filename": str(files.certificate)}, "private_key": {"filename": str(files.key)}}
    context = {"tls_certificates": [pair], "tls_params": {"tls_maximum_protocol_version": "TLSv1_3"}}
    kind = f"{TYPE}transport_sockets.tls.v3.DownstreamTlsContext"
    return {"name": "tls", "typed_config": {"@type": kind, "common_tls_context": context}}
