"""Programs that use the parts under test as the wrapper does: in a process of their own, with one thread."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from typing import Any, TypeVar

import psutil

_T = TypeVar("_T")

PATIENCE = 20.0
"""Seconds that anything may take on a busy machine before it counts as never."""

IMPORTS = """
    import asyncio, os, signal, sys
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


def until(ask: Callable[[], _T], what: str, *, timeout: float = PATIENCE) -> _T:
    """The first true answer of `ask`. Fails the test, saying what was awaited, where none comes in time."""
    deadline = time.monotonic() + timeout
    while True:
        answer = ask()
        if answer:
            return answer
        assert time.monotonic() < deadline, f"waited {timeout:g} s for {what}; last: {answer!r}"
        time.sleep(0.01)


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that merely waits to be reaped does not."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def until_gone(*pids: int) -> None:
    """Return when none of the processes runs any more."""
    until(lambda: not any(map(is_alive, pids)), f"the end of {pids}")
