"""A gateway as a process: started by `meshctl gateway up`, asked by the other commands, ended by its process id."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from meshctl.cli.app import run

from .waiting import until

_READY = re.compile(r"meshctl gateway ready  (?P<urls>.*?)  \(.*?revision \d+\)(?:  admin (?P<admin>\S+))?")
_FAILURES = re.compile(r"Traceback|^\S+ error   (?P<event>\S+)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended and what it said."""

    status: int
    out: str
    err: str

    def json(self) -> Any:
        """The document on its stdout."""
        return json.loads(self.out)


def meshctl(home: Path, *arguments: object) -> Ended:
    """Run a command line in this process, which has everything imported already."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        status = run(["--home", str(home), *map(str, arguments)])
    return Ended(status, out.getvalue(), err.getvalue())


def meshctl_process(
    home: Path, *arguments: object, before: Sequence[str] = (), **options: Any
) -> subprocess.Popen[bytes]:
    """Run a command line as a process of its own; `before` is a program that runs it, with its own arguments."""
    words = [*before, sys.executable, "-m", "meshctl", "--home", str(home), *map(str, arguments)]
    environ = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, [os.getcwd(), *sys.path]))}
    return subprocess.Popen(words, **({"env": environ, "stdin": subprocess.DEVNULL} | options))


class Gateway:
    """A running gateway. Its access log goes to the file `out`, its own events to `err`."""

    def __init__(self, home: Path, folder: Path, arguments: Sequence[object]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.home = home
        self.out = folder / "out"
        self.err = folder / "err"
        self.urls: list[str] = []
        self.admin = ""
        self.forgiven: set[str] = set()
        """Events of level error that the test provokes."""
        with self.out.open("ab") as out, self.err.open("ab") as err:
            self.process = meshctl_process(
                home, "gateway", "up", *arguments, stdout=out, stderr=err, start_new_session=True
            )

    def __repr__(self) -> str:
        return f"<Gateway process {self.process.pid} {self.urls}>"

    # starting and ending

    def until_ready(self) -> Gateway:
        """Return when it says that it is ready."""

        def said() -> re.Match[str] | None:
            assert self.process.poll() is None, f"ended with {self.process.returncode}: {self.events()}"
            return _READY.search(self.events())

        found = until(said, "the gateway to be ready", timeout=100)
        # One that listens everywhere says so.
        self.urls = [each.partition(" ")[0] for each in found["urls"].split("  ")]
        self.admin = found["admin"] or ""
        return self

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """End it as a service manager does; its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(60)

    def kill(self) -> None:
        """End it and its workers at once, by their process ids."""
        for each in (self.process.pid, *self.workers()):
            with contextlib.suppress(ProcessLookupError):
                os.kill(each, signal.SIGKILL)
        self.process.wait()

    def check(self) -> None:
        """It ends with 0, leaves no process behind and told of no failure but those forgiven."""
        workers = self.workers()
        assert self.end() == 0, self.events()
        until(lambda: not any(map(is_alive, workers)), "the workers to be gone")
        failures = {found["event"] or "Traceback" for found in _FAILURES.finditer(self.events())}
        assert failures <= self.forgiven, self.events()

    # what it is

    @property
    def url(self) -> str:
        """Its first listener."""
        return self.urls[0]

    @property
    def port(self) -> int:
        """Its first listener's port."""
        return int(self.url.rpartition(":")[2])

    @property
    def pid(self) -> int:
        """The supervisor."""
        return self.process.pid

    def workers(self) -> list[int]:
        """The process ids of the workers."""
        try:
            return [child.pid for child in psutil.Process(self.pid).children()]
        except psutil.NoSuchProcess:
            return []

    def memory(self) -> int:
        """Bytes resident, over all its processes; pages that several share count for each."""
        return sum(psutil.Process(pid).memory_info().rss for pid in (self.pid, *self.workers()))

    # what it says

    def events(self) -> str:
        """What it has told of itself."""
        return self.err.read_text(errors="replace")

    def until_told(self, event: str) -> str:
        """The line in which it tells of `event`."""

        def line() -> str:
            return next((each for each in self.events().splitlines() if f" {event} " in f"{each} "), "")

        return until(line, f"the event {event}")

    def log(self) -> list[dict[str, Any]]:
        """The access log's lines so far. Every line is whole and valid."""
        lines, _, begun = self.out.read_text().rpartition("\n")
        # A line that is just being written may be seen in part.
        assert not begun or self.process.poll() is None, begun
        return [json.loads(line) for line in lines.splitlines()]

    def meshctl(self, *arguments: object) -> Ended:
        """Run another command in the same home."""
        return meshctl(self.home, *arguments)

    def answer(self, *arguments: object) -> Any:
        """The document of a command that asks the gateway, which on a busy machine may be too late with its answer."""

        def given() -> Ended | None:
            ended = self.meshctl(*arguments, "-o", "json")
            assert ended.status == 0 or "did not answer within" in ended.err, ended.err
            return ended if ended.status == 0 else None

        ended = until(given, f"an answer to {arguments}")
        assert ended is not None
        return ended.json()

    def status(self) -> dict[str, Any]:
        """`gateway status -o json`."""
        (view,) = self.answer("gateway", "status")
        return view  # type: ignore[no-any-return]

    def service(self, name: str) -> dict[str, Any]:
        """`services show NAME -o json`."""
        return self.answer("services", "show", name)[0]["service"]  # type: ignore[no-any-return]

    def endpoint(self, service: str, address: str) -> dict[str, Any]:
        """One endpoint of a service, as `services show` has it."""
        return next(each for each in self.service(service)["endpoints"] if each["address"] == address)

    def apply(self, file: Path, *, status: int = 0) -> Ended:
        """`apply -c FILE`, which must end with `status`."""
        ended = self.meshctl("apply", "-c", file, "--timeout", "60s")
        assert ended.status == status, ended.err
        return ended


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that merely waits to be reaped does not."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def seconds_since(start: float) -> float:
    """Seconds since a reading of the monotonic clock."""
    return time.monotonic() - start
