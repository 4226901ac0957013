"""Envoy as the same gateway: one route per prefix, JSON log, its default request id, statistics and W3C traceparent."""

from __future__ import annotations

import json
from typing import Any

from .case import HOST, Case, TlsFiles, prefix

_TYPE = "type.googleapis.com/envoy.extensions."
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
    listener: dict[str, Any] = {"filters": [{"name": "http", "typed_config": _connections(case, tracing)}]}
    if case.tls:
        listener["transport_socket"] = _downstream_tls(case.tls)
    bootstrap = {
        "static_resources": {
            "listeners": [{"name": "edge", "address": _address(case.port), "filter_chains": [listener]}],
            "clusters": [_cluster(case.upstream_port)],
        },
    }
    path = case.folder / "envoy.json"
    path.write_text(json.dumps(bootstrap))
    quiet = ["--disable-hot-restart", "--log-level", "warning"]
    return ["envoy", "-c", str(path), "--concurrency", str(case.workers), *quiet]


def _connections(case: Case, tracing: bool) -> dict[str, Any]:
    """The HTTP connection manager."""
    routes = [
        {"name": f"route-{n}", "match": {"prefix": f"{prefix(n)}/"}, "route": {"cluster": "shop"}}
        for n in range(case.routes)
    ]
    manager = {
        "@type": f"{_TYPE}filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "edge",
        "use_remote_address": True,
        "always_set_request_id_in_response": True,
        "access_log": [{"name": "file", "typed_config": _access_log(case)}],
        "http_filters": [
            {"name": "envoy.filters.http.router", "typed_config": {"@type": f"{_TYPE}filters.http.router.v3.Router"}}
        ],
        "route_config": {
            "virtual_hosts": [{"name": "all", "domains": ["*"], "routes": routes}],
            "request_headers_to_add": [{"header": {"key": "x-forwarded-host", "value": "%REQ(:AUTHORITY)%"}}],
        },
    }
    return manager | {"tracing": _tracing()} if tracing else manager


def _tracing() -> dict[str, Any]:
    """A tracer that must name an exporter but samples nothing: all that is left of it is the header, made or kept."""
    exporter = {"http_uri": {"uri": "http://shop/v1/traces", "cluster": "shop", "timeout": "1s"}}
    kind = "type.googleapis.com/envoy.config.trace.v3.OpenTelemetryConfig"
    tracer = {"@type": kind, "service_name": "edge", "http_service": exporter}
    provider = {"name": "envoy.tracers.opentelemetry", "typed_config": tracer}
    return {"provider": provider, "random_sampling": {"value": 0}}


def _access_log(case: Case) -> dict[str, Any]:
    return {
        "@type": f"{_TYPE}access_loggers.file.v3.FileAccessLog",
        "path": str(case.access_log),
        "log_format": {"json_format": _LOG},
    }


def _cluster(port: int) -> dict[str, Any]:
    endpoint = {"endpoint": {"address": _address(port)}}
    assignment = {"cluster_name": "shop", "endpoints": [{"lb_endpoints": [endpoint]}]}
    return {"name": "shop", "type": "STATIC", "load_assignment": assignment}


def _address(port: int) -> dict[str, Any]:
    return {"socket_address": {"address": HOST, "port_value": port}}


def _downstream_tls(files: TlsFiles) -> dict[str, Any]:
    pair = {"certificate_chain": {"filename": str(files.certificate)}, "private_key": {"filename": str(files.key)}}
    context = {"tls_certificates": [pair], "tls_params": {"tls_maximum_protocol_version": "TLSv1_3"}}
    kind = f"{_TYPE}transport_sockets.tls.v3.DownstreamTlsContext"
    return {"name": "tls", "typed_config": {"@type": kind, "common_tls_context": context}}
