"""Disks that are full or read-only, for real: small file systems in memory, mounted where the tests run as root."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

_MEGABYTE = 1024 * 1024


@dataclass(frozen=True)
class Disk:
    """A file system of a megabyte, mounted at `path`, private to its owner."""

    path: Path

    def fill(self) -> None:
        """Take all the space that is left."""
        with (self.path / "filler").open("ab", buffering=0) as file:
            for size in (65536, 4096, 1):
                try:
                    while True:
                        file.write(bytes(size))
                except OSError:
                    continue

    def make_room(self) -> None:
        """Give back what `fill` took."""
        (self.path / "filler").unlink()

    def make_read_only(self) -> None:
        """Refuse all writes from now on."""
        subprocess.run(["mount", "-o", "remount,ro", self.path], check=True)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    """An empty small disk."""
    path = tmp_path / "disk"
    path.mkdir(mode=0o700)
    command = ["mount", "-t", "tmpfs", "-o", f"size={_MEGABYTE},mode=700", "tmpfs", path]
    if os.geteuid() != 0 or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("cannot mount a file system here: needs root and CAP_SYS_ADMIN")
    yield Disk(path)
    # Lazily: a test that failed may still hold a file open on it.
    subprocess.run(["umount", "-l", path], check=True)
