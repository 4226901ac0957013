"""Results to people and programs: each part of a run as a table, a document, and figures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from rich.table import Table

from .filters import Added, FirstSights
from .footprint import Idle, Startup
from .goals import judged
from .results import Measured, Outcome, cpu, ratio, throughput
from .tree import Memory

_OURS = "meshctl"


def number(value: float | None, digits: int) -> str:
    """A figure for a cell; a dash for none."""
    return "–" if value is None else f"{value:,.{digits}f}"


def table(title: str, headings: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    """A table whose first column is a name and whose others are figures."""
    made = Table(title=title, title_justify="left")
    made.add_column("")
    for heading in headings:
        made.add_column(heading, justify="right")
    for row in rows:
        made.add_row(*row)
    return made


def outcome_table(outcome: Outcome) -> Table:
    """One scenario under load."""
    headings = [*_ratios(outcome, outcome.rows[0])] if outcome.rows else []
    figures = ["CPU µs", *headings, "req/s", "p50 ms", "p99 ms", "idle MB", "loaded MB", "busiest process", "log B"]
    rows = [[row.label, *_cells(outcome, row)] for row in outcome.rows]
    return table(f"{outcome.name}: {outcome.title}", figures, rows)


def outcome_document(outcome: Outcome) -> dict[str, Any]:
    """One scenario as plain values, medians and ratios included."""
    rows = [asdict(row) | {"median": _medians(row), "ratios": _ratios(outcome, row)} for row in outcome.rows]
    return {"title": outcome.title, "rows": rows, "disturbance": asdict(outcome.disturbance)}


def outcome_figures(outcome: Outcome) -> dict[str, float]:
    """The ratios of meshctl, or of its last variant where it meets only itself."""
    ours = outcome.row(_OURS) or next((row for row in reversed(outcome.rows) if outcome.is_own), None)
    ratios = _ratios(outcome, ours) if ours else {}
    return {f"{outcome.name}: {name}": value for name, value in ratios.items() if value is not None}


def idle_table(rows: Sequence[Idle]) -> Table:
    """Memory without load."""
    cells = []
    for row in rows:
        shares = [number(_idle_ratio(rows, row, name), 2) for name in ("nginx", "envoy")]
        pss = number(row.few.pss / 1e6 if row.few else None, 1)
        cells.append([row.label, _alone(row.few), *shares, pss, _alone(row.many), _megabytes(row.per_thousand)])
    headings = ["idle MB", "÷ nginx", "÷ envoy", "idle PSS MB", "with 1,000 routes MB", "per 1,000 routes MB"]
    return table("memory: started and asked once, 10 routes", headings, cells)


def idle_figures(rows: Sequence[Idle]) -> dict[str, float]:
    """Our idle memory by Envoy's."""
    ours = next((row for row in rows if row.label == _OURS), None)
    value = _idle_ratio(rows, ours, "envoy") if ours else None
    return {} if value is None else {"memory: idle ÷ envoy": value}


def startup_table(rows: Sequence[Startup]) -> Table:
    """Time to start and end."""
    bare = rows[0].best
    cells = [
        [row.label, number(row.best * 1e3, 1), number(row.middle * 1e3, 1), number(row.best / bare, 2)] for row in rows
    ]
    return table("startup: from start to end", ["best ms", "median ms", "best ÷ python"], cells)


def startup_figures(rows: Sequence[Startup]) -> dict[str, float]:
    """Best times by that of an empty program; a command that fails has none."""
    bare = rows[0].best
    good = {row.label: row.best / bare for row in rows if not row.error}
    return {
        f"startup: {name} ÷ python": good[f"meshctl {name}"]
        for name in ("--version", "--help")
        if f"meshctl {name}" in good
    }


def filters_table(rows: Sequence[Added], first: FirstSights) -> Table:
    """What filters add, and what a token costs when it comes for the first time."""
    cells = [
        [
            row.filter.label,
            number(row.same, 1),
            number(row.changing, 1),
            f"≤ {row.filter.limit:g}" if row.filter.limit else "",
        ]
        for row in rows
    ]
    cells.append(["JWT at first sight", number(first.whole, 0), "", f"the library alone: {number(first.library, 0)}"])
    return table("filters: CPU µs added to a request", ["same head", "changing head", "limit"], cells)


def filters_figures(rows: Sequence[Added], first: FirstSights) -> dict[str, float]:
    """The dearer of both ways to ask, where a limit is promised; tokens at first sight by the library's own time."""
    found = {f"filters: {row.filter.label} µs": max(row.same, row.changing) for row in rows if row.filter.limit}
    return found | {"filters: first JWT ÷ library": first.whole / first.library}


def goals_table(figures: dict[str, float]) -> Table:
    """What was promised and what this run reached."""
    rows = []
    for goal, value, verdict in judged(figures):
        sign = "≥" if goal.at_least else "≤"
        rows.append([goal.figure, number(value, 2), f"{sign} {goal.limit:g}", f"{sign} {goal.aim:g}", verdict])
    return table("goals: figures of meshctl in this run", ["reached", "limit", "aim", "keeps"], rows)


def _medians(row: Measured) -> dict[str, float | None]:
    return {
        "cpu_micros": row.middle(cpu),
        "requests_per_second": row.middle(throughput),
        "p50_ms": row.middle(lambda round_: round_.answered.p50),
        "p99_ms": row.middle(lambda round_: round_.answered.p99),
        "log_bytes": row.middle(lambda round_: round_.log_bytes),
        "busiest_share": row.middle(lambda round_: round_.share),
    }


def _ratios(outcome: Outcome, row: Measured) -> dict[str, float | None]:
    """By heading; bulk scenarios compare throughput as well."""
    figures = {"CPU": cpu, "rate": throughput} if outcome.is_bulk else {"CPU": cpu}
    others = {name: outcome.row(name) for name in outcome.references}
    return {
        f"{word} ÷ {name}": ratio(row.rounds, other.rounds, figure) if other else None
        for word, figure in figures.items()
        for name, other in others.items()
    }


def _cells(outcome: Outcome, row: Measured) -> list[str]:
    middle = _medians(row)
    share = middle["busiest_share"]
    return [
        number(middle["cpu_micros"], 1),
        *(number(value, 2) for value in _ratios(outcome, row).values()),
        number(middle["requests_per_second"], 0),
        number(middle["p50_ms"], 2),
        number(middle["p99_ms"], 2),
        _alone(row.idle),
        _alone(row.loaded),
        "–" if share is None else f"{share:.0%}",
        number(middle["log_bytes"], 0),
    ]


def _idle_ratio(rows: Sequence[Idle], ours: Idle, name: str) -> float | None:
    other = next((row.few for row in rows if row.label == name), None)
    return ours.few.alone / other.alone if ours.few and other else None


def _alone(memory: Memory | None) -> str:
    return _megabytes(memory.alone if memory else None)


def _megabytes(value: float | None) -> str:
    return number(None if value is None else value / 1e6, 1)
