"""What other users of the machine, apps and clients get of a running mesh when they try."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from .conftest import StartGateway

NOBODY = 65534


@pytest.fixture
def reachable() -> Iterator[Path]:
    """A folder that every user of the machine can enter, unlike those of pytest."""
    folder = Path(tempfile.mkdtemp(prefix="mx-", dir="/tmp"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def as_nobody(*command: object) -> subprocess.CompletedProcess[str]:
    """What a command of another user comes to."""
    words = list(map(str, command))
    return subprocess.run(
        words, user=NOBODY, group=NOBODY, extra_groups=[], capture_output=True, text=True, check=False, timeout=60
    )


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another user")
def test_another_user(start_gateway: StartGateway, reachable: Path) -> None:
    """Another user can neither enter the home nor ask the admin socket, and still cannot where its permissions were
    loosened; of the admin address it sees health and metrics. A command refuses the loosened home, and says why."""
    home = reachable / "home"
    gateway = start_gateway("--route", "/=http://127.0.0.1:9", home=home)
    ask = ("curl", "-sS", "--max-time", "20", "--unix-socket", home / "run" / "gateway.sock", "http://x/v1/status")
    assert as_nobody("ls", home).returncode != 0
    assert as_nobody(*ask).returncode == 7  # not connected
    (home / "run" / "gateway.sock").chmod(0o777)
    (home / "run").chmod(0o755)
    home.chmod(0o755)
    assert as_nobody("ls", home).returncode == 0
    told = as_nobody(*ask)
    assert (told.returncode != 0, told.stdout) == (True, "")
    assert '"state"' in subprocess.run(list(map(str, ask)), capture_output=True, text=True, check=True).stdout
    refused = gateway.meshctl("status")
    assert (refused.status, "is open to other users (mode 0755)" in refused.err) == (1, True)
    assert "chmod 700" in refused.err
    home.chmod(0o700)
    told = as_nobody("curl", "-sS", "--max-time", "20", f"{gateway.admin}/metrics")
    assert "meshctl_revision" in told.stdout
    assert as_nobody("curl", "-sS", "-f", "--max-time", "20", f"{gateway.admin}/v1/routes").returncode == 22
