"""Which mesh.toml is meant where none is named, and that it is nobody else's."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from meshctl.errors import MeshError
from meshctl.store.home import which_home
from meshctl.store.nearest import find_config, nearest_config

STRANGER = 65534


def test_the_nearest(tmp_path: Path) -> None:
    """The nearest mesh.toml upward is found, also where it is a link to one."""
    deep = tmp_path / "a" / "b"
    deep.mkdir(parents=True)
    assert (nearest_config(deep), find_config(deep)) == (None, None)
    (tmp_path / "mesh.toml").touch()
    assert nearest_config(deep) == find_config(deep) == tmp_path / "mesh.toml"
    (tmp_path / "a" / "mesh.toml").symlink_to(tmp_path / "mesh.toml")
    assert nearest_config(deep) == find_config(deep) == tmp_path / "a" / "mesh.toml"


def _socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as bound, contextlib.chdir(path.parent):
        bound.bind(path.name)  # the whole path may be too long for an address


@pytest.mark.parametrize(
    ("make", "what"),
    [
        (Path.mkdir, "a folder"),
        (os.mkfifo, "a named pipe"),
        (_socket, "a socket"),
        (lambda path: path.symlink_to("/dev/null"), "a device"),
        (lambda path: path.symlink_to("gone.toml"), "a link to gone.toml, which does not exist"),
    ],
    ids=["folder", "pipe", "socket", "device", "link"],
)
def test_no_file(tmp_path: Path, make: Callable[[Path], None], what: str) -> None:
    """What is called mesh.toml and is no file is told of, not gone round: a file further up would be acted by. It says
    where the home is all the same, so that what runs there is still found."""
    deep = tmp_path / "a" / "b"
    deep.mkdir(parents=True)
    (tmp_path / "mesh.toml").touch()
    there = tmp_path / "a" / "mesh.toml"
    make(there)
    assert nearest_config(deep) == there
    with pytest.raises(MeshError) as caught:
        find_config(deep)
    assert (caught.value.code, caught.value.message) == ("config_unreadable", f'"{there}" is {what}')
    assert "-c FILE" in caught.value.hint


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to be two users")
@pytest.mark.parametrize("make", [Path.touch, lambda path: path.symlink_to("gone")], ids=["file", "link"])
@pytest.mark.parametrize("at", ["", "work"])
def test_a_strangers(tmp_path: Path, at: str, make: Callable[[Path], None]) -> None:
    """What another user put into a folder above, or into one that is not theirs, is neither acted by nor does it say
    where the home is: what it says would be run. The error tells how to mean it all the same."""
    work = tmp_path / "work"
    work.mkdir()
    trap = tmp_path / at / "mesh.toml"
    make(trap)
    os.lchown(trap, STRANGER, STRANGER)
    assert nearest_config(work) is None
    assert which_home(start=work, environ={"XDG_STATE_HOME": "/state"}) == Path("/state/meshctl")
    with pytest.raises(MeshError, match=f"put there by user {STRANGER}") as caught:
        find_config(work)
    assert (caught.value.code, caught.value.hint) == ("config_unreadable", f"where you trust it, name it: -c {trap}")


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to be two users")
def test_in_their_folder(tmp_path: Path) -> None:
    """Who works in another user's folder, as root in a container does, means that user's file."""
    (tmp_path / "mesh.toml").touch()
    for path in (tmp_path, tmp_path / "mesh.toml"):
        os.chown(path, STRANGER, STRANGER)
    assert find_config(tmp_path) == tmp_path / "mesh.toml"
