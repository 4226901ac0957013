"""Bodies of half a gigabyte pass in constant memory."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import psutil
import pytest

from .conftest import StartGateway
from .gateway import Gateway
from .servers import Upstreams

SIZE = 512 << 20
ROOM = 24 << 20
"""What the gateway's memory may grow by: buffers of both sides, and what the allocator keeps."""


def peak(gateway: Gateway) -> int:
    """The most bytes that the gateway's processes ever had resident."""
    total = 0
    for pid in (gateway.pid, *gateway.workers()):
        status = Path(f"/proc/{pid}/status").read_text()
        total += int(status.partition("VmHWM:")[2].split()[0]) * 1024
    return total


@pytest.mark.timeout(600)
@pytest.mark.skipif(not psutil.LINUX, reason="only Linux tells a process's peak")
def test_half_a_gigabyte_each_way(upstreams: Upstreams, start_gateway: StartGateway, tmp_path: Path) -> None:
    """An upload and downloads of 512 MB arrive whole, and the gateway's peak memory grows by less than 24 MB."""
    gateway: Gateway = start_gateway("--route", f"/={upstreams.url_of('c')}")
    file = tmp_path / "sparse"
    with file.open("wb") as made:
        made.truncate(SIZE)
    curl = ["curl", "-sSf", "--max-time", "250"]
    subprocess.run([*curl, f"{gateway.url}/warm"], check=True, stdout=subprocess.DEVNULL)
    before = peak(gateway)
    upload = subprocess.run([*curl, "-T", file, f"{gateway.url}/big"], check=True, capture_output=True).stdout
    assert json.loads(upload)["bytes"] == SIZE
    for query in ("", "?chunked"):
        command = [*curl, "-o", "/dev/null", "-w", "%{size_download}", f"{gateway.url}/bytes/{SIZE}{query}"]
        assert int(subprocess.run(command, check=True, capture_output=True).stdout) == SIZE
    assert peak(gateway) - before < ROOM
