"""A user without rights, where the tests are run by one who has them all."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

NOBODY = 65534
_BECOME = ("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups")
_NEEDED = ("", "dac_read_search", "dac_override")
"""What lets that user read the Python and the packages of these tests, which may be in root's folder: nothing, or one
of these rights, which says nothing of whose files, sockets and processes are."""


def works(*command: str) -> bool:
    """Whether a command ends well."""
    with contextlib.suppress(OSError):
        return subprocess.run(command, capture_output=True, check=False, timeout=60).returncode == 0
    return False


@cache
def somebody() -> tuple[str, ...]:
    """What a command line is begun with to be run by a user other than root; nothing where the tests are run by one.
    Skips the test where that cannot be."""
    if os.geteuid() != 0:
        return ()
    for right in _NEEDED:
        if _runs(right, sys.executable, "import meshctl, ssl, uvloop"):
            return _with(right)
    pytest.skip("no other user can run the Python of these tests here")


@cache
def python() -> str:
    """A Python that such a user can run with no right at all: for apps in namespaces of their own, which have none.
    Skips the test where there is none."""
    if os.geteuid() != 0:
        return sys.executable
    for found in (sys.executable, shutil.which("python3", path="/usr/local/bin:/usr/bin")):
        if found and _runs("", found, "import http.server"):
            return found
    pytest.skip("no other user can run a Python without more rights here")


@contextlib.contextmanager
def folder() -> Iterator[Path]:
    """A folder of that user's, short enough for the path of a Unix socket."""
    made = Path(tempfile.mkdtemp())
    if os.geteuid() == 0:
        os.chown(made, NOBODY, NOBODY)
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)


def _runs(right: str, python: str, program: str) -> bool:
    # What setpriv itself starts may still be found by the rights that it was started with.
    return works(*_with(right), "sh", "-c", 'exec "$0" -c "$1"', python, program)


def _with(right: str) -> tuple[str, ...]:
    only = f"-all,+{right}" if right else "-all"
    return (*_BECOME, f"--inh-caps={only}", f"--ambient-caps={only}", f"--bounding-set={only}")
