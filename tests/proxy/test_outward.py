"""How a worker asks servers outside of the mesh: real ones, that answer, hang, lie, leave, or are not there."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from meshctl.proxy.outward import Answered, Outward, Unreachable
from tests.e2e.certificates import issue

Handle = Callable[[bytes], Awaitable[bytes]]
PATIENCE = 30.0
HANGS = b"HTTP/1.1 200 OK\r\n"


class Server:
    """An HTTP server in as few words as a test needs: it answers each head that comes with bytes."""

    def __init__(self, *answers: bytes) -> None:
        self.answers = list(answers)
        self.heads: list[bytes] = []
        self.bodies: list[bytes] = []
        self.connections = 0
        self.url = ""
        self.gone = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection; it is closed when there is nothing left to say."""
        self.connections += 1
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            while self.answers:
                head = await reader.readuntil(b"\r\n\r\n")
                self.heads.append(head)
                length = next(
                    (int(line[15:]) for line in head.split(b"\r\n") if line[:15].lower() == b"content-length:"), 0
                )
                self.bodies.append(await reader.readexactly(length))
                if not (said := self.answers.pop(0)):
                    break
                writer.write(said)
                await writer.drain()
                if said == HANGS:
                    await self.gone.wait()
        writer.close()


@asynccontextmanager
async def serving(*answers: bytes, tls: ssl.SSLContext | None = None) -> AsyncIterator[Server]:
    """A server on loopback."""
    made = Server(*answers)
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0, ssl=tls)
    made.url = f"http{'s' if tls else ''}://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield made
    finally:
        made.gone.set()
        server.close()


def answer(body: bytes = b"", *lines: bytes, status: bytes = b"200 OK") -> bytes:
    """An answer's bytes."""
    return b"\r\n".join([b"HTTP/1.1 " + status, *lines, b"Content-Length: %d" % len(body), b"", body])


def run(case: Callable[[Outward], Awaitable[None]]) -> None:
    """Run a case with a way out that is closed behind it."""

    async def whole() -> None:
        outward = Outward()
        try:
            async with asyncio.timeout(2 * PATIENCE):
                await case(outward)
        finally:
            await outward.close()

    asyncio.run(whole())


async def ask(outward: Outward, url: str, **settings: object) -> Answered:
    """Ask for a page."""
    given = {"fields": [], "timeout": PATIENCE, "limit": 1000} | settings
    return await outward.ask("GET", url, **given)  # type: ignore[arg-type]


def test_an_answer_comes_as_it_was_said() -> None:
    """Status, repeated fields and body arrive as they were sent, and what was sent arrives there."""

    async def case(outward: Outward) -> None:
        said = answer(b"no", b"Set-Cookie: a=1", b"Set-Cookie: b=2", b"Location: /in", status=b"302 Found")
        async with serving(said) as server:
            found = await outward.ask(
                "POST", server.url + "/x%2Fy?q=%20", fields=[b"X-A: b\xc3\xa9"], body=b"k=v", timeout=PATIENCE, limit=9
            )
            assert (found.status, found.body) == (302, b"no")
            assert found.fields[:3] == [b"Set-Cookie: a=1", b"Set-Cookie: b=2", b"Location: /in"]
            assert server.heads[0].startswith(b"POST /x%2Fy?q=%20 HTTP/1.1\r\n")
            assert b"\r\nX-A: b\xc3\xa9\r\n" in server.heads[0]
            assert server.bodies == [b"k=v"]

    run(case)


def test_nothing_is_kept_but_the_connection() -> None:
    """The second question takes the same connection and brings no cookie along."""

    async def case(outward: Outward) -> None:
        async with serving(answer(b"", b"Set-Cookie: a=1; Path=/"), answer()) as server:
            await ask(outward, server.url)
            await ask(outward, server.url)
            assert server.connections == 1
            assert b"cookie" not in server.heads[1].lower()

    run(case)


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (b"", "closed the connection before it answered"),
        (b"SSH-2.0-OpenSSH\r\n", "answers with what is not valid HTTP"),
        (answer(b"x" * 1001), "answers with more than 1000 bytes"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx", "answers with what is not valid HTTP"),
    ],
)
def test_bad_answers(said: bytes, why: str) -> None:
    """What is no answer that could be used is told in one line, without what was asked or said."""

    async def case(outward: Outward) -> None:
        async with serving(said) as server:
            with pytest.raises(Unreachable) as found:
                await ask(outward, server.url + "/?token=hush", fields=[b"Authorization: hush"])
            assert str(found.value) == f"{server.url} {why}"

    run(case)


def test_one_that_hangs() -> None:
    """A server that says nothing more is waited for no longer than was allowed."""

    async def case(outward: Outward) -> None:
        async with serving(HANGS) as server:
            with pytest.raises(Unreachable, match=r"gives no answer within 0\.2s$"):
                await ask(outward, server.url, timeout=0.2)

    run(case)


def test_one_that_is_not_there() -> None:
    """Nobody at that port is told as such."""

    async def case(outward: Outward) -> None:
        async with serving() as server:
            pass
        with pytest.raises(Unreachable, match="cannot be connected to: "):
            await ask(outward, server.url)

    run(case)


def test_a_kept_connection_that_is_closed() -> None:
    """Only what may be sent again is sent again where a kept connection was lost with it."""

    async def case(outward: Outward) -> None:
        async with serving(answer(b"1"), b"", answer(b"2"), answer(b"3"), b"") as server:
            settings = {"fields": [], "body": b"x", "timeout": PATIENCE, "limit": 9}
            for expected in (b"1", b"2"):
                found = await outward.ask("POST", server.url, may_repeat=True, **settings)  # type: ignore[arg-type]
                assert found.body == expected
            await outward.ask("POST", server.url, **settings)  # type: ignore[arg-type]
            with pytest.raises(Unreachable, match="closed the connection"):
                await outward.ask("POST", server.url, **settings)  # type: ignore[arg-type]
            assert len(server.heads) == 5

    run(case)


def test_certificates(tmp_path: Path) -> None:
    """A certificate is believed where the given authority has signed it for that host, and nowhere else."""
    certificate, key = issue(tmp_path, serial=1)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate, key)

    async def case(outward: Outward) -> None:
        async with serving(answer(b"ok"), tls=tls) as server:
            for url, ca in ((server.url.replace("127.0.0.1", "localhost"), ""), (server.url, str(certificate))):
                with pytest.raises(Unreachable, match="has a certificate that is not accepted"):
                    await ask(outward, url, ca=ca)
            named = server.url.replace("127.0.0.1", "localhost")
            assert (await ask(outward, named, ca=str(certificate))).body == b"ok"
            with pytest.raises(Unreachable, match="cannot be asked"):
                await ask(outward, named, ca=str(tmp_path / "absent.pem"))

    run(case)


def test_it_is_closed_while_somebody_waits() -> None:
    """Closing ends what is under way; nothing is left open and nobody waits for ever."""

    async def case(outward: Outward) -> None:
        async with serving(HANGS) as server:
            waiting = asyncio.ensure_future(ask(outward, server.url))
            while not server.heads:
                await asyncio.sleep(0.01)
            await outward.close()
            assert waiting.cancelled()

    run(case)
