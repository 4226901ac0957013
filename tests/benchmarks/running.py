"""A started process: is it ready, what has it used, how does it end. It knows only commands and process ids."""

from __future__ import annotations

import http.client
import signal
import ssl
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

import psutil

from . import tree
from .case import HOST

_READY_SECONDS = 30.0
_STOP_SECONDS = 10.0


class StartFailed(Exception):
    """The process ended, or answered nothing in time. The text ends with what it said last."""


class Running:
    """A process with its output in a file. Leaving the context ends it and everything it started, by process id."""

    def __init__(self, command: Sequence[str], output: Path, port: int, core: int | None = None) -> None:
        pinned = ["taskset", "-c", str(core), *command] if core is not None else list(command)
        self.port = port
        self._output = output
        with output.open("ab") as sink:
            self._process = subprocess.Popen(
                pinned, stdin=subprocess.DEVNULL, stdout=sink, stderr=subprocess.STDOUT, start_new_session=True
            )

    @property
    def pids(self) -> list[int]:
        """The process and its descendants, now."""
        return tree.members(self._process.pid)

    def cpu(self) -> dict[int, float]:
        """CPU seconds used so far, by process id."""
        return {pid: tree.cpu_seconds(pid) for pid in self.pids}

    def memory(self) -> tree.Memory:
        """The memory of all its processes."""
        return tree.memory(self.pids)

    def until_ready(self, path: str, *, tls: bool) -> None:
        """Return when `path` answers 200; raise StartFailed when that takes too long or the process ends."""
        deadline = time.monotonic() + _READY_SECONDS
        status = "nothing"
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                raise StartFailed(f"ended with {self._process.returncode}: {self._last_words()}")
            status, _ = ask(self.port, path, tls=tls)
            if status == "200":
                return
            time.sleep(0.05)
        raise StartFailed(f"answered {status}: {self._last_words()}")

    def stop(self) -> None:
        """Ask it to end; after a while make it."""
        pids = self.pids
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        for pid in pids[1:]:
            try:
                psutil.Process(pid).kill()
            except psutil.NoSuchProcess:
                continue

    def _last_words(self) -> str:
        lines = self._output.read_text(errors="replace").strip().splitlines()
        return " / ".join(lines[-3:])[-400:]

    def __enter__(self) -> Running:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def ask(port: int, path: str, *, tls: bool) -> tuple[str, str]:
    """The status and the body that a GET gets, or the name of the error and nothing."""
    connection: http.client.HTTPConnection
    if tls:
        context = ssl._create_unverified_context()
        connection = http.client.HTTPSConnection(HOST, port, timeout=2, context=context)
    else:
        connection = http.client.HTTPConnection(HOST, port, timeout=2)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        body = response.read().decode("latin-1")
    except (OSError, http.client.HTTPException) as error:
        return type(error).__name__, ""
    else:
        return str(response.status), body
    finally:
        connection.close()
