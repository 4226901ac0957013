"""The admin socket is private, stays where it is, and comes back where somebody takes it away."""

from __future__ import annotations

import os
import shutil
import socket
import stat
from pathlib import Path

import pytest

from meshctl.control.admin_socket import AdminSocket
from meshctl.errors import MeshError


def _greets(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as client:
        try:
            client.connect(str(path))
        except OSError:
            return False
    return True


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where it is to be; short enough, whatever the tests' folder is called."""
    (tmp_path / "run").mkdir(mode=0o700)
    monkeypatch.chdir(tmp_path)
    return Path("run/a.sock")


def test_private(path: Path) -> None:
    """Nobody else may connect, whatever the umask is, which is left as it was."""
    before = os.umask(0)
    try:
        with AdminSocket(str(path)).make():
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
            assert _greets(path)
    finally:
        assert os.umask(before) == 0


def test_one_that_was_left(path: Path) -> None:
    """What a killed proxy left is replaced."""
    AdminSocket(str(path)).make().close()
    assert not _greets(path)
    with AdminSocket(str(path)).make():
        assert _greets(path)


@pytest.mark.parametrize("how", ["file", "folder", "another"])
def test_removed(path: Path, how: str) -> None:
    """A socket that was removed, alone or with its folder, or replaced, is missed, and made again as private."""
    ours = AdminSocket(str(path))
    with ours.make():
        assert ours.is_there
        match how:
            case "file":
                path.unlink()
            case "folder":
                shutil.rmtree(path.parent)
            case _:
                path.rename(path.with_name("gone"))
                path.write_text("")
        assert not ours.is_there
    with ours.make():
        assert ours.is_there
        assert _greets(path)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    ours.remove()
    assert not path.exists()


def test_a_home_that_is_gone(path: Path, tmp_path: Path) -> None:
    """A home that was removed is not made again for a socket."""
    with pytest.raises(MeshError, match="no such file"):
        AdminSocket("home/run/a.sock").make()
    assert not (tmp_path / "home").exists()


def test_anothers_is_left_alone(path: Path) -> None:
    """Who ends removes its own socket, not what somebody else has put there."""
    ours = AdminSocket(str(path))
    with ours.make():
        path.unlink()
        path.write_text("somebody's")
        ours.remove()
    assert path.read_text() == "somebody's"
