"""A TCP connection to a host by its name, however many addresses that has: looked up anew each time, since the system's
resolver caches and addresses change; both families tried, the next address a moment after one that does not answer
(RFC 8305 §5). Raises `Unreached`, which says why in the proxy's words."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable
from itertools import chain, zip_longest
from typing import Final, TypeVar

from meshctl.errors import because
from meshctl.proxy.tasks import spawn

STAGGER: Final = 0.25
"""Seconds an address has to answer before the next is tried beside it (RFC 8305 §5)."""
MOST_ADDRESSES: Final = 16

P = TypeVar("P", bound=asyncio.BaseProtocol)
Address = tuple[socket.AddressFamily, tuple[str, int] | tuple[str, int, int, int] | tuple[int, bytes]]


class Unreached(Exception):  # noqa: N818 - it is told to the client, not a failure of the program
    """There is no connection; `reason` is a code of `wire.reasons`."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


async def dial(host: str, port: int, is_own: Callable[[str, int], bool]) -> socket.socket:
    """A connected socket. An address that `is_own` says is this proxy's is never connected to."""
    addresses = await _resolve(host, port)
    if any(is_own(str(address[0]), port) for _, address in addresses):
        raise Unreached("loop", f"{host}:{port} is where this proxy takes the request from")
    return await _race(addresses)


async def spoken(make: Callable[[], P], end: socket.socket) -> P:
    """What `make` makes, speaking over a connected socket, which is closed where that fails."""
    try:
        _, made = await asyncio.get_running_loop().create_connection(make, sock=end)
    except BaseException:
        end.close()
        raise
    return made


async def _resolve(host: str, port: int) -> list[Address]:
    """The addresses of `host` in the resolver's order, the families by turns."""
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise Unreached("egress_resolve", f"{host}: {because(error)}") from error
    except UnicodeError as error:
        # A label that is empty or too long never reaches the resolver.
        raise Unreached("egress_resolve", f"{host}: not a name that could have an address") from error
    every: list[Address] = list(dict.fromkeys((each[0], each[4]) for each in found))
    first = [each for each in every if each[0] == every[0][0]]
    second = [each for each in every if each[0] != every[0][0]]
    turns = chain.from_iterable(zip_longest(first, second))
    return [each for each in turns if each is not None][:MOST_ADDRESSES]


async def _race(addresses: list[Address]) -> socket.socket:
    """The first connection that stands; the last address's failure where none does."""
    waiting = iter(addresses)
    following = next(waiting, None)
    running: set[asyncio.Task[socket.socket | OSError]] = set()
    failure = OSError("no address")
    try:
        while following is not None or running:
            if following is not None:
                running.add(spawn(_try(following), name="dial"))
                following = next(waiting, None)
            limit = STAGGER if following is not None else None
            done, running = await asyncio.wait(running, timeout=limit, return_when=asyncio.FIRST_COMPLETED)
            ended = [task.result() for task in done]
            made = [each for each in ended if isinstance(each, socket.socket)]
            for late in made[1:]:
                late.close()
            if made:
                return made[0]
            failure = next((each for each in ended if isinstance(each, OSError)), failure)
    finally:
        for task in running:
            task.cancel()
    raise failure


async def _try(address: Address) -> socket.socket | OSError:
    family, where = address
    made = socket.socket(family, socket.SOCK_STREAM)
    made.setblocking(False)
    try:
        await asyncio.get_running_loop().sock_connect(made, where)
    except OSError as error:
        made.close()
        # The loop says which call failed, not what of.
        return OSError(error.errno, os.strerror(error.errno)) if error.errno else error
    except BaseException:
        made.close()
        raise
    return made
