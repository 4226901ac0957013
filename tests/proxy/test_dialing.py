"""How a host is reached by its name: every address gets its chance, the slow ones do not hold up the others."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from meshctl.proxy import dialing
from meshctl.proxy.dialing import Unreached, dial
from tests.conformance.conftest import free_port

Where = tuple[socket.AddressFamily, tuple[Any, ...]]


class Resolving(asyncio.SelectorEventLoop):
    """A loop whose resolver knows one name, with addresses that no resolver of this machine would give."""

    addresses: list[Where]

    async def getaddrinfo(self, host: Any, port: Any, **_: Any) -> Any:  # type: ignore[override]
        """The addresses."""
        await asyncio.sleep(0)
        return [(family, socket.SOCK_STREAM, 6, "", where) for family, where in self.addresses]


@pytest.fixture
def loop() -> Iterator[Resolving]:
    """Such a loop, in whose end nothing is left running."""
    made = Resolving()
    yield made
    made.run_until_complete(asyncio.sleep(0))
    assert asyncio.all_tasks(made) == set()
    made.close()


def reach(loop: Resolving, *addresses: Where) -> tuple[Any, ...]:
    """The address that was connected to."""
    loop.addresses = list(addresses)

    async def connect() -> socket.socket:
        return await asyncio.wait_for(dial("shop.test", 80, lambda _address, _port: False), 60)

    end = loop.run_until_complete(connect())
    with end:
        return tuple(end.getpeername())


@pytest.fixture
def listening() -> Iterator[Where]:
    """An address where somebody listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield socket.AF_INET, server.getsockname()


@pytest.fixture
def silent() -> Iterator[list[Where]]:
    """Addresses that answer nothing: their one queue is full, so the system drops what comes."""
    with ExitStack() as stack:
        server = stack.enter_context(socket.socket())
        server.bind(("0.0.0.0", 0))
        server.listen(0)
        port = server.getsockname()[1]
        for _ in range(4):
            knocking = stack.enter_context(socket.socket())
            knocking.setblocking(False)
            knocking.connect_ex(("127.0.0.1", port))
        yield [(socket.AF_INET, (f"127.0.0.{number}", port)) for number in range(1, 5)]


def refusing() -> Where:
    """An address where nobody listens."""
    return socket.AF_INET, ("127.0.0.1", free_port())


def test_next_address_after_one_that_refuses(loop: Resolving, listening: Where) -> None:
    """An address that refuses at once costs no time."""
    assert reach(loop, refusing(), refusing(), listening) == listening[1]


def test_next_address_beside_one_that_is_silent(loop: Resolving, silent: list[Where], listening: Where) -> None:
    """An address that does not answer is given a moment, then the next is tried beside it."""
    began = loop.time()
    assert reach(loop, *silent[:2], listening) == listening[1]
    assert 2 * dialing.STAGGER <= loop.time() - began < 30


def test_families_take_turns(loop: Resolving, silent: list[Where], listening: Where) -> None:
    """A family that leads nowhere, however many addresses of it there are, costs no more than one of them."""
    began = loop.time()
    six = (socket.AF_INET6, ("::1", free_port(), 0, 0))
    assert reach(loop, *silent, six, listening) == listening[1]
    assert loop.time() - began < 5 * dialing.STAGGER + 30
    order = loop.run_until_complete(dialing._resolve("shop.test", 80))
    assert [family for family, _ in order][:2] == [socket.AF_INET, socket.AF_INET6]


def test_every_address_refuses(loop: Resolving) -> None:
    """Where no address takes the connection, the reason is the system's."""
    with pytest.raises(ConnectionRefusedError, match="Connection refused"):
        reach(loop, refusing(), refusing())


def test_giving_up_leaves_nothing(loop: Resolving, silent: list[Where]) -> None:
    """An attempt that is given up leaves no socket and no task."""
    loop.addresses = silent[:1]

    async def connect() -> None:
        async with asyncio.timeout(0.05):
            await dial("shop.test", 80, lambda _address, _port: False)

    with pytest.raises(TimeoutError):
        loop.run_until_complete(connect())


def test_an_own_address_among_others(loop: Resolving, listening: Where) -> None:
    """A name that leads back, even with one of its addresses, is not connected to at all."""
    loop.addresses = [listening, (socket.AF_INET, ("127.0.0.9", 80))]
    with pytest.raises(Unreached) as refused:
        loop.run_until_complete(dial("shop.test", 80, lambda address, port: (address, port) == ("127.0.0.9", 80)))
    assert refused.value.reason == "loop"


def test_a_few_addresses_are_enough(loop: Resolving, listening: Where) -> None:
    """Of a name with a thousand addresses some are tried."""
    loop.addresses = [listening] * 2 + [(socket.AF_INET, ("127.0.0.1", port)) for port in range(1, 1000)]
    assert len(loop.run_until_complete(dialing._resolve("shop.test", 80))) == dialing.MOST_ADDRESSES
