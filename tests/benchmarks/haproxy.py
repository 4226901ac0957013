"""HAProxy as the same gateway: a prefix map chooses the backend, JSON log to its own output file, ids from `uuid`."""

from __future__ import annotations

from .case import HOST, Case, prefix

_LOG = (
    r"{\"time\":\"%[date,ltime(%Y-%m-%dT%H:%M:%S)]\",\"request_id\":\"%ID\",\"traceparent\":\"%[var(txn.trace)]\","
    r"\"client\":\"%ci\",\"method\":\"%HM\",\"host\":\"%[var(txn.host)]\",\"path\":\"%HPO\",\"status\":%ST,\"duration\":%Ta,"
    r"\"service\":\"%b\",\"endpoint\":\"%s\",\"upstream_duration\":%Tr,\"bytes_in\":%U,\"bytes_out\":%B,"
    r"\"protocol\":\"%HV\",\"user_agent\":\"%[var(txn.agent),json(utf8s)]\"}"
)

# A random UUID without its dashes is the trace id; some of it again, the span id.
_PIECES = [f"%[var(txn.uuid),bytes({piece})]" for piece in ("0,8", "9,4", "14,4", "19,4", "24,12")]
_TRACE = f"00-{''.join(_PIECES)}-{_PIECES[0]}%[var(txn.uuid),bytes(28,8)]-01"


def configure(case: Case) -> list[str]:
    """Write haproxy.cfg and the map; return the command."""
    (case.folder / "routes.map").write_text("".join(f"{prefix(n)}/ shop\n" for n in range(case.routes)))
    tls = f"ssl crt {case.tls.bundle}" if case.tls else ""
    (case.folder / "haproxy.cfg").write_text(f"""
global
  log stdout format raw local0
  nbthread {case.workers}
  maxconn 4096
  tune.http.maxhdr 200
defaults
  mode http
  log global
  option http-keep-alive
  option dontlognull
  http-reuse always
  timeout connect 5s
  timeout client 60s
  timeout server 60s
  timeout http-keep-alive 600s
frontend edge
  bind {HOST}:{case.port} {tls} backlog 4096
  unique-id-format %[uuid]
  unique-id-header X-Request-Id
  log-format "{_LOG}"
  http-request set-var(txn.host) req.hdr(host)
  http-request set-var(txn.agent) req.hdr(user-agent)
  http-request set-var(txn.uuid) uuid
  http-request set-var-fmt(txn.trace) "{_TRACE}" unless {{ req.hdr(traceparent) -m found }}
  http-request set-header traceparent %[var(txn.trace)] unless {{ req.hdr(traceparent) -m found }}
  http-request set-header X-Forwarded-For %[src]
  http-request set-header X-Forwarded-Proto {"https" if case.tls else "http"}
  http-request set-header X-Forwarded-Host %[req.hdr(host)]
  http-response set-header X-Request-Id %[unique-id]
  use_backend %[path,map_beg({case.folder}/routes.map,none)]
backend shop
  server one {HOST}:{case.upstream_port}
backend none
  http-request return status 404
""")
    return ["haproxy", "-db", "-f", str(case.folder / "haproxy.cfg")]
