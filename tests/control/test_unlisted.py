"""A gateway that its store does not know is told of as long as it holds the home's lock."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from meshctl.cli.app import run
from meshctl.control.process import take_lock
from meshctl.control.unlisted import unlisted
from meshctl.store.home import Home


def test_told_while_the_lock_is_held(
    home: Home, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is found while it holds the lock and has signed it, by a command that finds nobody, and not afterwards."""
    monkeypatch.setenv("MESHCTL_HOME", str(home.path))
    assert unlisted(home) is None
    lock = take_lock(home)
    assert unlisted(home) is None
    os.pwrite(lock, b"%d\n" % os.getpid(), 0)
    assert run(["gateway", "status"]) == 4
    said = capsys.readouterr().err
    assert f"process {os.getpid()}" in said
    assert "mesh.db was removed" in said
    os.close(lock)
    assert unlisted(home) is None
    assert run(["gateway", "status"]) == 4
    assert f"nothing runs in the home {home.path}" in capsys.readouterr().err


def test_a_lock_that_says_nothing(home: Home, tmp_path: Path) -> None:
    """A lock file that nobody could have signed is nobody's."""
    (home.path / "gateway.lock").write_bytes(b"not a number\n")
    assert unlisted(home) is None
    assert unlisted(Home(tmp_path / "nowhere")) is None
