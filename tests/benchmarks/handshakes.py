"""New connections in mutual TLS: what one costs the callee's proxy, beyond the request that it carries.

The clients are programs of their own on another core. What a request costs on a connection that is kept is measured in
the same round and taken off, so that neither proxy's way with requests is in the figure.
"""

from __future__ import annotations

import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from . import enrolment, envoy_mesh, wrapped
from .case import HOST, Case, Member, Mesh, free_port
from .handshaker import connect, context
from .measure import Effort, Say, empty_logs, mark, site
from .noise import Disturbance
from .programs import program
from .running import Running, StartFailed

CLIENTS = 3
"""Processes that shake hands at the same time."""
_ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class HandshakeRound:
    """CPU microseconds of the proxy: for a connection with one request, and for a request on a connection there is."""

    number: int
    connection: float
    request: float

    @property
    def handshake(self) -> float:
        """What is left for the connection alone."""
        return self.connection - self.request


@dataclass(slots=True)
class HandshakeRow:
    """One contender; `error` says why rounds are missing."""

    label: str
    rounds: list[HandshakeRound] = field(default_factory=list)
    error: str = ""

    def middle(self, figure: Callable[[HandshakeRound], float]) -> float | None:
        """The median of a figure over the rounds."""
        return median(map(figure, self.rounds)) if self.rounds else None


@dataclass(frozen=True, slots=True)
class Handshakes:
    """All contenders, in one run."""

    rows: list[HandshakeRow]
    disturbance: Disturbance


@dataclass(frozen=True, slots=True)
class Server:
    """A callee's proxy that takes mutual TLS on `port`."""

    running: Running
    case: Case
    port: int


def rate_ratio(ours: HandshakeRow, theirs: HandshakeRow) -> float | None:
    """The median over common rounds of our handshakes per CPU second by theirs."""
    others = {each.number: each.handshake for each in theirs.rounds}
    found = [others[each.number] / each.handshake for each in ours.rounds if each.number in others]
    return median(found) if found else None


def compare(peers: Sequence[str], effort: Effort, say: Say) -> Handshakes:
    """Measure the callee's proxy of each of `peers` that has one."""
    rows = [HandshakeRow(name) for name in SERVERS if name in peers]
    core, load_core = effort.cores
    with site(load_core) as (folder, server), ExitStack() as stack:
        mesh = enrolment.found(folder)
        started: dict[str, Server] = {}
        for row in rows:
            say(f"handshakes: {row.label} starts")
            try:
                started[row.label] = serve(row.label, folder, mesh, server.port, (core, load_core), stack)
                drive("new", started[row.label].port, mesh.caller, effort.warm_up, load_core)
            except (StartFailed, OSError) as error:
                row.error = str(error)
        everyone = [server, *(one.running for one in started.values())]
        before = mark(everyone)
        for number in range(effort.rounds):
            for row in rows:
                if not row.error:
                    say(f"handshakes: round {number + 1} of {effort.rounds}, {row.label}")
                    _one_round(row, started[row.label], mesh.caller, number, effort)
        return Handshakes(rows, before.until(mark(everyone)))


def serve(
    label: str,
    folder: Path,
    mesh: Mesh,
    upstream_port: int,
    cores: tuple[int | None, int | None],
    stack: ExitStack,
    *,
    is_asked: bool = True,
) -> Server:
    """Start the callee's proxy of a contender; return when it has answered a member of the mesh or, unless it
    `is_asked`, when it takes connections."""
    own = Path(tempfile.mkdtemp(prefix=f"callee-{label}-", dir=folder))
    case = Case(own, free_port(), upstream_port, log_folders=wrapped.log_folders(label, mesh))
    running, port = SERVERS[label](case, mesh, *cores)
    stack.enter_context(running)
    said = "nothing"

    def is_ready() -> bool:
        nonlocal said
        try:
            said = _greeted(mesh.caller, port()) if is_asked else _accepted(port())
        except (OSError, LookupError) as error:
            said = f"{type(error).__name__}: {error}"
        return said.startswith("HTTP/1.1 200")

    running.until(is_ready, lambda: f"answered {said}")
    return Server(running, case, port())


def _greeted(member: Member, port: int) -> str:
    """The beginning of what a member of the mesh is answered."""
    made = context(str(member.certificate), str(member.key), str(member.bundle))
    with connect(made, port) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: orders.mesh\r\nConnection: close\r\n\r\n")
        return connection.recv(4096)[:40].decode("latin-1")


def _accepted(port: int) -> str:
    """As `_greeted`, where a connection is as good as an answer."""
    with socket.create_connection((HOST, port), timeout=2):
        return "HTTP/1.1 200"


def drive(mode: str, port: int, member: Member, seconds: float, core: int | None) -> int:
    """Have clients drive a proxy for a while; the requests answered. Raises StartFailed where one was not."""
    files = [str(path) for path in (member.certificate, member.key, member.bundle)]
    command = [sys.executable, "-m", "tests.benchmarks.handshaker", mode, str(port), *files, f"{seconds:g}"]
    if core is not None:
        command = ["taskset", "-c", str(core), *command]
    pipe = subprocess.PIPE
    clients = [subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, cwd=_ROOT) for _ in range(CLIENTS)]
    try:
        said = [client.communicate(timeout=seconds + 60) for client in clients]
    finally:
        for client in clients:
            client.kill()
            client.wait()
    wrong = [errors.strip()[-300:] for client, (_, errors) in zip(clients, said, strict=True) if client.returncode]
    if wrong:
        raise StartFailed(f"a client: {wrong[0]}")
    return sum(int(count) for count, _ in said)


def _one_round(row: HandshakeRow, server: Server, member: Member, number: int, effort: Effort) -> None:
    empty_logs(server.case)
    try:
        connection, request = (_cost(mode, server, member, effort) for mode in ("new", "kept"))
    except StartFailed as error:
        row.error = f"round {number + 1}: {error}"
        return
    row.rounds.append(HandshakeRound(number, connection, request))


def _cost(mode: str, server: Server, member: Member, effort: Effort) -> float:
    """CPU microseconds of the proxy for each request."""
    before = server.running.cpu()
    count = drive(mode, server.port, member, effort.seconds, effort.cores[1])
    # A connection is not closed yet when its client has heard all.
    time.sleep(0.3)
    after = server.running.cpu()
    if before.keys() != after.keys():
        raise StartFailed("its processes came or went")
    return sum(after[pid] - before[pid] for pid in after) * 1e6 / count


def _envoy(case: Case, mesh: Mesh, core: int | None, app_core: int | None) -> tuple[Running, Callable[[], int]]:
    if program("envoy") is None:
        raise StartFailed("envoy is not on this machine")
    command = envoy_mesh.callee(case, mesh, case.port)
    return Running([command], case.output, case.port, core), lambda: case.port


def _sidecar(case: Case, mesh: Mesh, core: int | None, app_core: int | None) -> tuple[Running, Callable[[], int]]:
    wrapped.apply_mesh(case, mesh.home)
    command = wrapped.callee(case, mesh, app_core)
    running = Running([command], case.output, case.port, core, wrapped.outsiders(case))
    return running, lambda: wrapped.inbound_port(mesh.home)


def _floor(case: Case, mesh: Mesh, core: int | None, app_core: int | None) -> tuple[Running, Callable[[], int]]:
    own = mesh.callee
    script = Path(__file__).with_name("answerer.py")
    command = [sys.executable, str(script), str(case.port), str(own.certificate), str(own.key), str(own.bundle)]
    return Running([command], case.output, case.port, core), lambda: case.port


SERVERS: dict[str, Callable[[Case, Mesh, int | None, int | None], tuple[Running, Callable[[], int]]]] = {
    "meshctl": _sidecar,
    "envoy": _envoy,
    "floor": _floor,
}
