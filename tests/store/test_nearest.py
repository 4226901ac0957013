"""Which mesh.toml is meant where none is named, and that it is nobody else's."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from meshctl.errors import MeshError
from meshctl.store.home import which_home
from meshctl.store.nearest import find_config, nearest_config

STRANGER = 65534


def test_the_nearest(tmp_path: Path) -> None:
    """The nearest mesh.toml upward is found; a folder of that name is none."""
    deep = tmp_path / "a" / "b"
    deep.mkdir(parents=True)
    (tmp_path / "a" / "mesh.toml").mkdir()
    assert (nearest_config(deep), find_config(deep)) == (None, None)
    (tmp_path / "mesh.toml").touch()
    assert nearest_config(deep) == find_config(deep) == tmp_path / "mesh.toml"


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to be two users")
@pytest.mark.parametrize("at", ["", "work"])
def test_a_strangers(tmp_path: Path, at: str) -> None:
    """What another user put into a folder above, or into one that is not theirs, is neither acted by nor does it say
    where the home is: what it says would be run. The error tells how to mean it all the same."""
    work = tmp_path / "work"
    work.mkdir()
    trap = tmp_path / at / "mesh.toml"
    trap.touch()
    os.chown(trap, STRANGER, STRANGER)
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
