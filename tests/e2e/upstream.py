"""A server for a gateway to stand in front of, as a process: python upstream.py NAME…

Listens on one free port for each name, writes {name: port} to stdout and serves until its stdin ends, so that it never
outlives the test that started it. What it answers under each name can be changed while it runs, with POST /control.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import socket
import sys
from typing import Any

from aiohttp import WSMsgType, web

PIECE = bytes(range(256)) * 256  # 64 KiB


class Behaviour:
    """How one name answers, and what it has seen."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.status = 200
        self.health = 200
        self.bad = 0.0
        """The share of answers that are 500."""
        self.slow = 0.0
        """Seconds that one of ten answers takes longer."""
        self.is_cut = False
        """Whether answers end before their end."""
        self.is_hung = False
        """Whether there are none."""
        self.requests = 0
        self.checks = 0
        self.cancelled = 0
        self.held: dict[str, asyncio.Event] = {}

    def gate(self, key: str) -> asyncio.Event:
        """What holds requests for `key` until it is released."""
        return self.held.setdefault(key, asyncio.Event())


BY_PORT: dict[int, Behaviour] = {}


def behaviour(request: web.Request) -> Behaviour:
    """That of the port the request came in by."""
    assert request.transport is not None
    return BY_PORT[request.transport.get_extra_info("sockname")[1]]


async def control(request: web.Request) -> web.Response:
    """Set attributes of the behaviour, release what is held, tell what was seen."""
    mine = behaviour(request)
    if request.method == "POST":
        for key, value in (await request.json()).items():
            if key == "release":
                mine.gate(value).set()
            else:
                setattr(mine, key, value)
    seen = {"requests": mine.requests, "checks": mine.checks, "cancelled": mine.cancelled, "held": sorted(mine.held)}
    return web.json_response(seen)


async def health(request: web.Request) -> web.Response:
    mine = behaviour(request)
    mine.checks += 1
    return web.Response(status=mine.health)


async def cut(request: web.Request) -> web.StreamResponse:
    """The beginning of an answer, and no more."""
    answer = web.StreamResponse()
    answer.content_length = 100
    await answer.prepare(request)
    await answer.write(b"abc")
    assert request.transport is not None
    request.transport.close()
    return answer


async def echo(request: web.Request) -> web.StreamResponse:
    """What came, as JSON; the body as its length and digest."""
    mine = behaviour(request)
    mine.requests += 1
    digest, size = hashlib.sha256(), 0
    async for piece in request.content.iter_any():
        digest.update(piece)
        size += len(piece)
    headers = {name.lower(): ", ".join(request.headers.getall(name)) for name in request.headers}
    if mine.is_hung:
        await mine.gate("answers").wait()
    if mine.is_cut:
        return await cut(request)
    document = {"name": mine.name, "method": request.method, "target": request.raw_path, "headers": headers}
    if mine.slow and mine.requests % 10 == 0:
        await asyncio.sleep(mine.slow)
    status = 500 if mine.bad and mine.requests % round(1 / mine.bad) == 0 else mine.status
    answer = web.json_response(document | {"bytes": size, "sha256": digest.hexdigest()}, status=status)
    answer.headers["X-Served-By"] = mine.name
    return answer


async def bytes_(request: web.Request) -> web.StreamResponse:
    """So many bytes, with their length or in chunks."""
    left = int(request.match_info["count"])
    answer = web.StreamResponse()
    if "chunked" in request.query:
        answer.enable_chunked_encoding()
    else:
        answer.content_length = left
    await answer.prepare(request)
    while left:
        piece = PIECE[: min(left, len(PIECE))]
        await answer.write(piece)
        left -= len(piece)
    await answer.write_eof()
    return answer


async def held(request: web.Request) -> web.StreamResponse:
    """An answer that waits for its release."""
    mine = behaviour(request)
    try:
        await mine.gate(request.match_info["key"]).wait()
    except asyncio.CancelledError:
        mine.cancelled += 1
        raise
    return web.Response(text=f"{mine.name} {request.match_info['key']}")


async def events(request: web.Request) -> web.StreamResponse:
    """Server-sent events: each waits for its release, so that whoever has seen it has not waited for the next."""
    mine = behaviour(request)
    answer = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-cache"})
    await answer.prepare(request)
    for number in range(3):
        await answer.write(b"id: %d\ndata: event %d\n\n" % (number, number))
        await mine.gate(f"event-{number}").wait()
    await answer.write_eof()
    return answer


async def websocket(request: web.Request) -> web.WebSocketResponse:
    """Echoes messages."""
    answer = web.WebSocketResponse(max_msg_size=0)
    await answer.prepare(request)
    async for message in answer:
        if message.type is WSMsgType.TEXT:
            await answer.send_str(f"{behaviour(request).name}: {message.data}")
        elif message.type is WSMsgType.BINARY:
            await answer.send_bytes(message.data)
    return answer


def application() -> web.Application:
    """All of it."""
    made = web.Application(client_max_size=0)
    made.router.add_route("*", "/control", control)
    made.router.add_get("/healthz", health)
    made.router.add_get("/bytes/{count}", bytes_)
    made.router.add_get("/held/{key}", held)
    made.router.add_get("/events", events)
    made.router.add_get("/ws", websocket)
    made.router.add_route("*", "/{any:.*}", echo)
    return made


async def main(names: list[str]) -> None:
    runner = web.AppRunner(application(), access_log=None, handler_cancellation=True, keepalive_timeout=600)
    await runner.setup()
    ports: dict[str, Any] = {}
    for name in names:
        made = socket.create_server(("127.0.0.1", 0), backlog=1024)
        ports[name] = made.getsockname()[1]
        BY_PORT[ports[name]] = Behaviour(name)
        await web.SockSite(runner, made, backlog=1024, shutdown_timeout=0).start()
    print(json.dumps(ports), flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    await runner.cleanup()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
