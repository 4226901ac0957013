"""Results to people and programs: one table per scenario, and the same as one JSON document. It measures nothing."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.table import Table

from .results import Measured, Outcome, cpu, ratio, throughput


def show(outcome: Outcome, console: Console) -> None:
    """Print the table of one scenario."""
    table = Table(title=f"{outcome.name}: {outcome.title}", title_justify="left")
    table.add_column("")
    for heading in _headings(outcome):
        table.add_column(heading, justify="right")
    for row in outcome.rows:
        table.add_row(row.label, *_cells(outcome, row))
    console.print(table)
    for row in outcome.rows:
        if row.error:
            console.print(f"  {row.label}: {row.error}", highlight=False, markup=False)


def document(outcome: Outcome) -> dict[str, Any]:
    """The scenario as plain values, medians and ratios included."""
    rows = []
    for row in outcome.rows:
        ratios = {name: _ratios(outcome, row, name) for name in outcome.references}
        rows.append(asdict(row) | {"median": _medians(row), "ratio_to": ratios})
    return {"scenario": outcome.name, "title": outcome.title, "rows": rows}


def _medians(row: Measured) -> dict[str, float | None]:
    return {
        "cpu_micros": row.middle(cpu),
        "requests_per_second": row.middle(throughput),
        "p50_ms": row.middle(lambda round_: round_.answered.p50),
        "p99_ms": row.middle(lambda round_: round_.answered.p99),
    }


def _ratios(outcome: Outcome, row: Measured, reference: str) -> dict[str, float | None]:
    other = outcome.row(reference)
    if other is None:
        return {"cpu": None, "throughput": None}
    return {"cpu": ratio(row.rounds, other.rounds), "throughput": ratio(row.rounds, other.rounds, throughput)}


def _headings(outcome: Outcome) -> list[str]:
    ratios = [f"CPU ÷ {name}" for name in outcome.references]
    if outcome.is_bulk:
        ratios += [f"rate ÷ {name}" for name in outcome.references]
    return ["CPU µs", *ratios, "req/s", "p50 ms", "p99 ms", "idle MB", "loaded MB", "busiest"]


def _cells(outcome: Outcome, row: Measured) -> list[str]:
    found = [_ratios(outcome, row, name) for name in outcome.references]
    ratios = [number(pair["cpu"], 2) for pair in found]
    if outcome.is_bulk:
        ratios += [number(pair["throughput"], 2) for pair in found]
    middle = _medians(row)
    return [
        number(middle["cpu_micros"], 1),
        *ratios,
        number(middle["requests_per_second"], 0),
        number(middle["p50_ms"], 2),
        number(middle["p99_ms"], 2),
        number(row.idle.alone / 1e6 if row.idle else None, 1),
        number(row.loaded.alone / 1e6 if row.loaded else None, 1),
        number(row.middle(lambda round_: round_.share * 100), 0) + ("%" if row.rounds else ""),
    ]


def number(value: float | None, digits: int) -> str:
    """A figure for a cell; a dash for none."""
    return "–" if value is None else f"{value:,.{digits}f}"
