"""When an app counts as taking requests: real sockets, none of them fixed."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Iterator

import pytest

from meshctl.model.policy import HealthCheck
from meshctl.sidecar.gate import Gate
from meshctl.sidecar.ports import Port, choose_port

PATIENCE = 60.0
"""Seconds for what takes none: a check that a stalled machine answers late would count as failed."""
Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@pytest.fixture
def port() -> Iterator[Port]:
    """A port of the test's own."""
    chosen = choose_port()
    yield chosen
    chosen.release()


def said(statuses: list[int]) -> Answer:
    """Answers with these statuses, one after another, and with the last one for ever."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        status = statuses.pop(0) if len(statuses) > 1 else statuses[0]
        writer.write(b"HTTP/1.1 %d x\r\ncontent-length: 0\r\n\r\n" % status)
        writer.close()

    return answer


async def nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Says nothing, and lets go of the client."""
    await reader.read(65536)
    writer.close()


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "0.0.0.0", "::"])
def test_opens_with_the_port(host: str, port: Port) -> None:
    """The gate is closed while nobody listens, and opens when the app does, on whichever address it is reached."""
    if ":" in host and not socket.has_dualstack_ipv6():
        pytest.skip("needs IPv6")

    async def main() -> str:
        gate = Gate(port.number, None, 30)
        opened = asyncio.ensure_future(gate.open())
        while not gate.problem:
            await asyncio.sleep(0.01)
        assert not opened.done()
        async with await asyncio.start_server(nothing, host, port.number):
            return await asyncio.wait_for(opened, PATIENCE)

    # asyncio's "::" is IPv6 alone.
    assert asyncio.run(main()) == ("::1" if ":" in host else "127.0.0.1")


def test_late_is_told_once(port: Port) -> None:
    """An app that is late is told of, once with what is wrong, and waited for all the same."""

    async def main() -> list[str]:
        late: list[str] = []
        opened = asyncio.ensure_future(Gate(port.number, None, 0.0, late.append).open())
        while not late:
            await asyncio.sleep(0.01)
        # It goes on trying, and has nothing else to tell.
        await asyncio.wait([opened], timeout=0.5)
        assert not opened.done()
        opened.cancel()
        assert late == [f"nothing listens on port {port.number}"]
        return late

    assert len(asyncio.run(main())) == 1


def test_a_health_check() -> None:
    """With a check the gate opens when it passes, as often in a row as is asked for, and not with the port."""

    async def main() -> list[int]:
        statuses = [503, 200, 500, 204, 200, 200]
        async with await asyncio.start_server(said(statuses), "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            gate = Gate(port, HealthCheck(path="/ready", healthy=2, timeout=PATIENCE), 30)
            assert await asyncio.wait_for(gate.open(), PATIENCE) == "127.0.0.1"
        return statuses

    # 503; 200, 500; 204, 200: the third time two in a row passed.
    assert asyncio.run(main()) == [200]


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (said([404]), "status 404"),
        (nothing, "the connection was closed before the answer"),
    ],
)
def test_what_is_wrong_is_told(answer: Answer, problem: str) -> None:
    """The gate says what the app answered, rather than that nothing listens on the other address."""

    async def main() -> list[str]:
        late: list[str] = []
        async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            gate = asyncio.ensure_future(
                Gate(port, HealthCheck(path="/ready", timeout=PATIENCE), 0.0, late.append).open()
            )
            while not late:
                await asyncio.sleep(0.01)
            gate.cancel()
        return late

    assert asyncio.run(main()) == [problem]


def test_an_app_that_hangs() -> None:
    """A check that is not answered ends after its timeout, and is tried again."""

    async def main() -> str:
        hung: list[asyncio.StreamWriter] = []

        async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            if len(hung) < 2:
                hung.append(writer)
                return
            await said([200])(reader, writer)

        async with await asyncio.start_server(hang, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            host = await asyncio.wait_for(Gate(port, HealthCheck(path="/", timeout=0.05), 30).open(), PATIENCE)
            for each in hung:
                each.close()
        return host

    assert asyncio.run(main()) == "127.0.0.1"
