"""Receivers of OTLP over HTTP: one in a thread of the test that may be told to fail, and one that others wrote."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from .waiting import until

_KINDS: Final = {2: "server", 3: "client"}
_PROGRAM: Final = """
const {MockOtlpServer, normalizeTrace} = require('@elastic/mockotlpserver');
const server = new MockOtlpServer({
    logLevel: 'error', services: ['http'], httpHostname: '127.0.0.1', httpPort: 0,
    onTrace: trace => console.log(JSON.stringify(normalizeTrace(trace))),
});
server.start().then(() => console.log(JSON.stringify({url: server.httpUrl})));
process.stdin.on('end', () => process.exit(0)).resume();
"""


class Receiver:
    """A receiver on loopback. Spans are dictionaries of what matters, in the order in which they came."""

    def __init__(self, status: int = 200, rejects: int = 0) -> None:
        self.status = status
        self.rejects = rejects
        """How many spans of each batch it says that it did not want."""
        self.spans: list[dict[str, Any]] = []
        self.requests = 0
        self.headers: dict[str, str] = {}
        self.resources: list[dict[str, Any]] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    def __repr__(self) -> str:
        return f"<Receiver {self.url} {len(self.spans)} spans>"

    @property
    def url(self) -> str:
        """What a configuration names."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def until(self, holds: Callable[[list[dict[str, Any]]], bool]) -> list[dict[str, Any]]:
        """Its spans, once they are as wanted."""
        until(lambda: holds(self.spans), "the spans", timeout=60)
        return list(self.spans)

    def close(self) -> None:
        """Listen no more."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                assert (self.path, self.headers["Content-Type"]) == ("/v1/traces", "application/x-protobuf")
                receiver.requests += 1
                receiver.headers = dict(self.headers.items())
                if receiver.status == 200:
                    receiver.take(ExportTraceServiceRequest.FromString(body))
                answer = ExportTraceServiceResponse()
                answer.partial_success.rejected_spans = receiver.rejects
                said = answer.SerializeToString() if receiver.rejects else b""
                self.send_response(receiver.status)
                self.send_header("Content-Type", "application/x-protobuf")
                self.send_header("Content-Length", str(len(said)))
                self.end_headers()
                self.wfile.write(said)

            def log_message(self, *_: object) -> None:
                pass

        return Handler

    def take(self, request: Any) -> None:
        """Keep what a request says."""
        for resource in request.resource_spans:
            about = _values(resource.resource.attributes)
            self.resources.append(about)
            for scope in resource.scope_spans:
                assert scope.scope.name == "meshctl"
                self.spans += [_span(each, about) for each in scope.spans]


def _span(span: Any, resource: dict[str, Any]) -> dict[str, Any]:
    return {
        "trace": span.trace_id.hex(),
        "id": span.span_id.hex(),
        "parent": span.parent_span_id.hex(),
        "name": span.name,
        "kind": _KINDS[span.kind],
        "failed": span.status.code == 2,
        "start": span.start_time_unix_nano,
        "end": span.end_time_unix_nano,
        "state": span.trace_state,
        "service": resource["service.name"],
        "attributes": _values(span.attributes),
    }


def _values(attributes: Any) -> dict[str, Any]:
    return {each.key: getattr(each.value, each.value.WhichOneof("value")) for each in attributes}


class MockOtlpServer:
    """`@elastic/mockotlpserver`, as a process."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            ["node", "-e", _PROGRAM], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        self._lines: list[str] = []
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()
        until(lambda: bool(self._lines), "the receiver to listen", timeout=60)
        self.url: str = json.loads(self._lines[0])["url"].rstrip("/")

    def __repr__(self) -> str:
        return f"<MockOtlpServer process {self._process.pid}>"

    def spans(self) -> list[dict[str, Any]]:
        """What it has understood: each span with its resource, as it prints them."""
        return [each for line in self._lines[1:] for each in _understood(json.loads(line))]

    def until(self, holds: Callable[[list[dict[str, Any]]], bool]) -> list[dict[str, Any]]:
        """Its spans, once they are as wanted."""
        until(lambda: holds(self.spans()), "the spans", timeout=60)
        return self.spans()

    def close(self) -> None:
        """End it; it must have understood everything."""
        _, error = self._process.communicate(timeout=30)
        self._thread.join()
        assert error == ""

    def _read(self) -> None:
        assert self._process.stdout
        for line in self._process.stdout:
            self._lines.append(line)


def has_mock_otlp_server() -> bool:
    """Whether Node finds it."""
    if shutil.which("node") is None:
        return False
    found = subprocess.run(
        ["node", "-e", "require.resolve('@elastic/mockotlpserver')"], capture_output=True, env=os.environ, check=False
    )
    return found.returncode == 0


def _understood(document: Any) -> list[dict[str, Any]]:
    return [
        {**span, "resource": resource["resource"]["attributes"]}
        for resource in document["resourceSpans"]
        for scope in resource["scopeSpans"]
        for span in scope["spans"]
    ]
