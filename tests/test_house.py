"""The tools that read the source: linter, formatter, type checker and bandit find nothing."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize(
    "tool",
    [("ruff", "check", "--quiet", "."), ("ruff", "format", "--check", "--quiet", "."), ("mypy",)],
    ids=["ruff check", "ruff format", "mypy"],
)
@pytest.mark.timeout(300)
def test_tools_find_nothing(tool: tuple[str, ...]) -> None:
    """`ruff check`, `ruff format --check` and strict `mypy` accept the whole checkout."""
    done = subprocess.run([sys.executable, "-m", *tool], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.timeout(300)
def test_bandit_finds_what_is_excused() -> None:
    """What bandit finds in the package is excused in pyproject.toml, with a reason; nothing is excused that is not
    there."""
    words = ["-m", "bandit", "-q", "-r", "meshctl", "-c", "pyproject.toml", "-f", "json"]
    done = subprocess.run([sys.executable, *words], cwd=ROOT, capture_output=True, text=True, check=False)
    found = json.loads(done.stdout)
    assert found["errors"] == []
    tools = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]
    told = {f"{each['test_id']} {each['filename'].removeprefix('meshctl/')}" for each in found["results"]}
    assert told == set(tools["bandit-excused"])
    assert all(len(why.split()) > 3 for why in tools["bandit-excused"].values())
