"""Health checks as the endpoint sees them."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable

from meshctl.model.policy import HealthCheck
from meshctl.model.service import Endpoint
from meshctl.proxy.prober import probe

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"


class Checked:
    """An endpoint that can be connected to."""

    config = Endpoint("127.0.0.1:1")

    def __init__(self, port: int) -> None:
        self._port = port

    async def open_stream(self) -> Streams:
        """A connection of its own for the check."""
        return await asyncio.open_connection("127.0.0.1", self._port)


def checked(answer: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]], timeout: float) -> str:
    """What a check of a server says that answers like this."""

    async def main() -> str:
        over = asyncio.Event()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                await reader.readuntil(b"\r\n\r\n")
                await answer(reader, writer)
            finally:
                writer.close()
                over.set()

        async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
            check = HealthCheck(path="/healthz", timeout=timeout)
            problem = await probe(Checked(server.sockets[0].getsockname()[1]), check)
            await asyncio.wait_for(over.wait(), 60)
            return problem

    return asyncio.run(main())


def test_an_answer_is_taken_whole() -> None:
    """A check does not leave in the middle of the answer: the service's own sidecar would count a caller gone."""
    gone: list[bool] = []

    async def slowly(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(HEAD)
        left = asyncio.ensure_future(reader.read())
        await asyncio.wait([left], timeout=0.2)
        gone.append(left.done())
        writer.write(b"fine\n")
        await left

    assert (checked(slowly, 60), gone) == ("", [False])


def test_an_answer_without_end_counts_by_its_status() -> None:
    """Where the body does not end the status has told what a check asks; and no more of it is read than a little."""

    async def hanging(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(HEAD)
        await reader.read()

    async def flooding(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 503 Busy\r\n\r\n")
        try:
            while True:
                writer.write(b"x" * 65_536)
                await writer.drain()
        except ConnectionError:
            pass

    assert checked(hanging, 3) == ""
    assert checked(flooding, 60) == "status 503"


def test_nobody_there() -> None:
    """A port that nobody listens on is told in words, without the system's number for it."""
    with socket.socket() as taken:
        # Bound and not listening: nobody else takes it meanwhile.
        taken.bind(("127.0.0.1", 0))
        problem = asyncio.run(probe(Checked(taken.getsockname()[1]), HealthCheck(timeout=60)))
    assert "errno" not in problem.lower()
    assert problem.startswith("connect")


def test_silence() -> None:
    """A server that takes the request and says nothing in time fails the check."""

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    assert checked(silent, 0.2) == "no answer within 0.2s"
