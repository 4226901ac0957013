"""Apps that answer a request by asking another server with every client they can use; run with the hook. What that
server hears of traces is printed in JSON."""

from __future__ import annotations

import asyncio
import atexit
import json
import socket
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType
from typing import Any

SAID = {"traceparent": "00-12345678901234567890123456789012-1234567890123456-01", "tracestate": "a=1"}
OWN = {"traceparent": "00-own"}
POOL = ThreadPoolExecutor(2)


class Echo(BaseHTTPRequestHandler):
    """Answers with what it heard of a trace."""

    def do_GET(self) -> None:
        body = json.dumps([self.headers.get("traceparent"), self.headers.get("tracestate")]).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


def started(handler: type[BaseHTTPRequestHandler]) -> int:
    """A server in a thread of its own; its port."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server.server_port


URL = f"http://127.0.0.1:{started(Echo)}/"


# clients


def by_urllib(headers: dict[str, str]) -> Any:
    with urllib.request.urlopen(urllib.request.Request(URL, headers=headers), timeout=60) as got:
        return json.load(got)


def by_httpx(headers: dict[str, str]) -> Any:
    import httpx

    with httpx.Client(trust_env=False, timeout=60) as client:
        return client.get(URL, headers=headers).json()


def by_executor(headers: dict[str, str]) -> Any:
    return POOL.submit(by_urllib, headers).result(60)


async def by_httpx_async(headers: dict[str, str]) -> Any:
    import httpx

    async with httpx.AsyncClient(trust_env=False, timeout=60) as client:
        return (await client.get(URL, headers=headers)).json()


async def by_aiohttp(headers: dict[str, str]) -> Any:
    import aiohttp

    async with aiohttp.ClientSession() as session, session.get(URL, headers=headers) as got:
        return await got.json(content_type=None)


async def by_to_thread(headers: dict[str, str]) -> Any:
    return await asyncio.to_thread(by_urllib, headers)


async def by_run_in_executor(headers: dict[str, str]) -> Any:
    return await asyncio.get_running_loop().run_in_executor(None, by_urllib, headers)


SYNC = (by_urllib, by_httpx, by_executor)
ASYNC = (by_httpx_async, by_aiohttp, by_to_thread, by_run_in_executor)


def heard() -> dict[str, Any]:
    """What the other server hears, by client."""
    return {"own": by_urllib(OWN)} | {each.__name__: each({}) for each in SYNC}


async def heard_async() -> dict[str, Any]:
    """The same."""
    return {"own": await by_aiohttp(OWN)} | {each.__name__: await each({}) for each in ASYNC}


# servers


def http_server() -> int:
    class Handler(Echo):
        def do_GET(self) -> None:
            body = json.dumps(heard()).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    return started(Handler)


def bare_wsgi(_: Any, start_response: Any) -> list[bytes]:
    """An app without a framework."""
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps(heard()).encode()]


def wsgiref() -> int:
    from wsgiref.simple_server import WSGIRequestHandler, make_server

    class Quiet(WSGIRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    server = make_server("127.0.0.1", 0, bare_wsgi, handler_class=Quiet)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server.server_port


def waitress() -> int:
    import logging

    from waitress.server import create_server

    # It warns of a queue where a request is there before its threads are: not what is tried here.
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)
    end = socket.create_server(("127.0.0.1", 0))
    threading.Thread(target=create_server(bare_wsgi, sockets=[end]).run, daemon=True).start()
    return int(end.getsockname()[1])


def gunicorn() -> int:
    command = [sys.executable, "-m", "gunicorn", "--chdir", str(Path(__file__).parent), "--no-control-socket"]
    with socket.create_server(("127.0.0.1", 0)) as end:
        process = subprocess.Popen(
            [*command, "--bind", f"fd://{end.fileno()}", "trace_apps:bare_wsgi"],
            pass_fds=[end.fileno()], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        atexit.register(lambda: (process.terminate(), process.wait(60)))
        return int(end.getsockname()[1])


def flask() -> int:
    from flask import Flask

    app = Flask("app")
    app.get("/")(heard)
    return _unnoticed(app)


def django() -> int:
    from django.conf import settings

    settings.configure(ALLOWED_HOSTS=["*"], ROOT_URLCONF=__name__)
    from django.core.wsgi import get_wsgi_application
    from django.http import JsonResponse
    from django.urls import path

    sys.modules[__name__] = ModuleType(__name__)  # run as a path it is in nobody's list of modules
    sys.modules[__name__].urlpatterns = [path("", lambda _: JsonResponse(heard()))]  # type: ignore[attr-defined]
    return _unnoticed(get_wsgi_application())


def _unnoticed(app: Any) -> int:
    """A server of which the hook knows nothing."""
    from wsgiref.handlers import SimpleHandler

    class Handler(BaseHTTPRequestHandler):
        def parse_request(self) -> bool:
            found = super().parse_request()
            from meshctl_trace_hook import said  # what http.server noted is not what is tried here

            said.set(None)
            return found

        def do_GET(self) -> None:
            environ = {"REQUEST_METHOD": "GET", "PATH_INFO": "/", "SERVER_NAME": "x", "SERVER_PORT": "1",
                       "SERVER_PROTOCOL": "HTTP/1.0", "wsgi.input": self.rfile}  # fmt: skip
            environ |= {f"HTTP_{name.upper()}": value for name, value in self.headers.items()}
            SimpleHandler(self.rfile, self.wfile, self.wfile, environ, False, False).run(app)  # type: ignore[arg-type]

    return started(Handler)


def _asgi(app: Any) -> int:
    import uvicorn

    end = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="off"))
    threading.Thread(target=lambda: asyncio.run(server.serve([end])), daemon=True).start()
    return int(end.getsockname()[1])


def fastapi() -> int:
    from fastapi import FastAPI

    app = FastAPI()
    app.get("/")(heard_async)
    app.get("/sync")(heard)
    return _asgi(app)


def uvicorn() -> int:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        body = json.dumps(await heard_async()).encode()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": body})

    return _asgi(app)


def aiohttp() -> int:
    from aiohttp import web

    async def answer(_: web.Request) -> web.Response:
        return web.json_response(await heard_async())

    end = socket.create_server(("127.0.0.1", 0))

    async def serve() -> None:
        app = web.Application()
        app.router.add_get("/", answer)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.SockSite(runner, end).start()
        await asyncio.Event().wait()

    threading.Thread(target=lambda: asyncio.run(serve()), daemon=True).start()
    return int(end.getsockname()[1])


def main(name: str) -> None:
    """Ask the app called `name`, with a trace and without, twice over one connection."""
    serve: Callable[[], int] = globals()[name]
    client = HTTPConnection("127.0.0.1", serve(), timeout=60)
    found: dict[str, Any] = {}
    paths = ("/", "/sync") if name == "fastapi" else ("/",)
    for key, headers in (("joined", SAID), ("alone", {})):
        found[key] = {}
        for path in paths:
            client.request("GET", path, headers=headers)
            found[key] |= json.loads(client.getresponse().read())
        own = found[key].pop("own")
        if key == "joined":
            found["own"] = own
    client.close()
    print(json.dumps(found | {"clients": list(found["joined"])}))
