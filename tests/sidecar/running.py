"""Programs that use the parts under test as the wrapper does: in a process of their own, with one thread."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from typing import Any

import psutil

from tests.e2e.waiting import until

IMPORTS = """
    import asyncio, os, signal, sys, time
    from meshctl.errors import MeshError
    from meshctl.sidecar.child import Child
    from meshctl.sidecar.launch import check, ignored_signals, launch
    from meshctl.sidecar.terminal import Terminal
    say = lambda *words: print(*words, flush=True)
"""


def program(body: str, *arguments: object) -> list[str]:
    """The command line that runs `body`, which has the parts at hand."""
    return [sys.executable, "-c", textwrap.dedent(IMPORTS) + textwrap.dedent(body), *map(str, arguments)]


def environ(**more: str) -> dict[str, str]:
    """This process's environment with its import path, which the tests may have changed."""
    return os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, [os.getcwd(), *sys.path]))} | more


def start(command: list[str], **options: Any) -> subprocess.Popen[str]:
    """Start a command with its output in a pipe."""
    given = {"stdout": subprocess.PIPE, "stdin": subprocess.DEVNULL, "env": environ(), "text": True} | options
    return subprocess.Popen(command, **given)


def run(command: list[str], **options: Any) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    given = {"capture_output": True, "stdin": subprocess.DEVNULL, "env": environ(), "text": True, "timeout": 60}
    return subprocess.run(command, **(given | options))


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that merely waits to be reaped does not."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def until_gone(*pids: int) -> None:
    """Return when none of the processes runs any more."""
    until(lambda: not any(map(is_alive, pids)), f"the end of {pids}")
