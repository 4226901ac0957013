"""How little a command loads before it knows what it has to do."""

from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path

import pytest

from meshctl import __version__

from .conftest import Meshctl, command


@pytest.mark.parametrize("flag", ["--version", "-V"])
def test_version(flag: str, process: Meshctl) -> None:
    """`meshctl --version` prints the version."""
    assert process(flag).out == f"meshctl {__version__}\n"


def loaded(*arguments: str) -> set[str]:
    """The modules a command line has imported when it ends."""
    traced = [sys.executable, "-X", "importtime", *command(*arguments)[1:]]
    done = subprocess.run(traced, capture_output=True, text=True, timeout=60, check=True)
    return {line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if line.startswith("import time:")}


def test_version_loads_nothing(folder: Path) -> None:
    """The version is told without the command line's library, or any of our modules but the package itself."""
    assert {"typer", "meshctl.cli", "meshctl.errors", "msgspec", "argparse"} & loaded("--version") == set()


@pytest.mark.parametrize("arguments", [["--help"], ["gateway", "up", "--help"]])
def test_help_loads_only_the_command_line(arguments: list[str], folder: Path) -> None:
    """Help needs nothing heavy: no pydantic, rich, aiohttp, sqlite3, cryptography, asyncio, nor the model."""
    heavy = {"pydantic", "rich", "aiohttp", "sqlite3", "cryptography", "asyncio", "msgspec", "psutil", "meshctl.model"}
    assert heavy & loaded(*arguments) == set()


def test_reading_commands_load_no_event_loop(folder: Path) -> None:
    """A command that asks running proxies loads neither asyncio nor pydantic: it must start fast and stay small."""
    assert {"pydantic", "asyncio", "aiohttp", "rich"} & loaded("routes", "ls", "--help") == set()


def test_version_costs_little_more_than_python(folder: Path) -> None:
    """`meshctl --version` takes at most 5 times the CPU time of `python -c pass`: the best of several runs of each."""

    def cost(arguments: list[str]) -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(arguments, check=True, capture_output=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    rounds = [(cost([sys.executable, "-c", "pass"]), cost(command("--version"))) for _ in range(7)]
    assert min(version for _, version in rounds) <= 5 * min(nothing for nothing, _ in rounds)
