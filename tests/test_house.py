"""The tools that read the source: linter, formatter and type checker find nothing."""

from __future__ import annotations

import subprocess
import sys
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
