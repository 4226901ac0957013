"""git over HTTP through the gateway: clone, push and fetch, in chunks and compressed."""

from __future__ import annotations

import os
import random
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from .conftest import StartGateway
from .gateway import Gateway
from .servers import Server


def git(folder: Path, *arguments: object) -> str:
    """Run git in `folder` as somebody with a name; its output."""
    who = {f"GIT_{role}_{what}": "tester" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    command = ["git", *map(str, arguments)]
    environ = os.environ | who | {"GIT_TERMINAL_PROMPT": "0", "GIT_CONFIG_NOSYSTEM": "1"}
    done = subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture
def remote(tmp_path: Path, start_gateway: StartGateway) -> Iterator[str]:
    """The URL of a bare repository, through a gateway."""
    bare = tmp_path / "served" / "project.git"
    bare.mkdir(parents=True)
    git(bare, "init", "--bare", "--initial-branch=main")
    git(bare, "config", "http.receivepack", "true")
    server = Server("git_server.py", bare.parent)
    gateway: Gateway = start_gateway("--route", f"/={server.url}")
    yield f"{gateway.url}/project.git"
    server.end()


def test_git_clones_pushes_and_fetches(tmp_path: Path, remote: str) -> None:
    """What is pushed through the gateway, in one piece and in chunks, is what another clone gets."""
    git(tmp_path, "clone", remote, "first")
    first = tmp_path / "first"
    git(first, "checkout", "-b", "main")
    (first / "small").write_text("a little\n")
    git(first, "add", ".")
    git(first, "commit", "-m", "Begin")
    git(first, "push", "origin", "main")
    git(tmp_path, "clone", remote, "second")

    big = random.Random(8).randbytes(3_000_000)
    (first / "big").write_bytes(big)
    git(first, "add", ".")
    git(first, "commit", "-m", "Add what does not compress")
    # Above the post buffer git does not know the length beforehand, and sends the pack in chunks.
    git(first, "-c", "http.postBuffer=65536", "push", "origin", "main")
    git(tmp_path / "second", "pull")
    assert (tmp_path / "second" / "big").read_bytes() == big
    assert git(first, "rev-parse", "HEAD") == git(tmp_path / "second", "rev-parse", "HEAD")
