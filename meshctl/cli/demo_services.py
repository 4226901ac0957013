"""The two small services behind `meshctl demo`: real web servers in processes of their own, on free ports.

Run as `python -m meshctl.cli.demo_services NAME VERSION`; writes its port to stdout and ends when its stdin does, so
that no demo, however it died, leaves one behind."""

from __future__ import annotations

import asyncio
import sys
from typing import Final

from aiohttp import web

_ORDERS: Final = ((1, "tea", 450), (2, "teapot", 3900))
_NAME: Final = web.AppKey("name", str)
_VERSION: Final = web.AppKey("version", str)


async def serve(name: str, version: str) -> None:
    """Serve until stdin ends."""
    app = web.Application()
    app[_NAME], app[_VERSION] = name, version
    app.router.add_get("/healthz", _healthz)
    app.router.add_get("/orders", _orders)
    app.router.add_get("/{rest:.*}", _page)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    sys.stdout.write(f"{runner.addresses[0][1]}\n")
    sys.stdout.flush()
    await _stdin_end()
    await runner.cleanup()


async def _healthz(request: web.Request) -> web.Response:
    return web.Response(text="ok\n")


async def _orders(request: web.Request) -> web.Response:
    orders: list[dict[str, object]] = [{"id": number, "item": item, "cents": cents} for number, item, cents in _ORDERS]
    if request.app[_VERSION] == "v2":
        # What is new in v2: prices for people.
        orders = [
            {**order, "price": f"€ {cents / 100:.2f}"} for order, (*_, cents) in zip(orders, _ORDERS, strict=True)
        ]
    return web.json_response({"service": "orders", "version": request.app[_VERSION], "orders": orders})


async def _page(request: web.Request) -> web.Response:
    return web.json_response(
        {
            "service": request.app[_NAME],
            "version": request.app[_VERSION],
            "path": request.path,
            "request_id": request.headers.get("x-request-id", ""),
            "traceparent": request.headers.get("traceparent", ""),
        }
    )


async def _stdin_end() -> None:
    ended = asyncio.Event()
    asyncio.get_running_loop().add_reader(sys.stdin.fileno(), ended.set)
    await ended.wait()


if __name__ == "__main__":
    asyncio.run(serve(*sys.argv[1:3]))
