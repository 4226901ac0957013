"""Those who use the mesh meanwhile: one task for each kind of traffic, at a steady pace, which remembers all that went
wrong and when.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from threading import Thread

import aiohttp
from aiohttp import ClientSession, ClientTimeout, TCPConnector, WSMsgType

from .shop import Shop

Step = Callable[[], Awaitable[str]]
"""Makes one request; what was wrong with its answer, "" for nothing."""


class Clients:
    """Traffic until the end of the context. `pace` 2 is twice as much."""

    def __init__(self, shop: Shop, *, pace: float = 1.0, seed: int = 1) -> None:
        self.plain, self.tls = shop.gateway.urls[:2]
        self.issuer = shop.issuer
        self.pace = pace
        self.dice = random.Random(seed)
        self.sent: Counter[str] = Counter()
        self.failures: list[tuple[float, str]] = []
        self.tokens = [self.issuer.token(sub=f"user{number}", exp=time.time() + 86_400) for number in range(20)]
        self.kinds: dict[str, tuple[float, Step]] = {
            "kept": (10.0, self._kept),
            "new TLS": (3.0, self._new),
            "websocket": (0.5, self._websocket),
            "upload": (1.0, self._upload),
            "cached": (10.0, self._cached),
            "limited": (4.0, self._limited),
            "JWT": (5.0, self._token),
            "parts": (4.0, self._parts),
            "service to service": (6.0, self._call),
            "strangers": (3.0, self._stranger),
            "vanishing": (1.0, self._vanish),
        }
        """How many a second, and what."""
        self._stopping = False
        self._thread = Thread(target=lambda: asyncio.run(self._main()))

    def __enter__(self) -> Clients:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping = True
        self._thread.join(120)

    async def _main(self) -> None:
        timeout = ClientTimeout(60)
        async with (
            ClientSession(timeout=timeout) as self.session,
            ClientSession(timeout=timeout, connector=TCPConnector(force_close=True, ssl=False)) as self.fresh,
        ):
            await asyncio.gather(*(self._steady(kind, *how) for kind, how in self.kinds.items()))

    async def _steady(self, kind: str, rate: float, step: Step) -> None:
        while not self._stopping:
            await asyncio.sleep(self.dice.expovariate(rate * self.pace))
            try:
                wrong = await step()
            except (OSError, TimeoutError, aiohttp.ClientError, ValueError) as error:
                wrong = f"{type(error).__name__} {error}"
            self.sent[kind] += 1
            if wrong:
                self.failures.append((time.monotonic(), f"{kind}: {wrong}"))

    async def _ask(self, url: str, *, fresh: bool = False, expected: tuple[int, ...] = (200,), **more: str) -> str:
        session = self.fresh if fresh else self.session
        async with session.get(url, headers={name.replace("_", "-"): value for name, value in more.items()}) as got:
            await got.read()
            reason = got.headers.get("x-meshctl-reason", "")
            return "" if got.status in expected else f"status {got.status} {reason}"

    async def _kept(self) -> str:
        return await self._ask(f"{self.plain}/orders/{self.dice.randrange(1000)}")

    async def _new(self) -> str:
        return await self._ask(f"{self.tls}/orders/tls", fresh=True)

    async def _cached(self) -> str:
        return await self._ask(f"{self.plain}/catalogue/{self.dice.randrange(200)}")

    async def _limited(self) -> str:
        tenant = f"t{self.dice.randrange(5)}" if self.dice.random() < 0.5 else f"u{self.dice.randrange(500)}"
        return await self._ask(f"{self.plain}/limited", expected=(200, 429), x_tenant=tenant)

    async def _token(self) -> str:
        if self.dice.random() < 0.1:
            forged = f"Bearer {self.tokens[0].decode()[:-4]}AAAA"
            return await self._ask(f"{self.plain}/users", expected=(401,), authorization=forged)
        is_new = self.dice.random() < 0.3
        # As many hold at any time from the third minute on.
        fresh = {"sub": f"{self.dice.getrandbits(40):x}", "exp": time.time() + 120}
        token = self.issuer.token(**fresh) if is_new else self.dice.choice(self.tokens)
        return await self._ask(f"{self.plain}/users/me", authorization=f"Bearer {token.decode()}")

    async def _parts(self) -> str:
        return await self._ask(f"{self.plain}/page/{self.dice.randrange(1000)}")

    async def _call(self) -> str:
        return await self._ask(f"{self.plain}/web/call")

    async def _stranger(self) -> str:
        """Somebody who tries paths, methods and names that there are not."""
        path, method = (
            f"{self.dice.getrandbits(48):x}",
            self.dice.choice(["GET", "PUT", f"X{self.dice.getrandbits(24)}"]),
        )
        headers = {"Host": f"{path}.example", "User-Agent": path, f"X-{path}": path}
        async with self.session.request(method, f"{self.plain}/{path}", headers=headers) as got:
            await got.read()
            return "" if got.status in {404, 501} else f"status {got.status}"

    async def _upload(self) -> str:
        body = os.urandom(self.dice.randrange(1, 400_000))

        async def pieces() -> object:
            for start in range(0, len(body), 20_000):
                yield body[start : start + 20_000]

        async with self.session.post(f"{self.plain}/upload", data=pieces()) as got:
            said = await got.json(content_type=None)
            if got.status != 200:
                return f"status {got.status} {got.headers.get('x-meshctl-reason', '')}"
            return "" if said["sha256"] == hashlib.sha256(body).hexdigest() else "the wrong digest"

    async def _websocket(self) -> str:
        async with self.session.ws_connect(f"{self.plain}/ws") as opened:
            for number in range(20):
                await opened.send_str(f"{number}")
                message = await opened.receive(timeout=60)
                if message.type is not WSMsgType.TEXT or message.data != f"{number}":
                    return f"message {number}: {message.type.name}"
                await asyncio.sleep(0.05)
        return ""

    async def _vanish(self) -> str:
        """Somebody who goes in the middle of a request, or before its answer."""
        host, _, port = self.plain.rpartition("/")[2].rpartition(":")
        _, writer = await asyncio.open_connection(host, int(port))
        text = b"POST /upload HTTP/1.1\r\nHost: x\r\nContent-Length: 9000\r\n\r\n" + b"x" * 3000
        writer.write(text[: self.dice.randrange(1, len(text))])
        await writer.drain()
        writer.transport.abort()
        return ""
