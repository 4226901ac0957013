"""An app of the soaked mesh, which knows nothing of meshctl: python app.py. Listens on $PORT until it is ended."""

from __future__ import annotations

import hashlib
import os
from collections.abc import AsyncIterator

from aiohttp import ClientSession, ClientTimeout, WSMsgType, web

NAME = os.environ.get("MESHCTL_SIDECAR", "app")


async def answer(request: web.Request) -> web.Response:
    """What was asked, in JSON, with some weight."""
    return web.json_response({"app": NAME, "path": request.path, "weight": "x" * 2000}, headers={"X-Served-By": NAME})


async def upload(request: web.Request) -> web.Response:
    """The body's digest."""
    digest = hashlib.sha256()
    try:
        async for piece in request.content.iter_any():
            digest.update(piece)
    except ConnectionError:
        pass  # Some vanish on purpose.
    return web.json_response({"sha256": digest.hexdigest()})


async def call(request: web.Request) -> web.Response:
    """What another service answers, asked through the environment's proxy."""
    async with request.app["session"].get("http://orders/orders/called") as got:
        await got.read()
        return web.json_response({"status": got.status}, status=got.status)


async def websocket(request: web.Request) -> web.WebSocketResponse:
    """Echoes messages."""
    made = web.WebSocketResponse()
    await made.prepare(request)
    async for message in made:
        if message.type is WSMsgType.TEXT:
            await made.send_str(message.data)
    return made


async def _session(app: web.Application) -> AsyncIterator[None]:
    async with ClientSession(trust_env=True, timeout=ClientTimeout(30)) as app["session"]:
        yield


def main() -> None:
    """Serve."""
    made = web.Application(client_max_size=0)
    made.cleanup_ctx.append(_session)
    made.router.add_post("/upload", upload)
    made.router.add_get("/web/call", call)
    made.router.add_get("/ws", websocket)
    made.router.add_get("/{any:.*}", answer)
    web.run_app(made, host="127.0.0.1", port=int(os.environ["PORT"]), print=None, keepalive_timeout=600)


if __name__ == "__main__":
    main()
