"""Caddy as the same gateway: a matcher per route, JSON log, metrics, request id; no plain way to a traceparent."""

from __future__ import annotations

import json
from typing import Any

from .case import HOST, Case, prefix


def configure(case: Case) -> list[str]:
    """Write caddy.json; return the command."""
    server: dict[str, Any] = {
        "listen": [f"{HOST}:{case.port}"],
        "automatic_https": {"disable": True},
        "routes": [{"handle": [_request_id()]}, *(_route(n, case.upstream_port) for n in range(case.routes))],
        "logs": {"default_logger_name": "access"},
        "metrics": {},
    }
    apps: dict[str, Any] = {"http": {"servers": {"edge": server}}}
    if case.tls:
        server["tls_connection_policies"] = [{}]
        pair = {"certificate": str(case.tls.certificate), "key": str(case.tls.key)}
        apps["tls"] = {"certificates": {"load_files": [pair]}}
    log = {
        "writer": {"output": "file", "filename": str(case.access_log), "roll": False},
        "encoder": {"format": "json"},
        "include": ["http.log.access.access"],
    }
    logs = {"default": {"level": "ERROR"}, "access": log}
    path = case.folder / "caddy.json"
    path.write_text(json.dumps({"admin": {"disabled": True}, "logging": {"logs": logs}, "apps": apps}))
    # One worker here is one processor for Go's scheduler; env is the portable way to say so.
    home = [f"HOME={case.folder}", f"XDG_DATA_HOME={case.folder}", f"XDG_CONFIG_HOME={case.folder}"]
    return ["env", f"GOMAXPROCS={case.workers}", *home, "caddy", "run", "--config", str(path)]


def _request_id() -> dict[str, Any]:
    added = {"set": {"X-Request-Id": ["{http.request.uuid}"]}}
    return {"handler": "headers", "request": added, "response": added}


def _route(number: int, upstream_port: int) -> dict[str, Any]:
    proxy = {"handler": "reverse_proxy", "upstreams": [{"dial": f"{HOST}:{upstream_port}"}]}
    return {"match": [{"path": [f"{prefix(number)}/*"]}], "handle": [proxy], "terminal": True}
