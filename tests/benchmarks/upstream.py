"""The server behind every contender: an nginx of its own that answers from memory, or a 1 MB file. The same for all."""

from __future__ import annotations

import os
from pathlib import Path

from .case import HOST

BIG = 1024 * 1024
ECHO = "/echo"
ECHOED = ("x-request-id", "traceparent", "x-forwarded-for", "x-forwarded-proto", "x-forwarded-host")
DOWNLOAD = "/files/one-megabyte"
UPLOAD = "/uploads"

_BODY = (
    '{"id":4711,"name":"Blue enamel mug","price":{"amount":"14.50","currency":"EUR"},'
    '"stock":37,"tags":["kitchen","gift"]}'
)


def configure(folder: Path, port: int) -> list[str]:
    """Write the configuration and the file into `folder`; return the command that serves them on `port`."""
    files = folder / "files"
    files.mkdir()
    (files / "one-megabyte").write_bytes(os.urandom(BIG))
    echo = "|".join(f"$http_{name.replace('-', '_')}" for name in ECHOED)
    user = "user root;" if os.geteuid() == 0 else ""
    # An upload is read to its end before it is answered: the body goes nowhere, but nginx must have it first.
    (folder / "nginx.conf").write_text(f"""
{user}
daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log stderr warn;
events {{ worker_connections 4096; }}
http {{
  access_log off; default_type application/json; etag off; tcp_nopush on; sendfile on;
  keepalive_requests 1000000000; keepalive_timeout 600s; client_max_body_size 0; client_body_buffer_size 2m;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  server {{
    listen {HOST}:{port} backlog=4096;
    add_header Cache-Control "private, max-age=60";
    add_header Vary Accept-Encoding;
    add_header X-Content-Type-Options nosniff;
    location / {{ return 200 '{_BODY}'; }}
    location ~ {ECHO}$ {{ return 200 "{echo}"; }}
    location /sink {{ return 200 '{_BODY}'; }}
    location ~ {UPLOAD}$ {{
      rewrite ^ /sink break; proxy_pass http://{HOST}:{port}; proxy_pass_request_body off;
      proxy_set_header Content-Length "";
    }}
    location ~ {DOWNLOAD}$ {{ rewrite .*({DOWNLOAD})$ $1 break; root {folder}; }}
  }}
}}
""")
    return ["nginx", "-p", str(folder), "-e", "stderr", "-c", str(folder / "nginx.conf")]
