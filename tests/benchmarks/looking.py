"""How long the commands take that ask every proxy of a large mesh: `stat`, `edges` and `status` over real sidecars.

Each sidecar wraps an app and has called some of the others, so that there is something to merge. A command is timed as
a process of its own, from its start to its end, as a person waits for it.
"""

from __future__ import annotations

import http.client
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path

from meshctl.control.acks import proxies
from meshctl.control.discovery import registrations
from meshctl.model.views import ProxyRecord
from meshctl.store.home import open_home
from meshctl.store.sqlite import SqliteStore

from . import noise, wrapped
from .measure import Say
from .noise import Disturbance
from .running import Running, StartFailed

PROXIES = 50
AT_ONCE = 5
"""How many of them start at the same time."""
CALLS = 10
"""How many others each calls, twice."""
TIMES = 10
COMMANDS = ("stat", "edges", "status")

_APP = """
import os, socketserver
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
class Answers(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        self.send_response(200)
        self.send_header("content-length", "2")
        self.end_headers()
        self.wfile.write(b"ok")
    def log_message(self, *_):
        pass
ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Answers).serve_forever()
"""


@dataclass(slots=True)
class Looks:
    """What was found: the milliseconds that each command took, each time, and those of CPU that it used itself; `cpu`
    is what all sidecars together used for one of them. How many rows `stat` had, and how often a proxy did not answer
    in time."""

    took: dict[str, list[float]] = field(default_factory=lambda: {name: [] for name in COMMANDS})
    used: dict[str, list[float]] = field(default_factory=lambda: {name: [] for name in COMMANDS})
    cpu: float = 0.0
    rows: int = 0
    silent: int = 0
    error: str = ""
    disturbance: Disturbance | None = None


def measure(say: Say) -> Looks:
    """Start the sidecars, have them call each other, and look; `error` says why not."""
    found = Looks()
    with tempfile.TemporaryDirectory(prefix="meshctl-bench-") as name, ExitStack() as stack:
        folder = Path(name)
        home = open_home(folder / "home")
        store = stack.enter_context(closing(SqliteStore(home.database)))
        try:
            sidecars: list[Running] = []
            for number in range(PROXIES):
                say(f"looking: sidecar {number + 1} of {PROXIES} starts")
                sidecars.append(stack.enter_context(_sidecar(folder, home.path, number)))
                if number % AT_ONCE == AT_ONCE - 1:
                    sidecars[-1].until(lambda: len(registrations(store)) > number, lambda: "not all have registered")  # noqa: B023
            say("looking: they call each other")
            records = sorted(proxies(store), key=lambda record: record.service)
            for at, record in enumerate(records):
                _call(record, [records[(at + step) % PROXIES].service for step in range(1, CALLS + 1)])
            _measure(found, home.path, sidecars, say)
        except (StartFailed, OSError, http.client.HTTPException) as error:
            found.error = str(error)
    return found


def _measure(found: Looks, home: Path, sidecars: Sequence[Running], say: Say) -> None:
    before = sum(sum(each.cpu().values()) for each in sidecars)
    mark = noise.mark(0.0)
    for number in range(TIMES):
        say(f"looking: {number + 1} of {TIMES}")
        for command in COMMANDS:
            _look(found, home, command)
    theirs = sum(sum(each.cpu().values()) for each in sidecars) - before
    found.cpu = theirs * 1e3 / (TIMES * len(COMMANDS))
    own = sum(sum(times) for times in found.used.values()) / 1e3
    found.disturbance = mark.until(noise.mark(theirs + own))


def _sidecar(folder: Path, home: Path, number: int) -> Running:
    told = folder / f"app-{number}.pid"
    command = wrapped.wrap(home, f"service-{number:02d}", told, (sys.executable, "-c", _APP))
    return Running([command], folder / f"output-{number}", 0, None, [told])


def _call(record: ProxyRecord, services: Sequence[str]) -> None:
    """Have the app of a sidecar call others, as its outgoing proxy sees it."""
    address = next(each.address for each in record.listeners if each.entry == "outbound")
    host, _, port = address.rpartition(":")
    with closing(http.client.HTTPConnection(host, int(port), timeout=30)) as connection:
        for service in (*services, *services):
            connection.request("GET", f"http://{service}/x")
            answer = connection.getresponse()
            answer.read()
            if answer.status != 200:
                raise StartFailed(f"{service} answered {record.service} with {answer.status}")


def _look(found: Looks, home: Path, command: str) -> None:
    words = [sys.executable, "-m", "meshctl", "--home", str(home), command, "-o", "json"]
    began, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    found.took[command].append((time.perf_counter() - began) * 1e3)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    found.used[command].append((after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) * 1e3)
    if done.returncode != 0 and not done.stdout:
        raise StartFailed(f"{command}: {done.stderr}")
    said = json.loads(done.stdout)
    found.silent += len(said["silent"])
    if command == "stat":
        found.rows = len(said["rows"])
