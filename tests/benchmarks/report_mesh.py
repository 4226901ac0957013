"""Results of the mesh's parts to people and programs: each as a table, a document, and figures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from statistics import median
from typing import Any

from rich.table import Table

from .discovery import ENDPOINTS, KINDS, NEW_EVERY, OTHERS, PROXIES, SERVICES, Discovery
from .handshakes import HandshakeRow, Handshakes, rate_ratio
from .hop import HopOutcome, HopRow, added, added_ratio, p50, p99
from .looking import PROXIES as LOOKED_AT
from .looking import TIMES, Looks
from .report import number, table
from .results import cpu, ratio, throughput
from .wrap_memory import Wrapped

_OURS, _THEIRS = "meshctl", "envoy"


def hop_table(outcome: HopOutcome) -> Table:
    """Two proxies between a client and its app."""
    figures = ["CPU µs", "CPU ÷ envoy", "req/s", "added p50 ms", "added p99 ms", "p99 ÷ envoy", "idle MB", "log B"]
    cells = []
    for row in outcome.rows:
        shares = _hop_shares(outcome, row)
        measured = row.measured
        idle = measured.idle.alone / 1e6 if measured.idle else None
        cells.append(
            [
                measured.label,
                number(measured.middle(cpu), 1),
                number(shares["CPU"], 2),
                number(measured.middle(throughput), 0),
                number(_added(outcome, row, 50), 2),
                number(_added(outcome, row, 99), 2),
                number(shares["added p99"], 2),
                number(idle, 1),
                number(measured.middle(lambda each: each.log_bytes), 0),
            ]
        )
    return table("hop: client → proxy → mutual TLS → proxy → app, both proxies together", figures, cells)


def hop_figures(outcome: HopOutcome) -> dict[str, float]:
    """Our ratios to Envoy's."""
    ours = outcome.row(_OURS)
    shares = _hop_shares(outcome, ours) if ours else {}
    return {f"hop: {name} ÷ envoy": value for name, value in shares.items() if value is not None}


def hop_document(outcome: HopOutcome) -> dict[str, Any]:
    """The rounds as plain values."""
    return asdict(outcome)


def handshakes_table(found: Handshakes) -> Table:
    """What a new connection costs."""
    theirs = _handshake_row(found, _THEIRS)
    cells = []
    for row in found.rows:
        handshake = row.middle(lambda each: each.handshake)
        cells.append(
            [
                row.label,
                number(row.middle(lambda each: each.connection), 0),
                number(row.middle(lambda each: each.request), 0),
                number(handshake, 0),
                number(1e6 / handshake if handshake else None, 0),
                number(rate_ratio(row, theirs) if theirs else None, 2),
            ]
        )
    headings = ["with a request, µs", "the request µs", "handshake µs", "per CPU second", "rate ÷ envoy"]
    return table("handshakes: new connections in mutual TLS 1.3, CPU of the callee's proxy", headings, cells)


def handshakes_figures(found: Handshakes) -> dict[str, float]:
    """Our rate by Envoy's."""
    ours, theirs = _handshake_row(found, _OURS), _handshake_row(found, _THEIRS)
    value = rate_ratio(ours, theirs) if ours and theirs else None
    return {} if value is None else {"handshakes: rate ÷ envoy": value}


def wrap_table(rows: Sequence[Wrapped]) -> Table:
    """Memory of sidecars."""
    cells = []
    for row in rows:
        values = [(row.idle.alone, row.idle.pss, _wrap_ratio(rows, row, "idle")) if row.idle else (None, None, None)]
        values += [(row.used.alone, row.used.pss, _wrap_ratio(rows, row, "used")) if row.used else (None, None, None)]
        shown = [[_megabytes(alone), _megabytes(pss), number(share, 2)] for alone, pss, share in values]
        cells.append([row.label, *shown[0], *shown[1]])
    headings = ["idle MB", "idle PSS MB", "÷ envoy", "used MB", "used PSS MB", "÷ envoy"]
    return table("wrap-memory: a sidecar's processes without the app; used: after mutual TLS", headings, cells)


def wrap_figures(rows: Sequence[Wrapped]) -> dict[str, float]:
    """Our memory by Envoy's: as if nothing else shared its files, which is never less than PSS says."""
    ours = next((row for row in rows if row.label == _OURS), None)
    if ours is None:
        return {}
    found = {f"wrap-memory: {name} ÷ envoy": _wrap_ratio(rows, ours, name) for name in ("idle", "used")}
    return {name: value for name, value in found.items() if value is not None}


def discovery_table(found: Discovery) -> Table:
    """How fast changes are followed."""
    cells = [
        [kind, number(median(times), 0), number(max(times), 0), str(len(times))]
        for kind, times in found.live.items()
        if times
    ]
    title = f"discovery: {SERVICES} services with {ENDPOINTS} endpoints, live in all of {PROXIES} proxies"
    return table(title, ["median ms", "worst ms", "times"], cells)


def discovery_remarks(found: Discovery) -> list[str]:
    """What does not fit into a table."""
    if found.error:
        return [found.error]
    return [
        f"every {NEW_EVERY}th registration is the first of its service; a change costs a proxy {found.cpu:.1f} ms CPU",
        f"an idle proxy uses {min(found.idle):.2%} to {max(found.idle):.2%} of a core while {OTHERS} others keep "
        "their leases alive",
    ]


def discovery_figures(found: Discovery) -> dict[str, float]:
    """Milliseconds and percent, both of them no ratios."""
    if found.error or not found.live[KINDS[0]]:
        return {}
    return {
        "discovery: median ms": found.middle,
        "discovery: worst ms": found.worst,
        "discovery: idle % of a core": found.busiest,
    }


def looking_table(found: Looks) -> Table:
    """How long somebody waits who looks at a large mesh."""
    cells = [
        [command, number(median(times), 0), number(max(times), 0), number(median(found.used[command]), 0)]
        for command, times in found.took.items()
        if times
    ]
    title = f"stat: commands that ask {LOOKED_AT} sidecars, from start to end"
    return table(title, ["median ms", "worst ms", "own CPU ms"], cells)


def looking_remarks(found: Looks) -> list[str]:
    """What does not fit into a table."""
    if found.error:
        return [found.error]
    return [
        f"{found.rows} rows in stat; in {TIMES} rounds {found.silent} answers came too late",
        f"all sidecars together used {found.cpu:.0f} ms of CPU while one command ran, what they do anyway included",
    ]


def looking_figures(found: Looks) -> dict[str, float]:
    """Milliseconds of processes from start to end, Python's own included."""
    return {f"stat: {command} median ms": median(times) for command, times in found.took.items() if times}


def _hop_shares(outcome: HopOutcome, row: HopRow) -> dict[str, float | None]:
    other = outcome.row(_THEIRS)
    if other is None:
        return {"CPU": None, "added p99": None}
    return {
        "CPU": ratio(row.measured.rounds, other.measured.rounds),
        "added p99": added_ratio(row, other, outcome.direct),
    }


def _added(outcome: HopOutcome, row: HopRow, percentile: int) -> float | None:
    found = added(row.paced, outcome.direct, {50: p50, 99: p99}[percentile])
    return median(value for _, value in found) if found else None


def _handshake_row(found: Handshakes, label: str) -> HandshakeRow | None:
    return next((row for row in found.rows if row.label == label), None)


def _wrap_ratio(rows: Sequence[Wrapped], row: Wrapped, what: str) -> float | None:
    other = next((each for each in rows if each.label == _THEIRS), None)
    mine, theirs = getattr(row, what), getattr(other, what, None)
    return mine.alone / theirs.alone if mine and theirs else None


def _megabytes(value: float | None) -> str:
    return number(None if value is None else value / 1e6, 1)
