"""Who gets an answer from an admin API: this user at its socket, probes at its TCP address, and no web page."""

from __future__ import annotations

import asyncio
import os
import socket
from pathlib import Path

import pytest

from meshctl.control import reception, strangers
from meshctl.control.reception import Reception
from meshctl.control.strangers import check_stranger, guarded, is_plain_host, is_this_user
from meshctl.errors import MeshError

HERE = {"Host": "127.0.0.1:9100"}


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.1:9100", "10.0.0.7:1", "localhost", "localhost:80", "[::1]:80"])
def test_hosts_that_nobody_can_point_elsewhere(host: str) -> None:
    """An address and localhost are no names that somebody's DNS answers for."""
    assert is_plain_host(host)
    check_stranger("GET", "/metrics", {"Host": host})


@pytest.mark.parametrize(
    "host",
    ["", "evil.example", "evil.example:9100", "localhost.evil.example", "127.0.0.1.evil.example", "localhost.", "::1",
     "[::1]:80@evil.example", "127.0.0.1@evil.example", "127.1", "0x7f.1", "[127.0.0.1]", "127.0.0.1:9100:1",
     "2130706433", "127.0.0.1, evil.example", "LOCALHOST\t"],
)  # fmt: skip
def test_hosts_that_could_be_anybody(host: str) -> None:
    """Whatever is neither is refused, also where it only begins or ends as one of them (DNS rebinding)."""
    with pytest.raises(MeshError) as caught:
        check_stranger("GET", "/metrics", {"Host": host})
    assert caught.value.code == "refused"


@pytest.mark.parametrize(
    ("more", "is_refused"),
    [
        ({}, False),
        ({"Origin": "http://127.0.0.1:9100"}, False),
        ({"Origin": "http://127.0.0.1:3000"}, True),
        ({"Origin": "https://127.0.0.1:9100"}, True),
        ({"Origin": "null"}, True),
        ({"Sec-Fetch-Site": "none"}, False),
        ({"Sec-Fetch-Site": "same-origin"}, False),
        ({"Sec-Fetch-Site": "same-site"}, True),
        ({"Sec-Fetch-Site": "cross-site"}, True),
    ],
)
def test_pages_of_other_origins(more: dict[str, str], is_refused: bool) -> None:
    """A page of another origin gets nothing, not even one of another port of this machine; what a person typed does."""
    try:
        check_stranger("GET", "/metrics", HERE | more)
    except MeshError as error:
        assert (is_refused, error.code) == (True, "refused")
    else:
        assert not is_refused


@pytest.mark.parametrize("path", ["/v1/status", "/v1/routes", "/v1/explain", "/v1/tap", "/metrics/", "//metrics", "/"])
def test_what_is_not_for_strangers(path: str) -> None:
    """Nothing but health and metrics is told over TCP."""
    with pytest.raises(MeshError) as caught:
        check_stranger("GET", path, HERE)
    assert caught.value.code == "not_found"


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "CONNECT"])
def test_strangers_only_read(method: str) -> None:
    """Over TCP nothing can be asked for that could change anything."""
    with pytest.raises(MeshError) as caught:
        check_stranger(method, "/metrics", HERE)
    assert caught.value.code == "refused"


def test_answers_are_no_pages() -> None:
    """An answer is nothing that a browser may guess the kind of, keep or show to a page; what it says itself stays."""
    added = guarded({"Cache-Control": "max-age=1"})
    assert added == {"X-Content-Type-Options": "nosniff", "Cross-Origin-Resource-Policy": "same-origin"}


async def _is_served(address: object, family: socket.AddressFamily) -> bool:
    loop = asyncio.get_running_loop()
    with socket.socket(family) as client:
        client.setblocking(False)
        await loop.sock_connect(client, address)
        async with asyncio.timeout(60):
            try:
                await loop.sock_sendall(client, b"x")
                return await loop.sock_recv(client, 1) == b"y"
            except ConnectionError:  # it was let go before it had said anything
                return False


async def _served(folder: Path, family: socket.AddressFamily, *, held: int = 0) -> bool:
    """Whether one more client is served while so many others say nothing."""
    loop = asyncio.get_running_loop()

    async def serve(client: socket.socket) -> None:
        await loop.sock_sendall(client, b"y")
        client.close()

    async def synced(_revision: int) -> bytes:
        raise AssertionError

    with socket.socket(family) as door:
        door.bind(str(folder / "door") if family == socket.AF_UNIX else ("127.0.0.1", 0))
        door.listen()
        made = Reception(loop, synced, serve)
        made.open(door)
        address = door.getsockname()
        waiting = []
        for _ in range(held):
            # The queue of those that wait is one line: they are taken in before the last one.
            waiting.append(await asyncio.open_connection(*address))
        try:
            return await _is_served(address, family)
        finally:
            for _, writer in waiting:
                writer.close()
            made.close()


@pytest.mark.skipif(os.uname().sysname != "Linux", reason="only Linux is asked who it is")
def test_another_user_at_the_socket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who is another user gets no answer at the socket, even where the permissions of files let them."""
    assert asyncio.run(_served(tmp_path, socket.AF_UNIX))
    one, other = socket.socketpair()
    with one, other:
        assert is_this_user(one)
        me = os.geteuid()
        monkeypatch.setattr(os, "geteuid", lambda: me + 1)
        assert is_this_user(one) == (me == 0)
    monkeypatch.undo()
    (tmp_path / "door").unlink()
    monkeypatch.setattr(reception, "is_this_user", lambda client: False)
    assert not asyncio.run(_served(tmp_path, socket.AF_UNIX))


def test_strangers_are_few(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So many clients over TCP are served at a time, that nobody can take all descriptors of the proxy."""
    assert strangers.MOST >= 64
    monkeypatch.setattr(reception, "MOST", 3)
    assert asyncio.run(_served(tmp_path, socket.AF_INET, held=2))
    assert not asyncio.run(_served(tmp_path, socket.AF_INET, held=3))


def test_a_visit_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A client over TCP that says nothing, or goes on and on, is let go, and its place is another's."""
    monkeypatch.setattr(reception, "VISIT", 0.2)

    async def visits() -> None:
        loop = asyncio.get_running_loop()

        async def serve(client: socket.socket) -> None:
            # As aiohttp does: it takes the socket over and waits for what never comes.
            reader, writer = await asyncio.open_connection(sock=client)
            await reader.read()
            writer.close()

        async def synced(_revision: int) -> bytes:
            raise AssertionError

        with socket.socket() as door:
            door.bind(("127.0.0.1", 0))
            door.listen()
            made = Reception(loop, synced, serve)
            made.open(door)
            for said in (b"", b"GET /met"):
                reader, writer = await asyncio.open_connection(*door.getsockname())
                writer.write(said)
                async with asyncio.timeout(60):
                    try:
                        assert await reader.read() == b""
                    except ConnectionResetError:  # it was let go before its words had come
                        pass
                writer.close()
            made.close()

    asyncio.run(visits())
