"""What a run consists of, in one table: each part measured as asked, and made into what is printed and kept."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from typing import Any

from rich.table import Table

from . import discovery, filters, footprint, handshakes, hop, looking, report, report_mesh, wrap_memory
from .measure import Effort, Say, compare
from .scenarios import SCENARIOS, with_connections


@dataclass(frozen=True, slots=True)
class Found:
    """A part that was measured: to be printed, to be kept, and to be held against goals."""

    table: Table
    remarks: list[str]
    document: Any
    figures: dict[str, float]


def measure(name: str, asked: argparse.Namespace, say: Say) -> Found:
    """Measure the part `name`."""
    if name in SCENARIOS:
        return _scenario(name, asked, say)
    return _OTHERS[name](asked, say)


def _scenario(name: str, asked: argparse.Namespace, say: Say) -> Found:
    outcome = compare(with_connections(SCENARIOS[name], asked.connections), asked.peers, _effort(asked), say)
    remarks = _errors((row.label, row.error) for row in outcome.rows)
    if any(row.rounds for row in outcome.rows):
        remarks.append(str(outcome.disturbance))
    remarks += [_lacking(row.label, row.missing) for row in outcome.rows if row.missing and not row.error]
    figures = report.outcome_figures(outcome)
    return Found(report.outcome_table(outcome), remarks, report.outcome_document(outcome), figures)


def _memory(asked: argparse.Namespace, say: Say) -> Found:
    rows = footprint.idle(asked.peers, say)
    remarks = _errors((row.label, row.error) for row in rows)
    return Found(report.idle_table(rows), remarks, [asdict(row) for row in rows], report.idle_figures(rows))


def _startup(asked: argparse.Namespace, say: Say) -> Found:
    rows = footprint.startups(asked.rounds * 3, say)
    remarks = _errors((row.label, row.error) for row in rows)
    return Found(report.startup_table(rows), remarks, [asdict(row) for row in rows], report.startup_figures(rows))


def _hop(asked: argparse.Namespace, say: Say) -> Found:
    outcome = hop.compare(asked.peers, _effort(asked), say)
    rows = [row.measured for row in outcome.rows]
    remarks = _errors((row.label, row.error) for row in rows)
    remarks += [_lacking(row.label, row.missing) for row in rows if row.missing and not row.error]
    remarks.append(f"latencies at {1000 * hop.CONNECTIONS / hop.PAUSE:,.0f} requests per second, less those of the app")
    remarks.append(str(outcome.disturbance))
    figures = report_mesh.hop_figures(outcome)
    return Found(report_mesh.hop_table(outcome), remarks, report_mesh.hop_document(outcome), figures)


def _handshakes(asked: argparse.Namespace, say: Say) -> Found:
    found = handshakes.compare(asked.peers, _effort(asked), say)
    remarks = [*_errors((row.label, row.error) for row in found.rows), str(found.disturbance)]
    figures = report_mesh.handshakes_figures(found)
    return Found(report_mesh.handshakes_table(found), remarks, asdict(found), figures)


def _wrap_memory(asked: argparse.Namespace, say: Say) -> Found:
    rows = wrap_memory.measure(asked.peers, say)
    remarks = _errors((row.label, row.error) for row in rows)
    return Found(report_mesh.wrap_table(rows), remarks, [asdict(row) for row in rows], report_mesh.wrap_figures(rows))


def _discovery(asked: argparse.Namespace, say: Say) -> Found:
    found = discovery.measure(say)
    remarks = report_mesh.discovery_remarks(found)
    if found.disturbance is not None:
        remarks.append(str(found.disturbance))
    return Found(report_mesh.discovery_table(found), remarks, asdict(found), report_mesh.discovery_figures(found))


def _stat(asked: argparse.Namespace, say: Say) -> Found:
    found = looking.measure(say)
    remarks = report_mesh.looking_remarks(found)
    if found.disturbance is not None:
        remarks.append(str(found.disturbance))
    return Found(report_mesh.looking_table(found), remarks, asdict(found), report_mesh.looking_figures(found))


def _filters(asked: argparse.Namespace, say: Say) -> Found:
    rows, first = filters.measure(say)
    document = {"rows": [asdict(row) for row in rows], "first_sight": asdict(first)}
    return Found(report.filters_table(rows, first), [], document, report.filters_figures(rows, first))


_OTHERS: dict[str, Callable[[argparse.Namespace, Say], Found]] = {
    "filters": _filters,
    "hop": _hop,
    "handshakes": _handshakes,
    "memory": _memory,
    "wrap-memory": _wrap_memory,
    "discovery": _discovery,
    "stat": _stat,
    "startup": _startup,
}
PARTS = (*SCENARIOS, *_OTHERS)
NEEDS_LOAD = {*SCENARIOS, "hop"}
"""Those that wrk drives."""


def _effort(asked: argparse.Namespace) -> Effort:
    return Effort(asked.rounds, asked.seconds, 1 if asked.quick else 2, not asked.no_pin)


def _errors(rows: Iterable[tuple[str, str]]) -> list[str]:
    return [f"{label}: {error}" for label, error in rows if error]


def _lacking(label: str, names: list[str]) -> str:
    return f"{label} gives the upstream no {', '.join(names)}"
