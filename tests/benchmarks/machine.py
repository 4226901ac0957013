"""Where and with what a run took place, so that its figures can be read later. It measures nothing."""

from __future__ import annotations

import os
import platform
import re
import ssl
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from .programs import program

_VERSION_COMMANDS = {
    "nginx": ["nginx", "-v"],
    "haproxy": ["haproxy", "-v"],
    "envoy": ["envoy", "--version"],
    "caddy": ["caddy", "version"],
    "wrk": ["wrk", "-v"],
}


def describe() -> dict[str, Any]:
    """Date, processor, cores, kernel, Python and the versions of the peers present."""
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "openssl": ssl.OPENSSL_VERSION,
        "versions": {name: version for name, command in _VERSION_COMMANDS.items() if (version := _version(command))},
    }


def _processor() -> str:
    found = re.search(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text())
    return found[1] if found else platform.machine()


def _version(command: list[str]) -> str:
    """The first thing that looks like a version in what the command says; empty when it is absent."""
    path = program(command[0])
    if path is None:
        return ""
    said = subprocess.run([path, *command[1:]], capture_output=True, text=True, check=False, timeout=20)
    found = re.search(r"\d+\.\d+(?:\.\d+)*", said.stdout + said.stderr)
    return found[0] if found else ""
