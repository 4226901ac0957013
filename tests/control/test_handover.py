"""The lean process is the one meant, whatever lies where it is started."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

import meshctl
from meshctl.control.handover import python


def test_files_beside_it_are_not_taken_for_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a folder whose files are called like modules of Python, a module of ours runs as anywhere else."""
    for name in ("queue", "signal", "types", "asyncio", "msgspec"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('the wrong one')")
    monkeypatch.setenv("PYTHONPATH", str(Path(meshctl.__file__).parents[1]))
    monkeypatch.chdir(tmp_path)
    done = subprocess.run([*python("meshctl"), "--version"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_checkout_is_found_by_being_in_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a checkout that is not installed, a module of ours is found."""
    monkeypatch.delenv("PYTHONPATH", raising=False)
    monkeypatch.chdir(Path(meshctl.__file__).parents[1])
    assert "-P" not in python("meshctl")
