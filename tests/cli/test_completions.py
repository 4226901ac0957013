"""Completion: the scripts match the commands, and real shells complete with them."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from meshctl import resources
from meshctl.cli.app import build
from meshctl.cli.completion_scripts import script
from meshctl.cli.completions import SHELLS

from .conftest import Meshctl

ROOT = build()


def needs(shell: str) -> str:
    """The shell's path; skips the test where it is not installed."""
    found = shutil.which(shell)
    if found is None:
        pytest.skip(f"{shell} is not installed")
    return found


def output(*command: str) -> list[str]:
    """The words a program prints."""
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout.split()


@pytest.mark.parametrize("shell", SHELLS)
def test_scripts_match_the_commands(shell: str) -> None:
    """The files under completions/ are what the tree gives; `python -m meshctl.cli.write_completions` writes them."""
    assert resources.text("completions", f"meshctl.{shell}") == script(shell, ROOT)


@pytest.mark.parametrize("shell", SHELLS)
def test_completions_prints_the_script(shell: str, meshctl: Meshctl) -> None:
    """`meshctl completions SHELL` prints the script and nothing else."""
    ended = meshctl("completions", shell)
    assert (0, script(shell, ROOT), "") == (ended.status, ended.out, ended.err)


def test_unknown_shell(meshctl: Meshctl) -> None:
    """A shell without a script is a usage error that names the ones there are."""
    ended = meshctl("completions", "tcsh")
    assert ended.status == 2
    assert "bash, zsh and fish" in ended.err


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        (["gate"], ["gateway"]),
        (["gateway", ""], ["up", "status", "reload", "down", "logs"]),
        (["gateway", "up", "--lis"], ["--listen"]),
        (["--quiet", "config", "h"], ["history"]),
        (["routes", "ls", "-o", ""], ["table", "json"]),
        (["completions", "f"], ["fish"]),
        (["gateway", "up", "--workers", ""], ["auto"]),
        (["validate", "me"], ["mesh.toml"]),
    ],
)
def test_bash_completes(typed: list[str], expected: list[str], folder: Path) -> None:
    """In bash, TAB offers the commands, options, values and files that fit where the cursor is."""
    (folder / "mesh.toml").touch()
    words = " ".join(f"'{word}'" for word in ["meshctl", *typed])
    program = f"{script('bash', ROOT)}\nCOMP_WORDS=({words}); COMP_CWORD={len(typed)}; _meshctl\n"
    assert output(needs("bash"), "--norc", "-c", program + 'printf "%s\\n" "${COMPREPLY[@]}"') == expected


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("gate", {"gateway"}),
        ("gateway ", {"up", "status", "reload", "down", "logs"}),
        ("gateway up --lis", {"--listen"}),
        ("routes ls -o ", {"table", "json"}),
        ("completions f", {"fish"}),
    ],
)
def test_fish_completes(typed: str, expected: set[str], folder: Path) -> None:
    """In fish, TAB offers the commands, options and values that fit where the cursor is."""
    file = folder / "meshctl.fish"
    file.write_text(script("fish", ROOT))
    program = f"source {file}; complete -C 'meshctl {typed}' | string split -f1 \\t; or true"
    assert set(output(needs("fish"), "--no-config", "-c", program)) == expected


def test_zsh_loads_the_script(folder: Path) -> None:
    """zsh finds nothing wrong with the script's syntax, and autoloads it as the completion of meshctl."""
    (folder / "_meshctl").write_text(script("zsh", ROOT))
    program = f"fpath=({folder} $fpath); autoload -Uz compinit; compinit -D -u; print ${{_comps[meshctl]}}"
    assert output(needs("zsh"), "-n", str(folder / "_meshctl")) == []
    assert output(needs("zsh"), "-f", "-c", program) == ["_meshctl"]
