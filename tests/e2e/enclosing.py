"""What apps in networks of their own need of a machine, and what may be left of such a network."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest


@cache
def skip_unless_allowed(before: tuple[str, ...] = ()) -> None:
    """Skip the test where the command line begun with `before` may make no network for an app."""
    program = "from meshctl.sidecar.enclosure import enclose; enclose(0).close()"
    words = [*before, sys.executable, "-c", program]
    ended = subprocess.run(words, capture_output=True, text=True, check=False, timeout=60)
    if ended.returncode:
        why = ended.stderr.strip().rpartition("\n")[2]
        pytest.skip(f"this machine does not let an app have a network of its own: {why}")


def network(pid: int) -> str:
    """The network that a process is in."""
    return os.readlink(f"/proc/{pid}/ns/net")


def kept(name: str) -> list[str]:
    """By what a network is kept: processes that are in it, descriptors of it, mounts."""
    found = []
    for pattern in ("[0-9]*/ns/net", "[0-9]*/task/*/ns/net", "[0-9]*/fd/*"):
        for each in Path("/proc").glob(pattern):
            with contextlib.suppress(OSError):
                if os.readlink(each) == name:
                    found.append(str(each))
    mounts = Path("/proc/self/mountinfo").read_text().splitlines()
    return [*found, *(each for each in mounts if f" {name} " in each)]
