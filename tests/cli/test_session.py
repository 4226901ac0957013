"""Which mesh a command means: the home and the file, from flags, the environment and where it is typed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from .conftest import Meshctl


def revisions(meshctl: Meshctl, *arguments: object) -> int:
    """How many revisions the home that these arguments mean has; 0 where there is none."""
    ended = meshctl("config", "history", "-o", "json", *arguments)
    return len(json.loads(ended.out)["revisions"]) if ended.status == 0 else 0


def test_the_home_stands_beside_the_file(meshctl: Meshctl, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a word the home is .meshctl beside the nearest mesh.toml, from every folder below; it is private."""
    meshctl("init")
    assert meshctl("apply").status == 0
    assert (folder / ".meshctl").stat().st_mode & 0o777 == 0o700
    (folder / "below").mkdir()
    monkeypatch.chdir(folder / "below")
    assert revisions(meshctl) == 1


def test_flags_and_environment_choose_the_home(meshctl: Meshctl, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """--home wins over $MESHCTL_HOME, which wins over the nearest file; before or after the command alike."""
    meshctl("init")
    assert meshctl("--home", folder / "one", "apply").status == 0
    assert meshctl("apply", "--home", folder / "two").status == 0
    assert [revisions(meshctl, "--home", folder / name) for name in ("one", "two")] == [1, 1]
    assert revisions(meshctl) == 0
    monkeypatch.setenv("MESHCTL_HOME", str(folder / "one"))
    assert revisions(meshctl) == 1
    assert revisions(meshctl, "--home", folder / "none") == 0


def test_an_open_home_is_refused(meshctl: Meshctl, folder: Path) -> None:
    """A home that others can look into is refused, with the way to close it."""
    meshctl("init")
    (folder / "open").mkdir(mode=0o755)
    ended = meshctl("apply", "--home", folder / "open")
    assert ended.status == 1
    assert "chmod 700" in ended.err


def test_a_broken_store_is_told(meshctl: Meshctl, folder: Path) -> None:
    """A store that is none is an error with a way out, not a traceback, and is left as it is."""
    meshctl("init")
    meshctl("apply")
    (database,) = (folder / ".meshctl").glob("*.db")
    for extra in (folder / ".meshctl").glob("*.db-*"):
        extra.unlink()
    database.write_bytes(b"no database at all" * 100)
    ended = meshctl("config", "history")
    assert (ended.status, ended.out) == (1, "")
    assert "hint:" in ended.err
    assert database.read_bytes().startswith(b"no database")
