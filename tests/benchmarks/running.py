"""A started process: is it ready, what has it used, how does it end. It knows only commands and process ids."""

from __future__ import annotations

import http.client
import signal
import ssl
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType

import psutil

from . import tree
from .case import HOST
from .programs import program

_READY_SECONDS = 30.0
_STOP_SECONDS = 10.0


class StartFailed(Exception):
    """The process ended, or answered nothing in time. The text ends with what it said last."""


class Running:
    """One or more processes that together are one contender, with their output in a file. Leaving the context ends them
    and everything they started, by process id.

    `outsiders` names files that hold the id of a process each: what these and their descendants use is not counted."""

    def __init__(
        self,
        commands: Sequence[Sequence[str]],
        output: Path,
        port: int,
        core: int | None = None,
        outsiders: Sequence[Path] = (),
    ) -> None:
        self.port = port
        self._output = output
        self._outsiders = outsiders
        self._processes: list[subprocess.Popen[bytes]] = []
        with output.open("ab") as sink:
            for command in commands:
                found = [program(command[0]) or command[0], *command[1:]]
                pinned = ["taskset", "-c", str(core), *found] if core is not None else found
                process = subprocess.Popen(
                    pinned, stdin=subprocess.DEVNULL, stdout=sink, stderr=subprocess.STDOUT, start_new_session=True
                )
                self._processes.append(process)

    @property
    def pids(self) -> list[int]:
        """The processes and their descendants, now, without the outsiders."""
        outside = {pid for path in self._outsiders if path.exists() for pid in tree.members(int(path.read_text()))}
        return [pid for pid in self._all() if pid not in outside]

    def cpu(self) -> dict[int, float]:
        """CPU seconds used so far, by process id."""
        return {pid: tree.cpu_seconds(pid) for pid in self.pids}

    def memory(self) -> tree.Memory:
        """The memory of all its processes."""
        return tree.memory(self.pids)

    def until_ready(self, path: str, *, tls: bool) -> None:
        """Return when `path` answers 200; raise StartFailed when that takes too long or a process ends."""
        status = "nothing"

        def is_ready() -> bool:
            nonlocal status
            status, _ = ask(self.port, path, tls=tls)
            return status == "200"

        self.until(is_ready, lambda: f"answered {status}")

    def until(self, is_ready: Callable[[], bool], what: Callable[[], str]) -> None:
        """Return when it is ready; raise StartFailed with `what` was seen when that takes too long or a process
        ends."""
        deadline = time.monotonic() + _READY_SECONDS
        while time.monotonic() < deadline:
            for process in self._processes:
                if process.poll() is not None:
                    raise StartFailed(f"ended with {process.returncode}: {self._last_words()}")
            if is_ready():
                return
            time.sleep(0.05)
        raise StartFailed(f"{what()}: {self._last_words()}")

    def stop(self) -> None:
        """Ask them to end, the last started first; after a while make them."""
        pids = self._all()
        for process in reversed(self._processes):
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
                try:
                    process.wait(_STOP_SECONDS)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
        for pid in set(pids) - {process.pid for process in self._processes}:
            try:
                psutil.Process(pid).kill()
            except psutil.NoSuchProcess:
                continue

    def _all(self) -> list[int]:
        return [pid for process in self._processes for pid in tree.members(process.pid)]

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
