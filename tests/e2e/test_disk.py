"""A home that cannot be written: the gateway serves on, and commands say what is wrong. Needs root, to mount."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from .conftest import StartGateway
from .gateway import meshctl
from .servers import Upstreams
from .waiting import until


def mount(*arguments: object) -> bool:
    """Whether `mount` succeeded; in a container it may not be allowed."""
    return subprocess.run(["mount", *map(str, arguments)], check=False, capture_output=True).returncode == 0


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of two megabytes."""
    if os.geteuid() or not shutil.which("mount"):
        pytest.skip("only root may mount")
    where = tmp_path / "disk"
    where.mkdir()
    if not mount("-t", "tmpfs", "-o", "size=2m,mode=700", "tmpfs", where):
        pytest.skip("mounting is not allowed here")
    yield where
    subprocess.run(["umount", "-l", where], check=True)


def fill(disk: Path) -> Path:
    """A file that takes what space there is."""
    path = disk / "ballast"
    with path.open("wb", buffering=0) as file:
        size = 4096
        while size:
            try:
                file.write(bytes(size))
            except OSError:
                size //= 2
    return path


def routes(upstreams: Upstreams, tmp_path: Path, disk: Path, name: str) -> Path:
    """A mesh.toml that sends everything to server `name`, with an access log on the disk."""
    file = tmp_path / "mesh.toml"
    file.write_text(f"""
        gateway = {{ listen = ["127.0.0.1:0"], access_log = "{disk}/access.log" }}
        routes = [{{ service = "s" }}]
        services.s.endpoints = ["{upstreams.address(name)}"]
    """)
    return file


def test_a_full_disk(
    upstreams: Upstreams, start_gateway: StartGateway, http: httpx.Client, tmp_path: Path, disk: Path
) -> None:
    """With the disk full requests are answered, also by a worker that was killed meanwhile; `apply` ends with 1 and
    says why; with space again it succeeds and is live, and the access log goes on with whole lines."""
    gateway = start_gateway("-c", routes(upstreams, tmp_path, disk, "a"), home=disk / "home", listen="")
    gateway.forgiven = {"worker_ended", "store_failed"}
    ballast = fill(disk)
    assert {http.get(f"{gateway.url}/{number}").json()["name"] for number in range(500)} == {"a"}
    refused = gateway.apply(routes(upstreams, tmp_path, disk, "b"), status=1)
    assert "full" in refused.err
    assert "Traceback" not in refused.err
    (worker,) = gateway.workers()
    os.kill(worker, signal.SIGKILL)
    http.close()
    assert httpx.get(gateway.url, trust_env=False, timeout=30).json()["name"] == "a"
    assert gateway.status()["workers"][0]["restarts"] == 1

    ballast.unlink()
    gateway.apply(routes(upstreams, tmp_path, disk, "b"))
    assert httpx.get(f"{gateway.url}/after", trust_env=False, timeout=30).json()["name"] == "b"
    lines = until(
        lambda: [line for line in (disk / "access.log").read_text().splitlines() if "/after" in line], "a line"
    )
    assert all(line.startswith("{") and line.endswith("}") for line in lines)


def test_a_read_only_home(
    upstreams: Upstreams, start_gateway: StartGateway, http: httpx.Client, tmp_path: Path, disk: Path
) -> None:
    """Where the home is read-only commands end with 1 and say so, and the running gateway takes no harm."""
    gateway = start_gateway("-c", routes(upstreams, tmp_path, disk, "a"), home=disk / "home", listen="")
    view = tmp_path / "view"
    view.mkdir(mode=0o700)
    assert mount("--bind", disk, view)
    try:
        assert mount("-o", "remount,bind,ro", view)
        for command in (("apply", "-c", routes(upstreams, tmp_path, disk, "b")), ("config", "rollback")):
            refused = meshctl(view / "home", *command)
            assert refused.status == 1
            assert "cannot be written" in refused.err
    finally:
        subprocess.run(["umount", "-l", view], check=True)
    assert http.get(gateway.url).json()["name"] == "a"
