"""The keys that sessions are sealed with, in the home, and which worker renews one."""

from __future__ import annotations

import stat
from base64 import b64encode
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from meshctl.control.sessions import FILE, Sessions
from meshctl.model.auth import ApiKey, Auth, Need, Oidc
from meshctl.model.login import Claim, Claimed, Renewed, Sealing
from meshctl.model.mesh import Mesh
from meshctl.model.route import Route
from meshctl.proxy.messages import Message
from meshctl.store.home import Home


class Told:
    """Takes the place of workers: keeps what they are told, and says what they would."""

    def __init__(self) -> None:
        self.on: dict[type[Message], Any] = {}
        self.messages: list[Message] = []

    def tell(self, message: Message, *, standing: bool = False) -> None:
        """As of a fleet."""
        self.messages.append(message)

    def say(self, message: Message) -> list[Message]:
        """What all are told when one says this."""
        self.messages.clear()
        self.on[type(message)](message)
        return self.messages


def made(home: Path) -> tuple[Sessions, Told]:
    """The sessions of a home, and its workers."""
    told = Told()
    return Sessions(Home(home), told), told  # type: ignore[arg-type]


def mesh(**way: Any) -> Mesh:
    """One whose only route asks for that."""
    return Mesh(routes=(Route("a", auth=Need(("w",))),), auth=(Auth("w", **way),))


LOGIN = mesh(oidc=Oidc("https://id.example.com", "shop"))


def keys(home: Path) -> tuple[bytes, ...]:
    """What the workers of a gateway in this home are told."""
    sessions, told = made(home)
    sessions.adopt(LOGIN)
    (message,) = told.messages
    assert isinstance(message, Sealing)
    assert repr(message.keys[0]) not in repr(message)
    return message.keys


def test_keys_are_made_once(tmp_path: Path) -> None:
    """Gateways that start at once in one home have the same key, which nobody else may read; so has the next one."""
    with ThreadPoolExecutor(4) as pool:
        found = {each.result() for each in [pool.submit(keys, tmp_path) for _ in range(8)]}
    ((key,),) = found
    assert len(key) == 32
    assert stat.S_IMODE((tmp_path / FILE).stat().st_mode) == 0o600
    assert keys(tmp_path) == (key,)


def test_a_new_key_comes_before_the_old_ones(tmp_path: Path) -> None:
    """A line put before the others is the first key from the next revision on."""
    (old,) = keys(tmp_path)
    file = tmp_path / FILE
    file.write_bytes(b64encode(b"n" * 32) + b"\n" + file.read_bytes())
    assert keys(tmp_path) == (b"n" * 32, old)


@pytest.mark.parametrize("content", ["", "!!!\n", "c2hvcnQ=\n"])
def test_a_file_that_has_no_keys(tmp_path: Path, content: str, caplog: pytest.LogCaptureFixture) -> None:
    """A file that cannot be used is told of and left as it is; sessions wait."""
    (tmp_path / FILE).write_text(content)
    sessions, told = made(tmp_path)
    sessions.adopt(LOGIN)
    assert told.messages == []
    assert [each.message for each in caplog.records] == ["session_keys_unusable"]
    assert (tmp_path / FILE).read_text() == content


def test_nothing_is_made_where_nobody_logs_in(tmp_path: Path) -> None:
    """A mesh without logins has no such file."""
    sessions, told = made(tmp_path)
    sessions.adopt(mesh(api_key=ApiKey()))
    assert (told.messages, list(tmp_path.iterdir())) == ([], [])


def test_one_worker_renews_a_session(tmp_path: Path) -> None:
    """The first worker that asks has the turn until it says what came of it, which all are told; others wait, each
    session for itself."""
    _, workers = made(tmp_path)
    one, other = b"1" * 16, b"2" * 16
    assert workers.say(Claim(one, 0)) == [Claimed(one, 0)]
    assert workers.say(Claim(one, 1)) == []
    assert workers.say(Claim(one, 0)) == [Claimed(one, 0)]
    assert workers.say(Claim(other, 1)) == [Claimed(other, 1)]
    renewed = Renewed("w", one, "renewed", "x")
    assert workers.say(renewed) == [renewed]
    assert workers.say(Claim(one, 1)) == [Claimed(one, 1)]
