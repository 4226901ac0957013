"""Keys that are fetched: from servers that are well, hang, die, move, answer with a page, or change their keys."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import pytest
from aiohttp import web

from meshctl.control import fetching
from meshctl.control import jwks as jwks_module
from meshctl.control.fetching import Unfetched, fetch, freshness
from meshctl.control.fleet import Fleet
from meshctl.control.jwks import Jwks
from meshctl.model.auth import Auth, Jwt, Need
from meshctl.model.mesh import Mesh
from meshctl.model.route import Route
from meshctl.proxy.messages import Fetched, Message, Wanted
from meshctl.store.home import open_home
from tests.proxy.issuer import Issuer

PATIENCE = 60.0
BRIEF = 3.0
"""Seconds for a server that hangs: enough to have asked it, on a machine that stands still for a moment."""


class Server:
    """A server of keys that does what it is told."""

    def __init__(self) -> None:
        self.issuer = Issuer()
        self.mode = "well"
        self.asked = 0
        self.url = ""
        self.never = asyncio.Event()

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """The answer for the mode."""
        self.asked += 1
        if self.mode == "hangs":
            await self.never.wait()
        if self.mode == "packed":
            assert request.headers["Accept-Encoding"] == "identity"
            return web.Response(body=gzip.compress(self.issuer.jwks), headers={"Content-Encoding": "gzip"})
        if self.mode == "huge":
            return web.Response(body=b" " * 2_000_000)
        text = {"page": "<!doctype html><html>", "empty": '{"keys": []}', "nothing": "", "array": "[]"}.get(self.mode)
        if text is not None:
            return web.Response(text=text, content_type="application/json")
        if self.mode.isdigit():
            return web.Response(status=int(self.mode), headers={"Location": self.url + "/jwks"})
        if request.path.endswith("openid-configuration"):
            issuer = self.url if self.mode != "foreign" else "https://evil.example.com"
            target = None if self.mode == "lost" else "ftp://x" if self.mode == "odd" else self.url + "/jwks"
            return web.json_response({"issuer": issuer, "jwks_uri": target})
        return web.Response(body=self.issuer.jwks, headers={"Cache-Control": "max-age=120"})


@asynccontextmanager
async def serving() -> AsyncIterator[Server]:
    """A server on loopback."""
    server = Server()
    app = web.Application()
    app.router.add_get("/{path:.*}", server.answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    server.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield server
    finally:
        server.never.set()
        await runner.cleanup()


def run(test: Callable[[Server], Awaitable[None]]) -> None:
    """Run a test with a server."""

    async def with_server() -> None:
        async with serving() as server:
            await test(server)

    asyncio.run(with_server())


def test_fetch() -> None:
    """Keys are fetched from a URL, or from where the issuer says that they are, with how long they are fresh."""

    async def test(server: Server) -> None:
        for source in (server.url + "/jwks", f"issuer {server.url}"):
            answer = await fetch(source)
            assert (server.issuer.jwks, 1, 120.0) == (answer.document, answer.keys, answer.fresh)

    run(test)


@pytest.mark.parametrize(
    ("mode", "words"),
    [
        ("page", "neither a JWK Set nor"),
        ("empty", "no key"),
        ("nothing", "neither"),
        ("array", "no list"),
        ("huge", "more than"),
        ("packed", "neither"),
        ("404", "404"),
        ("500", "500"),
        ("302", "302"),
        ("hangs", "no answer within"),
    ],
)
def test_what_has_no_keys(mode: str, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is no set of keys is none, wherever it leads; what is packed is not unpacked, however small it is."""
    if mode == "hangs":
        monkeypatch.setattr(fetching, "TIMEOUT", BRIEF)

    async def test(server: Server) -> None:
        server.mode = mode
        with pytest.raises(Unfetched, match=words):
            await fetch(server.url + "/jwks")
        assert server.asked == 1

    run(test)


@pytest.mark.parametrize("mode", ["foreign", "lost", "odd", "page", "404"])
def test_what_no_issuer_says(mode: str) -> None:
    """An OpenID configuration of another issuer, or without a place for keys, leads nowhere."""

    async def test(server: Server) -> None:
        server.mode = mode
        with pytest.raises(Unfetched):
            await fetch(f"issuer {server.url}")
        assert server.asked == 1

    run(test)


def test_nobody_there() -> None:
    """A server that is not there is an error like others."""

    async def test(server: Server) -> None:
        pass

    run(test)
    with pytest.raises(Unfetched):
        asyncio.run(fetch("http://127.0.0.1:1/jwks"))


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("", 600), ("max-age=120", 120), ("MAX-AGE=120, public", 120), ("max-age=1", 60), ("max-age=0", 60),
     ("no-store", 60), ("max-age=9999999999999", 21600), ("max-age=999999999", 21600), ("s-maxage=5", 600)],
)  # fmt: skip
def test_freshness(header: str, seconds: float) -> None:
    """How long keys are fresh is as the server says, within bounds."""
    assert seconds == freshness(header)


class Workers:
    """The workers of a proxy that are told of keys."""

    def __init__(self) -> None:
        self.told: list[dict[str, bytes]] = []
        self.on: dict[type[Message], Callable[[Any], None]] = {}
        self.changed = asyncio.Event()

    def tell(self, message: Fetched, *, standing: bool = False) -> None:
        """Take the keys."""
        assert standing
        self.told.append(message.sets)
        self.changed.set()

    async def until(self, holds: Callable[[dict[str, bytes]], bool]) -> None:
        """Wait until the last they were told is such."""
        async with asyncio.timeout(PATIENCE):
            while not (self.told and holds(self.told[-1])):
                self.changed.clear()
                await self.changed.wait()


class Proxy:
    """The fetching part of a proxy, with a home of its own."""

    def __init__(self, folder: Path, source: str) -> None:
        self.workers = Workers()
        self.source = source
        self.jwks = Jwks(open_home(folder / "home"), cast(Fleet, self.workers))
        way = Auth("users", jwt=Jwt(jwks=source))
        self.jwks.adopt(Mesh(routes=(Route("r", auth=Need(("users",))),), auth=(way,)))

    async def until(self, document: bytes) -> None:
        """Wait until its workers have this."""
        await self.workers.until(lambda sets: sets.get(self.source) == document)

    def want(self) -> None:
        """A worker sees an unknown key."""
        self.workers.on[Wanted](Wanted(self.source))


def test_good_keys_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys that were good stay whatever the server becomes, also for a proxy that is started meanwhile; new keys take
    their place."""
    monkeypatch.setattr(jwks_module, "PAUSE", 0.0)

    async def test(server: Server) -> None:
        good = server.issuer.jwks
        proxy = Proxy(tmp_path, server.url + "/jwks")
        await proxy.until(good)
        for mode in ("page", "empty", "500", "hangs"):
            server.mode, asked, told = mode, server.asked, len(proxy.workers.told)
            if mode == "hangs":
                monkeypatch.setattr(fetching, "TIMEOUT", BRIEF)
            proxy.want()
            await proxy.workers.until(lambda _, told=told: len(proxy.workers.told) > told)  # type: ignore[misc]
            assert server.asked > asked
            assert {proxy.source: good} == proxy.workers.told[-1]
        proxy.jwks.stop()
        monkeypatch.setattr(fetching, "TIMEOUT", PATIENCE)
        again = Proxy(tmp_path, server.url + "/jwks")
        assert {proxy.source: good} == again.workers.told[0]
        server.mode, server.issuer = "well", Issuer("k2")
        again.want()
        await again.until(server.issuer.jwks)
        again.jwks.stop()

    run(test)


def test_no_keys_yet(tmp_path: Path) -> None:
    """Workers are told when there are none, so that nobody waits in vain, and get them when the server is well."""

    async def test(server: Server) -> None:
        server.mode = "500"
        proxy = Proxy(tmp_path, server.url + "/jwks")
        await proxy.until(b"")
        server.mode = "well"
        await proxy.until(server.issuer.jwks)
        proxy.jwks.stop()

    run(test)


def test_how_often(tmp_path: Path) -> None:
    """However many unknown keys are seen, a server is asked once in a while; each asker is answered all the same."""

    async def test(server: Server) -> None:
        proxy = Proxy(tmp_path, server.url + "/jwks")
        await proxy.until(server.issuer.jwks)
        told = len(proxy.workers.told)
        for _ in range(50):
            proxy.want()
        assert told + 50 == len(proxy.workers.told)
        assert server.asked == 1
        proxy.jwks.stop()

    run(test)


def test_a_kept_file_that_is_damaged(tmp_path: Path) -> None:
    """What was kept for the next start is only used if it is a set of keys."""

    async def test(server: Server) -> None:
        first = Proxy(tmp_path, server.url + "/jwks")
        await first.until(server.issuer.jwks)
        first.jwks.stop()
        (kept,) = (tmp_path / "home" / "jwks").iterdir()
        assert kept.stat().st_mode & 0o777 == 0o600
        kept.write_text(json.dumps({"keys": []}))
        server.mode = "500"
        second = Proxy(tmp_path, server.url + "/jwks")
        await second.until(b"")
        second.jwks.stop()

    run(test)


def test_no_longer_needed(tmp_path: Path) -> None:
    """A source that no route needs any more is forgotten."""

    async def test(server: Server) -> None:
        proxy = Proxy(tmp_path, server.url + "/jwks")
        await proxy.until(server.issuer.jwks)
        way = Auth("users", jwt=Jwt(jwks=proxy.source))
        proxy.jwks.adopt(Mesh(auth=(way,)))
        assert proxy.jwks.sets() == {}

    run(test)
