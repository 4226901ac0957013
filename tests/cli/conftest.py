"""Running the command line: in this process for its words, as a process of its own for its behaviour."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from meshctl.cli.app import run


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended and what it said."""

    status: int
    out: str
    err: str


Meshctl = Callable[..., Ended]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory, outside any checkout, with a mesh's state of its own."""
    # Of this process and its children, whatever folder they start in.
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [os.getcwd(), *sys.path])))
    monkeypatch.chdir(tmp_path)
    # The home of commands that run where there is no mesh.toml.
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path


@pytest.fixture
def meshctl(folder: Path, capsys: pytest.CaptureFixture[str]) -> Meshctl:
    """Runs a command line in this process, in `folder`."""

    def call(*arguments: object) -> Ended:
        status = run([str(argument) for argument in arguments])
        said = capsys.readouterr()
        return Ended(status, said.out, said.err)

    return call


@pytest.fixture
def process(folder: Path) -> Meshctl:
    """Runs a command line in a process of its own, in `folder`."""

    def call(*arguments: object, **environment: str) -> Ended:
        done = subprocess.run(
            command(*arguments), capture_output=True, text=True, timeout=110, env={**os.environ, **environment}
        )
        return Ended(done.returncode, done.stdout, done.stderr)

    return call


def command(*arguments: object) -> list[str]:
    """The words that start meshctl as a process."""
    return [sys.executable, "-m", "meshctl", *map(str, arguments)]
