"""Who comes to the admin API is told at once whether a change is live; everybody else is passed on untouched."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

import msgspec
import pytest

from meshctl.control.reception import Query, Reception
from meshctl.errors import MeshError

QUESTION = b"GET /v1/synced?revision=41 HTTP/1.1\r\nHost: meshctl\r\n\r\n"


def listening(family: socket.AddressFamily, folder: Path) -> socket.socket:
    """A socket that waits for clients."""
    made = socket.socket(family)
    made.bind(str(folder / "admin.sock") if family == socket.AF_UNIX else ("127.0.0.1", 0))
    made.listen()
    return made


async def asked(
    folder: Path, pieces: list[bytes], family: socket.AddressFamily = socket.AF_UNIX
) -> tuple[bytes, list[int], list[bytes]]:
    """What a client gets that says these pieces; the revisions that were asked for, and what was passed on."""
    loop = asyncio.get_running_loop()
    revisions: list[int] = []
    passed: list[bytes] = []

    async def synced(revision: int) -> bytes:
        revisions.append(revision)
        return b'{"revision":%d}' % (revision + 1)

    async def serve(client: socket.socket) -> None:
        passed.append(await loop.sock_recv(client, 65536))
        client.close()

    reception = Reception(loop, synced, serve)
    door = listening(family, folder)
    reception.open(door)
    with socket.socket(family) as client:
        client.setblocking(False)
        await loop.sock_connect(client, door.getsockname())
        for piece in pieces:
            with suppress(BrokenPipeError):  # whoever it was passed on to may have gone already
                await loop.sock_sendall(client, piece)
            async with asyncio.timeout(60):
                # The next piece comes only when this one was looked at, else they were one.
                while not (revisions or passed):
                    await asyncio.sleep(0.001)
        got = b""
        async with asyncio.timeout(60):
            while data := await loop.sock_recv(client, 65536):
                got += data
    reception.close()
    return got, revisions, passed


def test_the_question_is_answered(tmp_path: Path) -> None:
    """Whether a revision is live is answered here, and the connection closed."""
    got, revisions, passed = asyncio.run(asked(tmp_path, [QUESTION]))
    assert (revisions, passed) == ([41], [])
    head, _, body = got.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert body == b'{"revision":42}'


@pytest.mark.parametrize(
    "pieces",
    [
        [b"GET /v1/status HTTP/1.1\r\nHost: meshctl\r\n\r\n"],
        [b"POST /v1/synced?revision=41 HTTP/1.1\r\nHost: meshctl\r\n\r\n"],
        [b"GET /v1/synced?revision=x HTTP/1.1\r\n\r\n"],
        [b"GET /v1/synced?revision=%s HTTP/1.1\r\n\r\n" % (b"9" * 40)],
        [QUESTION[:30], QUESTION[30:]],
    ],
)
def test_others_are_passed_on(pieces: list[bytes], tmp_path: Path) -> None:
    """Anything else, and the question in pieces, goes to who serves, with every byte of it."""
    _, revisions, passed = asyncio.run(asked(tmp_path, pieces))
    assert revisions == []
    assert b"".join(pieces).startswith(passed[0])
    assert passed[0].startswith(pieces[0])


def test_over_tcp_all_are_passed_on(tmp_path: Path) -> None:
    """Only who may use the home is answered here: over TCP there is more to be checked."""
    _, revisions, passed = asyncio.run(asked(tmp_path, [QUESTION], socket.AF_INET))
    assert (revisions, passed) == ([], [QUESTION])


@pytest.mark.parametrize("is_rude", [False, True])
def test_clients_that_say_nothing(is_rude: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who says nothing is let go, and who goes away is forgotten; others are answered meanwhile."""
    monkeypatch.setattr("meshctl.control.reception.PATIENCE", 1.5)

    async def main() -> tuple[bytes, int]:
        loop = asyncio.get_running_loop()

        async def synced(revision: int) -> bytes:
            return b"{}"

        serve: Callable[[socket.socket], Awaitable[None]] = _refuse
        reception = Reception(loop, synced, serve)
        door = listening(socket.AF_UNIX, tmp_path)
        silent = socket.socket(socket.AF_UNIX)
        silent.setblocking(False)
        await loop.sock_connect(silent, door.getsockname())
        if is_rude:
            silent.close()
        with socket.socket(socket.AF_UNIX) as client:
            client.setblocking(False)
            await loop.sock_connect(client, door.getsockname())
            await loop.sock_sendall(client, QUESTION)
            # Both stand before the door when it opens, so that nobody is late whose words a stalled machine held up.
            reception.open(door)
            got = await loop.sock_recv(client, 65536)
        if not is_rude:
            async with asyncio.timeout(60):
                assert await loop.sock_recv(silent, 1) == b""
            silent.close()
        reception.close()
        async with asyncio.timeout(60):
            while len(asyncio.all_tasks()) > 1:
                await asyncio.sleep(0.001)
        return got, len(asyncio.all_tasks())

    got, tasks = asyncio.run(main())
    assert got.endswith(b"{}")
    assert tasks == 1


async def _refuse(client: socket.socket) -> None:
    """Nobody is to be passed on: one who has gone is closed."""
    client.close()


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("/v1/stat?seconds=60&x=a%20b", (b"200 OK", b'{"seconds":"60","x":"a b"}')),
        ("/v1/stat", (b"200 OK", b"{}")),
        ("/v1/wrong", (b"400 Bad Request", b'"detail":"no such thing"')),
        ("/v1/shown?to=x", (b"shown", b'{"to":"x"}')),
    ],
)
def test_questions_of_commands_are_answered(target: str, expected: tuple[bytes, bytes], tmp_path: Path) -> None:
    """What commands ask is answered with its query, in one go or for as long as it takes, and what is wrong with it is
    told; nobody else is needed for that."""

    async def told(query: Query) -> bytes:
        return msgspec.json.encode(query)

    async def wrong(query: Query) -> bytes:
        raise MeshError("usage", "no such thing")

    async def shown(query: Query, client: socket.socket) -> None:
        await asyncio.get_running_loop().sock_sendall(client, b"shown " + msgspec.json.encode(query))

    async def main() -> bytes:
        loop = asyncio.get_running_loop()
        reception = Reception(
            loop,
            told,
            _refuse,
            {"/v1/stat": told, "/v1/wrong": wrong},
            {"/v1/shown": shown},  # type: ignore[arg-type]
        )
        door = listening(socket.AF_UNIX, tmp_path)
        reception.open(door)
        with socket.socket(socket.AF_UNIX) as client:
            client.setblocking(False)
            await loop.sock_connect(client, door.getsockname())
            await loop.sock_sendall(client, f"GET {target} HTTP/1.1\r\nHost: meshctl\r\n\r\n".encode())
            got = b""
            async with asyncio.timeout(60):
                while data := await loop.sock_recv(client, 65536):
                    got += data
        reception.close()
        return got

    got = asyncio.run(main())
    assert expected[0] in got.partition(b"\r\n")[0]
    assert expected[1] in got
