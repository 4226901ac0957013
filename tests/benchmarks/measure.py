"""A scenario carried out: start everybody, warm up, then round after round each in turn, and end everything again."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

from . import load, noise, onlookers, upstream
from .case import Case, TlsFiles, free_port, prefix
from .peers import PEERS
from .results import Measured, Outcome, Round
from .running import Running, StartFailed, ask
from .scenarios import Contender, Scenario

PROXY_CORE, LOAD_CORE = 0, 1


@dataclass(frozen=True, slots=True)
class Effort:
    """How long and how often; `is_pinned` puts the proxy on one core and everything else on another."""

    rounds: int = 5
    seconds: int = 4
    warm_up: int = 2
    is_pinned: bool = True

    @property
    def cores(self) -> tuple[int | None, int | None]:
        """Where proxies run, and where all else does."""
        return (PROXY_CORE, LOAD_CORE) if self.is_pinned else (None, None)


@dataclass(frozen=True, slots=True)
class Started:
    """A contender that answers, and the load prepared for it."""

    running: Running
    load: load.Load
    case: Case


Say = Callable[[str], None]


def compare(scenario: Scenario, peers: Sequence[str], effort: Effort, say: Say) -> Outcome:
    """Measure the scenario for `peers`. Who is absent, fails to start or answers wrongly has a row that says so."""
    rows = [Measured(contender.label) for contender in scenario.contenders(peers)]
    is_pinned = effort.is_pinned and scenario.is_pinned
    with site(LOAD_CORE if is_pinned else None) as (folder, server), ExitStack() as stack:
        started: dict[str, Started] = {}
        for contender, row in zip(scenario.contenders(peers), rows, strict=True):
            say(f"{scenario.name}: {contender.label} starts")
            try:
                started[row.label] = _start(scenario, contender, folder, server.port, is_pinned, stack)
                row.missing = missing(started[row.label].case)
            except (StartFailed, OSError, subprocess.SubprocessError) as error:
                row.error = str(error)
        _warm_up(rows, started, effort)
        everyone = [server, *(one.running for one in started.values())]
        before = mark(everyone)
        for number in range(effort.rounds):
            for row in rows:
                if not row.error:
                    say(f"{scenario.name}: round {number + 1} of {effort.rounds}, {row.label}")
                    one_round(row, started[row.label], number, effort.seconds)
        disturbance = before.until(mark(everyone))
    return Outcome(
        scenario.name, scenario.title, scenario.references, scenario.is_bulk, bool(scenario.own), rows, disturbance
    )


def mark(everyone: Sequence[Running]) -> noise.Mark:
    """The machine's clocks now, with what these have used of them."""
    return noise.mark(sum(sum(running.cpu().values()) for running in everyone))


@contextmanager
def site(core: int | None) -> Iterator[tuple[Path, Running]]:
    """A temporary folder and an upstream that answers; both gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="meshctl-bench-") as name:
        folder = Path(name)
        port = free_port()
        command = upstream.configure(folder, port)
        with Running([command], folder / "upstream.out", port, core) as running:
            running.until_ready("/", tls=False)
            yield folder, running


def start(
    contender: Contender, folder: Path, upstream_port: int, core: int | None, path: str, spans_port: int = 0
) -> tuple[Running, Case]:
    """Start a contender, return when it answers `path`; else raise StartFailed with nothing left running."""
    peer = PEERS[contender.peer]
    if not peer.is_present:
        raise StartFailed(f"{peer.binary} is not on this machine")
    own = Path(tempfile.mkdtemp(prefix=f"{contender.peer}-", dir=folder))
    tls = certificate(folder) if contender.tls else None
    policies = contender.policies
    case = Case(own, free_port(), upstream_port, contender.routes, contender.workers, tls, policies, spans_port)
    command = peer.configure(case)
    running = Running([command], case.output, case.port, core)
    try:
        running.until_ready(path, tls=contender.tls)
    except BaseException:
        running.stop()
        raise
    return running, case


def certificate(folder: Path) -> TlsFiles:
    """A self-signed P-256 certificate in `folder`, made once."""
    files = TlsFiles(folder / "cert.pem", folder / "key.pem", folder / "bundle.pem")
    if not files.bundle.exists():
        names = ["-subj", "/CN=shop.localhost", "-addext", "subjectAltName=DNS:shop.localhost,IP:127.0.0.1"]
        kind = ["-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30"]
        where = ["-out", str(files.certificate), "-keyout", str(files.key)]
        subprocess.run(["openssl", "req", *kind, *names, *where], check=True, capture_output=True)
        files.bundle.write_bytes(files.certificate.read_bytes() + files.key.read_bytes())
    return files


def _start(
    scenario: Scenario, contender: Contender, folder: Path, upstream_port: int, is_pinned: bool, stack: ExitStack
) -> Started:
    paths = contender.paths(scenario.suffix)
    core = PROXY_CORE if is_pinned else None
    spans_port = onlookers.spans(contender.looked_at, stack)
    running, case = start(contender, folder, upstream_port, core, paths[-1], spans_port)
    stack.enter_context(running)
    if contender.looked_at == "tapped":
        stack.enter_context(onlookers.tap(case.folder / "home"))
    load_core = LOAD_CORE if is_pinned else None
    prepared = load.prepare(case.folder, paths, scenario.connections, load_core, scenario.upload, scenario.visits)
    return Started(running, prepared, case)


def missing(case: Case) -> list[str]:
    """Which of the headers that every contender should add do not reach the upstream."""
    _, seen = ask(case.port, prefix(0) + upstream.ECHO, tls=case.tls is not None)
    values = seen.split("|")
    return [name for name, value in zip_longest(upstream.ECHOED, values) if not value]


def empty_logs(case: Case) -> int:
    """Cut the logs to nothing, so that no disk fills; the bytes that were there."""
    present = case.logs
    # Blocks, not size: HAProxy writes on at its old offset, which leaves a hole before it.
    written = sum(path.stat().st_blocks * 512 for path in present)
    for path in present:
        os.truncate(path, 0)
    return written


def _warm_up(rows: list[Measured], started: dict[str, Started], effort: Effort) -> None:
    for row in rows:
        if not row.error:
            row.idle = started[row.label].running.memory()
    for row in rows:
        if not row.error:
            try:
                started[row.label].load.run(started[row.label].case.url, effort.warm_up)
            except load.LoadFailed as error:
                row.error = f"warm-up: {error}"


def one_round(row: Measured, started: Started, number: int, seconds: int) -> None:
    """Drive a contender for a while; the round is added to its row, or the row says why not."""
    empty_logs(started.case)
    before = started.running.cpu()
    try:
        answered = started.load.run(started.case.url, seconds)
    except load.LoadFailed as error:
        row.error = f"round {number + 1}: {error}"
        return
    # The last bytes of a log buffer or a histogram merge belong to the requests that caused them.
    time.sleep(0.3)
    after = started.running.cpu()
    row.loaded = started.running.memory()
    if before.keys() != after.keys():
        row.error = f"round {number + 1}: its processes came or went"
        return
    logged = empty_logs(started.case) / answered.requests
    used = [after[pid] - before[pid] for pid in after]
    row.rounds.append(Round(number, sum(used) * 1e6 / answered.requests, max(used) / sum(used), answered, logged))
