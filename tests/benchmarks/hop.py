"""A whole hop: client → caller's proxy → mutual TLS → callee's proxy → app, by meshctl's sidecars and by two Envoys.

CPU is compared under as much load as they take, latency under one that keeps nothing busy, less what the app alone
takes at that: what a hop adds.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from . import enrolment, envoy_mesh, load, wrapped
from .case import Case, Mesh, free_port, prefix
from .load import Answered, LoadFailed
from .measure import Effort, Say, Started, mark, missing, one_round, site
from .noise import Disturbance
from .programs import program
from .results import Measured
from .running import Running, StartFailed

CONNECTIONS = 32
LONGER = 2
"""How much longer than others a round of full load is: when a load ends it cuts what is under way, so that the next one
begins with handshakes, which are another part's."""
PAUSE = 32
"""Milliseconds each connection rests in the paced load: a thousand requests per second, which keeps nothing busy."""
_PATHS = [f"{prefix(number)}/items/4711?fields=name,price&currency=EUR" for number in range(10)]


@dataclass(slots=True)
class HopRow:
    """One contender: its rounds under full load, and by round the latencies of the paced load."""

    measured: Measured
    paced: dict[int, Answered] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class HopOutcome:
    """The hops, and the app asked without any."""

    rows: list[HopRow]
    direct: dict[int, Answered]
    disturbance: Disturbance

    def row(self, label: str) -> HopRow | None:
        """The contender called `label`."""
        return next((row for row in self.rows if row.measured.label == label), None)


def added(
    paced: Mapping[int, Answered], direct: Mapping[int, Answered], figure: Callable[[Answered], float]
) -> list[tuple[int, float]]:
    """By round, the milliseconds that a hop adds to what the app alone takes."""
    return [(number, figure(paced[number]) - figure(direct[number])) for number in paced if number in direct]


def added_ratio(ours: HopRow, theirs: HopRow, direct: Mapping[int, Answered]) -> float | None:
    """The median over the rounds of our added p99 by theirs; a round in which theirs added nothing says nothing."""
    others = dict(added(theirs.paced, direct, p99))
    pairs = [(mine, others[number]) for number, mine in added(ours.paced, direct, p99) if others.get(number, 0.0) > 0]
    return median(mine / other for mine, other in pairs) if pairs else None


def p50(answered: Answered) -> float:
    """The median latency in milliseconds."""
    return answered.p50


def p99(answered: Answered) -> float:
    """The latency in milliseconds that one request in a hundred exceeds."""
    return answered.p99


def compare(peers: Sequence[str], effort: Effort, say: Say) -> HopOutcome:
    """Measure the hop of each of `peers` that has one."""
    rows = [HopRow(Measured(name)) for name in HOPS if name in peers]
    _, load_core = effort.cores
    with site(load_core) as (folder, server), ExitStack() as stack:
        mesh = enrolment.found(folder)
        started: dict[str, Started] = {}
        for row in rows:
            label = row.measured.label
            say(f"hop: {label} starts")
            try:
                started[label] = _start(label, folder, mesh, server.port, effort, stack)
                row.measured.missing = missing(started[label].case)
            except (StartFailed, OSError) as error:
                row.measured.error = str(error)
        paced = load.prepare(folder, _PATHS, CONNECTIONS, load_core, pause=PAUSE)
        _warm_up(rows, started, effort)
        everyone = [server, *(one.running for one in started.values())]
        before = mark(everyone)
        direct: dict[int, Answered] = {}
        for number in range(effort.rounds):
            say(f"hop: round {number + 1} of {effort.rounds}, none")
            direct[number] = paced.run(f"http://127.0.0.1:{server.port}", effort.seconds)
            for row in rows:
                if not row.measured.error:
                    say(f"hop: round {number + 1} of {effort.rounds}, {row.measured.label}")
                    _one_round(row, started[row.measured.label], paced, number, effort.seconds)
        return HopOutcome(rows, direct, before.until(mark(everyone)))


def _start(label: str, folder: Path, mesh: Mesh, upstream_port: int, effort: Effort, stack: ExitStack) -> Started:
    own = Path(tempfile.mkdtemp(prefix=f"hop-{label}-", dir=folder))
    case = Case(own, free_port(), upstream_port, log_folders=wrapped.log_folders(label, mesh))
    core, load_core = effort.cores
    running = stack.enter_context(HOPS[label](case, mesh, core, load_core))
    running.until_ready(_PATHS[0], tls=False)
    return Started(running, load.prepare(own, _PATHS, CONNECTIONS, load_core), case)


def _envoys(case: Case, mesh: Mesh, core: int | None, app_core: int | None) -> Running:
    if program("envoy") is None:
        raise StartFailed("envoy is not on this machine")
    return Running(envoy_mesh.configure(case, mesh), case.output, case.port, core)


def _sidecars(case: Case, mesh: Mesh, core: int | None, app_core: int | None) -> Running:
    commands = wrapped.configure(case, mesh, app_core)
    return Running(commands, case.output, case.port, core, wrapped.outsiders(case))


HOPS: dict[str, Callable[[Case, Mesh, int | None, int | None], Running]] = {"meshctl": _sidecars, "envoy": _envoys}


def _warm_up(rows: Sequence[HopRow], started: Mapping[str, Started], effort: Effort) -> None:
    for row in rows:
        if not row.measured.error:
            one = started[row.measured.label]
            row.measured.idle = one.running.memory()
            try:
                one.load.run(one.case.url, effort.warm_up)
            except LoadFailed as error:
                row.measured.error = f"warm-up: {error}"


def _one_round(row: HopRow, started: Started, paced: load.Load, number: int, seconds: int) -> None:
    one_round(row.measured, started, number, LONGER * seconds)
    if row.measured.error:
        return
    try:
        row.paced[number] = paced.run(started.case.url, seconds)
    except LoadFailed as error:
        row.measured.error = f"round {number + 1}, paced: {error}"
