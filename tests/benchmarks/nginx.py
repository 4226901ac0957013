"""nginx as the same gateway: one location per route, JSON log, request id and traceparent from variables."""

from __future__ import annotations

import os

from .case import HOST, Case, prefix

_LOG = (
    '{"time":"$time_iso8601","request_id":"$request_id","traceparent":"$trace","client":"$remote_addr","method":"$request_method",'
    '"host":"$host","path":"$uri","status":$status,"duration":$request_time,"upstream":"$upstream_addr",'
    '"upstream_duration":"$upstream_header_time","bytes_in":$request_length,"bytes_out":$bytes_sent,'
    '"protocol":"$server_protocol","user_agent":"$http_user_agent"}'
)


def configure(case: Case) -> list[str]:
    """Write nginx.conf; return the command."""
    folder = case.folder
    user = "user root;" if os.geteuid() == 0 else ""
    tls = f"ssl_certificate {case.tls.certificate}; ssl_certificate_key {case.tls.key};" if case.tls else ""
    locations = "\n".join(f"    location {prefix(n)}/ {{ proxy_pass http://shop; }}" for n in range(case.routes))
    (folder / "nginx.conf").write_text(f"""
{user}
daemon off; worker_processes {case.workers}; pid {folder}/nginx.pid; error_log stderr warn;
events {{ worker_connections 4096; }}
http {{
  log_format shop escape=json '{_LOG}';
  access_log {case.access_log} shop buffer=64k flush=1s;
  map $request_id $span {{ "~^(?<half>.{{16}})" $half; }}
  map $http_traceparent $trace {{ "" "00-$request_id-$span-01"; default $http_traceparent; }}
  keepalive_requests 1000000000; keepalive_timeout 600s; client_max_body_size 0; tcp_nodelay on;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  upstream shop {{ server {HOST}:{case.upstream_port}; keepalive 64; keepalive_requests 1000000000; }}
  server {{
    listen {HOST}:{case.port} {"ssl" if tls else ""} {"reuseport" if case.workers > 1 else ""} backlog=4096;
    {tls}
    proxy_http_version 1.1;
    proxy_request_buffering off; proxy_buffers 16 32k; proxy_busy_buffers_size 128k; proxy_max_temp_file_size 0;
    proxy_set_header Connection "";
    proxy_set_header Host $host;
    proxy_set_header X-Request-Id $request_id;
    proxy_set_header traceparent $trace;
    proxy_set_header X-Forwarded-For $remote_addr;
    proxy_set_header X-Forwarded-Proto $scheme;
    proxy_set_header X-Forwarded-Host $host;
    add_header X-Request-Id $request_id;
{locations}
    location / {{ return 404; }}
  }}
}}
""")
    return ["nginx", "-p", str(folder), "-e", "stderr", "-c", str(folder / "nginx.conf")]
