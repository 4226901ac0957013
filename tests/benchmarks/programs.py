"""Where a program is. It starts none."""

from __future__ import annotations

import shutil
import sys
from importlib.util import find_spec
from pathlib import Path


def program(name: str) -> str | None:
    """The path of a program: beside this Python, on PATH, or in the system's sbin; a Python module's name otherwise."""
    beside = shutil.which(name, path=str(Path(sys.executable).parent))
    found = beside or shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin")
    if found or not name.isidentifier():
        return found
    return name if find_spec(name) else None
