"""The admin API: what a proxy answers about itself, over its Unix socket (0600: whoever may use the home) and, reading
only, over TCP for probes and Prometheus.

aiohttp serves it and is loaded with the first question (but see `reception`): an idle proxy does not pay 17 MB for it.
What the TCP side answers, and to whom, `strangers` says.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from typing import TYPE_CHECKING, Any, Final

import msgspec

from meshctl.control.admin_socket import BACKLOG, AdminSocket
from meshctl.control.apis import caller_views
from meshctl.control.health import health
from meshctl.control.metrics import mesh_metrics, own_metrics, told
from meshctl.control.readings import reading
from meshctl.control.reception import Reception
from meshctl.control.sockets import bind_one
from meshctl.control.strangers import check_stranger, guarded
from meshctl.control.tapping import Tapping
from meshctl.control.views import explain_view, plain_views, route_views, service_views, version_tallies
from meshctl.errors import MeshError
from meshctl.model.address import parse_address
from meshctl.model.mesh import Listener
from meshctl.observe.log import Events
from meshctl.proxy.tasks import spawn

if TYPE_CHECKING:
    from aiohttp import web

    from meshctl.control.supervisor import Supervisor

LOOK_EVERY: Final = 5.0
"""Seconds after which a socket that was removed is missed."""
SYNCED_WITHIN: Final = 5.0
"""Seconds that a question whether traffic is up to a revision of the store may wait for it."""


class Admin:
    """The admin sockets of one proxy."""

    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor = supervisor
        self._socket = AdminSocket(supervisor.record.socket)
        self._listening: socket.socket | None = None
        tapping = Tapping(supervisor.loop, supervisor.fleet, supervisor.record.service)
        self._reception = Reception(
            supervisor.loop,
            self._up_to,
            self._serve,
            {
                "/v1/stat": lambda query: reading(supervisor, query),
                "/v1/metrics": lambda _query: told(supervisor),
                "/v1/health": lambda _query: health(supervisor),
            },
            {"/v1/tap": tapping.show},
        )
        self._runner: web.AppRunner | None = None
        self._starting: asyncio.Task[web.AppRunner] | None = None
        self._is_told = False
        self._events = Events("admin")

    def __repr__(self) -> str:
        return f"<Admin {self._socket!r} {'serving' if self._runner else 'waiting'}>"

    def open(self, address: str) -> tuple[str, str]:
        """Listen, on TCP unless `address` is "off"; the admin URL, and the address it is bound to. Raises
        MeshError."""
        self._listening = self._socket.make()
        self._reception.open(self._listening)
        self._supervisor.loop.call_later(LOOK_EVERY, self._look)
        if address == "off":
            return "", ""
        host, port = parse_address(address)
        made = bind_one(host, port)
        made.listen(BACKLOG)
        self._reception.open(made)
        taken = made.getsockname()[1]
        return f"http://{Listener(host or 'localhost', taken).address}", Listener(host, taken).address

    def close(self) -> None:
        """Answer no more."""
        self._reception.close()
        self._socket.remove()

    def _look(self) -> None:
        """Listen anew where the socket was removed: who cannot be asked seems to hang."""
        self._supervisor.loop.call_later(LOOK_EVERY, self._look)
        if self._socket.is_there or self._listening is None:
            return
        try:
            made = self._socket.make()
        except MeshError as error:
            if not self._is_told:
                self._is_told = True
                self._events.error("admin_socket_lost", error=error.message, hint="commands cannot ask this proxy")
            return
        self._is_told = False
        self._reception.leave(self._listening)
        self._reception.open(made)
        self._listening = made
        self._events.warning("admin_socket_restored", path=self._supervisor.record.socket)

    async def _serve(self, client: socket.socket) -> None:
        """Have aiohttp serve a client."""
        if self._runner is None:
            if self._starting is None:
                self._starting = spawn(self._start(), name="admin")
            self._runner = await self._starting
        server = self._runner.server
        assert server is not None
        await self._supervisor.loop.connect_accepted_socket(server, client)

    async def _start(self) -> web.AppRunner:
        from aiohttp import web

        @web.middleware
        async def guard(request: web.Request, handler: Any) -> web.StreamResponse:
            # aiohttp marks its middlewares, and a bound method cannot be marked.
            return await self._guard(request, handler)

        application = web.Application(middlewares=[guard])
        application.router.add_get("/healthz", self._healthz)
        application.router.add_get("/readyz", self._readyz)
        application.router.add_get("/metrics", self._metrics)
        application.router.add_get("/metrics/mesh", self._mesh_metrics)
        application.router.add_get("/v1/status", self._status)
        application.router.add_get("/v1/routes", self._routes)
        application.router.add_get("/v1/services", self._services)
        application.router.add_get("/v1/versions", self._versions)
        application.router.add_get("/v1/stat", self._stat)
        application.router.add_get("/v1/mirrors", self._mirrors)
        application.router.add_get("/v1/explain", self._explain)
        application.router.add_get("/v1/synced", self._synced)
        application.router.add_get("/v1/plain", self._plain)
        application.router.add_get("/v1/api/callers", self._api_callers)
        application.router.add_post("/v1/reopen", self._reopen)
        # What is no HTTP has its answer; told with a traceback each, anybody could fill the log with it.
        silent = logging.getLogger("meshctl.admin.http")
        silent.disabled = True
        runner = web.AppRunner(application, access_log=None, handle_signals=False, logger=silent)
        await runner.setup()
        return runner

    async def _guard(self, request: web.Request, handler: Any) -> web.StreamResponse:
        transport = request.transport
        local = transport is not None and transport.get_extra_info("socket").family == socket.AF_UNIX
        answer = await self._answered(request, handler, local)
        answer.headers.update(guarded(answer.headers))
        if not local:
            # A visit is for one question: else the next one could come in the moment in which it ends (`strangers`).
            answer.force_close()
        return answer

    async def _answered(self, request: web.Request, handler: Any, local: bool) -> web.StreamResponse:
        from aiohttp import web

        try:
            if not local:
                check_stranger(request.method, request.path, request.headers)
            answer: web.StreamResponse = await handler(request)
            return answer
        except web.HTTPException as error:
            return _problem(
                error.status, MeshError("failed", f"{request.method} {request.path}: {error.reason.lower()}")
            )
        except MeshError as error:
            return _problem({"refused": 403, "not_found": 404, "usage": 400}.get(error.code, 500), error)
        except Exception as error:
            self._events.error("admin_failed", path=request.path, error=error)
            return _problem(500, MeshError("failed", "the gateway failed to answer; its log tells more"))

    async def _healthz(self, _request: web.Request) -> web.Response:
        return _text(200, "ok\n")

    async def _readyz(self, _request: web.Request) -> web.Response:
        state = self._supervisor.state
        return _text(200 if state == "ready" else 503, f"{state}\n")

    async def _metrics(self, request: web.Request) -> web.Response:
        return _exposition(await own_metrics(self._supervisor, request.headers.get("Accept", "")))

    async def _mesh_metrics(self, request: web.Request) -> web.Response:
        return _exposition(await mesh_metrics(self._supervisor, request.headers.get("Accept", "")))

    async def _status(self, _request: web.Request) -> web.Response:
        await self._supervisor.sampling.sample()
        return _json(self._supervisor.view())

    async def _routes(self, _request: web.Request) -> web.Response:
        await self._supervisor.sampling.sample()
        return _json(route_views(self._supervisor, await service_views(self._supervisor)))

    async def _services(self, _request: web.Request) -> web.Response:
        return _json(await service_views(self._supervisor))

    async def _versions(self, request: web.Request) -> web.Response:
        """How the versions of one service fare."""
        await self._supervisor.sampling.sample()
        services = await service_views(self._supervisor)
        return _json(version_tallies(self._supervisor, request.query.get("service", ""), services))

    async def _stat(self, request: web.Request) -> web.Response:
        return _json(msgspec.Raw(await reading(self._supervisor, request.query)))

    async def _mirrors(self, _request: web.Request) -> web.Response:
        return _json(await self._supervisor.comparing.tallies())

    async def _plain(self, _request: web.Request) -> web.Response:
        return _json(await plain_views(self._supervisor))

    async def _api_callers(self, _request: web.Request) -> web.Response:
        return _json(await caller_views(self._supervisor))

    async def _explain(self, request: web.Request) -> web.Response:
        query = request.query
        if "url" not in query:
            raise MeshError("usage", "explain needs a url")
        services = await service_views(self._supervisor)
        return _json(
            explain_view(
                self._supervisor, query.get("method", "GET"), query["url"], query.getall("header", []), services
            )
        )

    async def _synced(self, request: web.Request) -> web.Response:
        asked = request.query.get("revision", "")
        if not (asked.isascii() and asked.isdecimal()):
            raise MeshError("usage", "synced needs a revision")
        return _json(msgspec.Raw(await self._up_to(int(asked))))

    async def _up_to(self, revision: int) -> bytes:
        """Wait until traffic is up to a revision of the store, and so is whom it trusts."""
        reached = await self._supervisor.changing.synced(revision, SYNCED_WITHIN)
        await self._supervisor.identity.caught_up()
        return msgspec.json.encode({"revision": reached})

    async def _reopen(self, _request: web.Request) -> web.Response:
        self._supervisor.reopen()
        return _json({"reopened": True})


def _json(document: object) -> web.Response:
    from aiohttp import web

    return web.Response(body=msgspec.json.encode(document), content_type="application/json")


def _exposition(scraped: tuple[str, bytes]) -> web.Response:
    from aiohttp import web

    kind, body = scraped
    return web.Response(body=body, headers={"Content-Type": kind})


def _text(status: int, text: str) -> web.Response:
    from aiohttp import web

    return web.Response(status=status, text=text)


def _problem(status: int, error: MeshError) -> web.Response:
    from aiohttp import web

    body = {"title": error.code, "status": status, "detail": error.message, "hint": error.hint, "code": error.code}
    return web.Response(status=status, body=msgspec.json.encode(body), content_type="application/problem+json")
