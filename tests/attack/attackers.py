"""Strangers who want a proxy for themselves: each attack is a coroutine that goes on until it is cancelled. None of
them minds what becomes of its connections."""

from __future__ import annotations

import asyncio
import itertools
import socket
import ssl
import struct
from collections.abc import Awaitable, Callable
from contextlib import suppress
from contextvars import ContextVar
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from tests.proxy.members import Authority, spiffe

Attack = Callable[[int, int, int], Awaitable[None]]
"""Against a port, an HTTPS port, with so many connections."""

_opened: ContextVar[list[asyncio.StreamWriter]] = ContextVar("_opened")
"""The connections of one attacker."""
_RESET: Final = struct.pack("ii", 1, 0)
_GET: Final = b"GET /small HTTP/1.1\r\nHost: x\r\n\r\n"


async def _open(port: int, **settings: object) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    while True:
        try:
            found = await asyncio.open_connection("127.0.0.1", port, limit=4096, **settings)  # type: ignore[arg-type]
        except OSError:
            await asyncio.sleep(0.05)
        else:
            _opened.get().append(found[1])
            return found


def _reset(writer: asyncio.StreamWriter) -> None:
    end = writer.get_extra_info("socket")
    with suppress(OSError):
        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    writer.transport.abort()


async def _each(count: int, one: Callable[[int], Awaitable[None]]) -> None:
    """`one` so many times side by side, and again whenever it ends."""

    async def again(number: int) -> None:
        opened: list[asyncio.StreamWriter] = []
        _opened.set(opened)
        while True:
            try:
                with suppress(OSError, asyncio.IncompleteReadError):
                    await one(number)
            finally:
                for each in opened:
                    each.transport.abort()
                opened.clear()
            await asyncio.sleep(0.001)

    async with asyncio.TaskGroup() as group:
        for number in range(count):
            group.create_task(again(number))


async def _drip(writer: asyncio.StreamWriter, byte: bytes = b"a") -> None:
    while not writer.is_closing():
        writer.write(byte)
        await writer.drain()
        await asyncio.sleep(0.1)


def _ignorant() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


async def idle(port: int, _https: int, count: int) -> None:
    """Connections on which nothing happens."""

    async def one(_number: int) -> None:
        reader, writer = await _open(port)
        await reader.read()
        writer.close()

    await _each(count, one)


async def slow_heads(port: int, _https: int, count: int) -> None:
    """Heads that come byte by byte."""

    async def one(_number: int) -> None:
        _, writer = await _open(port)
        writer.write(b"GET / HTTP/1.1\r\nX-A: ")
        await _drip(writer)

    await _each(count, one)


async def slow_heads_by_tls(_port: int, https: int, count: int) -> None:
    """The same, over TLS."""
    context = _ignorant()

    async def one(_number: int) -> None:
        _, writer = await _open(https, ssl=context)
        writer.write(b"GET / HTTP/1.1\r\nX-A: ")
        await _drip(writer)

    await _each(count, one)


async def slow_bodies(port: int, _https: int, count: int) -> None:
    """Bodies that come byte by byte."""

    async def one(_number: int) -> None:
        _, writer = await _open(port)
        writer.write(b"POST /small HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n")
        await _drip(writer)

    await _each(count, one)


def _hello() -> bytes:
    hello = ssl.MemoryBIO()
    with suppress(ssl.SSLWantReadError):
        _ignorant().wrap_bio(ssl.MemoryBIO(), hello, server_hostname="x").do_handshake()
    return hello.read()


async def half_handshakes(_port: int, https: int, count: int) -> None:
    """Handshakes that stop in the middle: nothing follows their first message."""
    data = _hello()

    async def one(_number: int) -> None:
        reader, writer = await _open(https)
        writer.write(data)
        while await reader.read(4096):
            pass

    await _each(count, one)


async def broken_handshakes(_port: int, https: int, count: int) -> None:
    """What begins like a handshake and is none."""
    data = _hello()

    async def one(number: int) -> None:
        reader, writer = await _open(https)
        at = number % (len(data) - 5) + 5
        writer.write(data[:at] + bytes([data[at] ^ 0xFF]) + data[at + 1 :] + bytes(64))
        await reader.read(4096)
        _reset(writer)

    await _each(max(count // 20, 4), one)


async def plain_bytes(_port: int, https: int, count: int) -> None:
    """Requests in the clear, and what is no request, where only TLS is spoken."""
    kinds = itertools.cycle((_GET, _GET * 1000, bytes(100_000), b"GET / HTTP/1.1\r\nX-A: " + b"a" * 100_000, b"\n"))

    async def one(_number: int) -> None:
        reader, writer = await _open(https)
        writer.write(next(kinds))
        await reader.read(4096)
        _reset(writer)

    await _each(max(count // 20, 4), one)


async def strangers(_port: int, https: int, count: int) -> None:
    """Handshakes with certificates that another authority made for the very services of the mesh."""
    with TemporaryDirectory() as folder:
        authority = Authority(Path(folder), "strange")
        contexts = []
        for leaf in (authority.service("web"), authority.service("orders"), authority.issue(*map(spiffe, "ab"))):
            context = authority.client(leaf)
            context.verify_mode = ssl.CERT_NONE
            contexts.append(context)

        async def one(number: int) -> None:
            reader, writer = await _open(https)
            come, go = ssl.MemoryBIO(), ssl.MemoryBIO()
            tls = contexts[number % len(contexts)].wrap_bio(come, go, server_hostname="orders")
            is_over = False
            while not is_over:
                with suppress(ssl.SSLWantReadError):
                    tls.do_handshake()
                    tls.write(_GET)
                    is_over = True
                writer.write(go.read())
                data = await reader.read(16_384)
                is_over = is_over or not data
                come.write(data)

        await _each(max(count // 20, 4), one)


async def detours(port: int, _https: int, count: int) -> None:
    """Tunnels (CONNECT) to where nobody listens, to ever other hosts, and into the mesh with nothing after."""
    number = itertools.count()

    async def one(_number: int) -> None:
        what = next(number)
        host = b"orders:80" if what % 3 == 0 else b"127.%d.%d.2:9" % (what >> 8 & 255, what & 255)
        reader, writer = await _open(port)
        writer.write(b"CONNECT %b HTTP/1.1\r\nHost: %b\r\n\r\n" % (host, host))
        await reader.read(4096)
        if what % 6 == 0:
            writer.write(_hello())
            await reader.read(4096)

    await _each(max(count // 20, 4), one)


async def slow_handshakes(_port: int, https: int, count: int) -> None:
    """Handshakes that come byte by byte."""
    data = _hello()

    async def one(_number: int) -> None:
        _, writer = await _open(https)
        for byte in data[:-1]:
            writer.write(bytes([byte]))
            await writer.drain()
            await asyncio.sleep(0.1)

    await _each(count, one)


async def handshakes(_port: int, https: int, count: int) -> None:
    """Handshakes, one after the other, for nothing."""
    context = _ignorant()

    async def one(_number: int) -> None:
        _, writer = await _open(https, ssl=context)
        _reset(writer)

    await _each(max(count // 20, 4), one)


async def slow_readers(port: int, _https: int, count: int) -> None:
    """Clients that never read the long answers that they ask for."""

    async def one(_number: int) -> None:
        end = socket.socket()
        end.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        end.setblocking(False)
        with end:
            await asyncio.get_running_loop().sock_connect(end, ("127.0.0.1", port))
            await asyncio.get_running_loop().sock_sendall(end, b"GET /long HTTP/1.1\r\nHost: x\r\n\r\n")
            await asyncio.sleep(3600)

    await _each(max(count // 10, 4), one)


async def comings_and_goings(port: int, _https: int, count: int) -> None:
    """Connections that are reset as soon as they stand."""

    async def one(_number: int) -> None:
        _, writer = await _open(port)
        _reset(writer)

    await _each(max(count // 20, 4), one)


async def vanishing(port: int, _https: int, count: int) -> None:
    """Requests whose clients are gone before the answer."""

    async def one(_number: int) -> None:
        _, writer = await _open(port)
        writer.write(_GET)
        await asyncio.sleep(0)
        _reset(writer)

    await _each(max(count // 20, 4), one)


async def long_heads(port: int, _https: int, count: int) -> None:
    """Heads that are too long, or have too many fields."""
    kinds = itertools.cycle((b"GET /" + b"a" * 70_000, b"GET / HTTP/1.1\r\nX-A: " + b"a" * 70_000,
                             b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 1000))  # fmt: skip

    async def one(_number: int) -> None:
        reader, writer = await _open(port)
        writer.write(next(kinds))
        await reader.read(1000)
        _reset(writer)

    await _each(max(count // 20, 4), one)


async def pipelines(port: int, _https: int, count: int) -> None:
    """Clients that send a thousand requests at once and read no answer."""

    async def one(_number: int) -> None:
        _, writer = await _open(port)
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        writer.write(_GET * 1000)
        await asyncio.sleep(1.0)
        _reset(writer)

    await _each(max(count // 20, 4), one)


async def tunnels(port: int, _https: int, count: int) -> None:
    """Changed protocols through which bytes rush in one direction."""

    async def one(_number: int) -> None:
        reader, writer = await _open(port)
        writer.write(b"GET /tunnel HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n")
        await reader.readuntil(b"\r\n\r\n")
        while not writer.is_closing():
            writer.write(bytes(65_536))
            await writer.drain()

    await _each(2 if count < 1000 else 4, one)


async def names(port: int, _https: int, count: int) -> None:
    """Hosts, paths, methods and fields that nobody has ever heard of."""
    number = itertools.count()

    async def one(_number: int) -> None:
        reader, writer = await _open(port)
        for _ in range(50):
            what = next(number)
            method = b"GET" if what % 2 else b"BREW"
            writer.write(b"%b /small/%d?a=%d HTTP/1.1\r\nHost: h%d.example\r\nX-%d: y\r\nUser-Agent: %d\r\n\r\n" % (
                method, what, what, what, what, what,
            ))  # fmt: skip
            if b"405" in await reader.read(4096):
                return

    await _each(max(count // 20, 4), one)


ATTACKS: Final[dict[str, Attack]] = {
    each.__name__: each
    for each in (
        idle, slow_heads, slow_heads_by_tls, slow_bodies, slow_handshakes, handshakes, slow_readers, comings_and_goings,
        vanishing, long_heads, pipelines, tunnels, names, half_handshakes, broken_handshakes, plain_bytes,
    )
}  # fmt: skip
"""On a gateway, with a port in the clear and one for HTTPS."""

ON_SIDECARS: Final[dict[str, Attack]] = {
    each.__name__: each
    for each in (
        idle, slow_heads, slow_bodies, slow_readers, comings_and_goings, vanishing, long_heads, pipelines, names,
        detours, plain_bytes, slow_handshakes, half_handshakes, broken_handshakes, handshakes, strangers,
    )
}  # fmt: skip
"""On the ports of an app's own sidecar, and the port for mutual TLS of another one."""
