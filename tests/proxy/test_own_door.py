"""Who is let in where only the wrapped app should come in: the kernel says whose the other end is."""

from __future__ import annotations

import asyncio
import os
import pwd
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from meshctl.proxy import own_door
from meshctl.proxy.own_door import OwnDoor, Users, owner, users_let_in

NOBODY = 65534
ME = (range(os.geteuid(), os.geteuid() + 1),)
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux is asked")


@pytest.fixture(params=[(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")], ids=["IPv4", "IPv6"])
def door(request: pytest.FixtureRequest) -> Iterator[socket.socket]:
    """A listening socket on the loopback address."""
    family, host = request.param
    with socket.socket(family) as made:
        made.bind((host, 0))
        made.listen()
        yield made


def test_whose_a_connection_is(door: socket.socket) -> None:
    """A connection is this user's, also once it has said all it has to say; one that is closed is nobody's, although
    the kernel then tells of root, and its last words may still be there."""
    with socket.socket(door.family) as client:
        client.connect(door.getsockname())
        end, _ = door.accept()
        with end:
            assert owner(end) == os.geteuid()
            client.shutdown(socket.SHUT_WR)
            assert owner(end) == os.geteuid()
            client.close()
            assert owner(end) is None


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another user")
def test_another_users(door: socket.socket) -> None:
    """A connection of another user is told as theirs."""
    host, port = door.getsockname()[:2]
    url = f"http://{f'[{host}]' if ':' in host else host}:{port}/"
    command = ["curl", "--silent", "--max-time", "60", url]
    with subprocess.Popen(command, user=NOBODY, group=NOBODY, extra_groups=[]) as curl:
        end, _ = door.accept()
        with end:
            assert owner(end) == NOBODY
        curl.wait()


class Greeter(asyncio.Protocol):
    """Says "hello" and goes."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        transport.write(b"hello")
        transport.close()


async def _heard(door: socket.socket, users: Users) -> tuple[bytes, list[Any]]:
    """What this user hears at a door for `users`, and what was counted and told of it."""
    loop = asyncio.get_running_loop()
    said: list[Any] = []
    counters = SimpleNamespace(refuse=said.append)
    complaints = SimpleNamespace(tell=lambda event, reason, **fields: said.append((event, reason, fields["user"])))
    worker: Any = SimpleNamespace(loop=loop, counters=counters, complaints=complaints, connection_limit=9)
    made = OwnDoor(worker, "here", door.dup(), Greeter, users)
    made.start()
    try:
        reader, writer = await asyncio.open_connection(*door.getsockname()[:2])
        async with asyncio.timeout(20):
            heard = await reader.read()
        writer.close()
    finally:
        made.close()
    return heard, said


def test_who_is_let_in(door: socket.socket) -> None:
    """Who may come in is spoken to; who may not is told nothing, counted, and named in a notice."""
    assert asyncio.run(_heard(door, ME)) == (b"hello", [])
    me = str(os.geteuid())
    told = ["not_the_app", ("not_the_app", "other_user", me)]
    assert asyncio.run(_heard(door, (range(70_000, 70_001),))) == (b"", told)


def test_whom_a_proxy_lets_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A user's proxy lets in that user, root and the users of its containers; root's lets in everybody, for its app may
    have become another user; so does one that cannot ask."""
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert users_let_in() is None
    name = pwd.getpwuid(NOBODY).pw_name
    subordinate = tmp_path / "subuid"
    subordinate.write_text(f"# of containers\nother:1:2\n{name}:100000:65536\n{NOBODY}:200000:1\n{name}:x:1\n{name}\n")
    monkeypatch.setattr(os, "geteuid", lambda: NOBODY)
    monkeypatch.setattr(own_door, "_can_ask", lambda: True)
    own = (range(1), range(NOBODY, NOBODY + 1))
    assert users_let_in(str(subordinate)) == (*own, range(100_000, 165_536), range(200_000, 200_001))
    assert users_let_in(str(tmp_path / "none")) == own
    monkeypatch.setattr(own_door, "_can_ask", lambda: False)
    assert users_let_in(str(subordinate)) is None


def test_the_kernel_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before it relies on the kernel a proxy asks it about itself."""
    assert own_door._can_ask()
    monkeypatch.setattr(own_door, "owner", lambda end: None)
    assert not own_door._can_ask()
