"""Sockets that somebody else makes, in a network of an app's own."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress

import pytest

from meshctl.proxy.inside import FAMILIES, KEPT, Inside


class Maker:
    """Makes sockets as they are asked for, in this very network."""

    def __init__(self) -> None:
        self.asked, self.asking = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.made = 0
        self.is_mute = False
        """Whether it takes what it is asked and says nothing."""
        self._thread = threading.Thread(target=self._work)
        self._thread.start()

    def _work(self) -> None:
        while True:
            words, answers, _, _ = socket.recv_fds(self.asked, KEPT, 1)
            if not answers:
                return
            with socket.socket(fileno=answers[0]) as answer:
                made = [socket.socket(FAMILIES[bytes([word])]) for word in words]
                if not self.is_mute:
                    self.made += len(made)
                    with suppress(OSError):
                        socket.send_fds(answer, [b"."], [each.fileno() for each in made])
                for each in made:
                    each.close()

    def close(self) -> None:
        """End it."""
        self.asking.close()
        self._thread.join(20)
        self.asked.close()


@pytest.fixture
def maker() -> Iterator[Maker]:
    """One that makes sockets."""
    made = Maker()
    yield made
    made.close()


@pytest.fixture
def port() -> Iterator[int]:
    """Where somebody listens."""
    with socket.create_server(("127.0.0.1", 0), backlog=100) as server:
        yield server.getsockname()[1]


def test_connections_are_made_with_sockets_that_come_along(maker: Maker, port: int) -> None:
    """Each connection has a socket of its own; they are asked for some at a time, and those that nobody needs are
    kept for the next."""

    async def work() -> None:
        inside = Inside(asyncio.get_running_loop(), maker.asking.dup())
        ends = await asyncio.gather(*(inside.connect("127.0.0.1", port) for _ in range(KEPT + 3)))
        assert len({end.getsockname() for end in ends}) == KEPT + 3
        assert maker.made == 2 * KEPT
        ends.append(await inside.connect("127.0.0.1", port))
        assert maker.made == 2 * KEPT
        for end in ends:
            end.close()
        inside.close()

    asyncio.run(work())


def test_nobody_there_is_a_refusal(maker: Maker, port: int) -> None:
    """Where nobody listens, and where no sockets come, there is no connection, and the next one may be again."""

    async def work() -> None:
        inside = Inside(asyncio.get_running_loop(), maker.asking.dup())
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))
            with pytest.raises(ConnectionRefusedError):
                await inside.connect("127.0.0.1", unused.getsockname()[1])
        inside.close()
        maker.is_mute = True
        inside = Inside(asyncio.get_running_loop(), maker.asking.dup())
        with pytest.raises(ConnectionError):
            await inside.connect("127.0.0.1", port)
        maker.is_mute = False
        (await inside.connect("127.0.0.1", port)).close()
        inside.close()

    asyncio.run(work())


def test_who_waits_no_more_takes_no_socket_along(maker: Maker, port: int) -> None:
    """A connection that is given up leaves its socket to the next one."""

    async def work() -> None:
        inside = Inside(asyncio.get_running_loop(), maker.asking.dup())
        waiting = [asyncio.ensure_future(inside.connect("127.0.0.1", port)) for _ in range(KEPT)]
        await asyncio.sleep(0)
        for each in waiting:
            each.cancel()
        await asyncio.wait(waiting)
        ends = await asyncio.gather(*(inside.connect("127.0.0.1", port) for _ in range(KEPT)))
        assert maker.made == KEPT
        for end in ends:
            end.close()
        inside.close()

    asyncio.run(work())
