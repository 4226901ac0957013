"""What a soak has found, as a document and as text: what grew beyond what is allowed, and what went wrong."""

from __future__ import annotations

from typing import Any

from .course import Course
from .trend import Allowed, Reading, halves, trend

ALLOWED = {
    "pss": Allowed(1.5e6, 0.05),
    "descriptors": Allowed(6),
    "threads": Allowed(1),
    "tasks": Allowed(6),
    "objects": Allowed(1500, 0.03),
    "entries": Allowed(3000, 0.03),
    "blocks": Allowed(8000, 0.03),
}
"""What each measure of a process may rise after the warm-up, which is the first third of the soak. RSS is told and not
judged: it counts pages that are shared, and so moves with the others."""
FEWEST = 9
"""Readings by which growth is judged."""


def judge(course: Course, *, warm_up: float) -> dict[str, Any]:
    """All of it as a document. `warm_up` is the age in seconds from which on a process, and the home, are judged."""
    rows, grown = [], []
    for watched in course.vitals.seen.values():
        for measure, readings in watched.readings.items():
            late = _late(readings, warm_up)
            if len(late) < FEWEST:
                continue
            row = _row(f"{watched.name} ({watched.pid})", measure, late, ALLOWED.get(measure))
            rows.append(row)
            if row["grown"]:
                grown.append(f"{row['what']}: {measure} {row['first']:.0f} → {row['last']:.0f}")
    for name in course.files[-1][1] if course.files else ():
        late = _late([(at, float(found[name])) for at, found in course.files if name in found], warm_up)
        if len(late) >= FEWEST:
            rows.append(_row("home", name, late, None))
    told = {f"{each.name} ({each.pid})": [*each.told[:1], *each.told[-1:]] for each in course.vitals.seen.values()}
    return {
        "seconds": round(course.took),
        "cores": round(course.cpu / course.took, 2),
        "acts": dict(course.done),
        "sent": dict(course.sent),
        "wrong": course.wrong,
        "in flight in a killed process": course.in_flight,
        "judged": rows,
        "grown": grown,
        "told": told,
        "readings": {f"{each.name} ({each.pid})": each.readings for each in course.vitals.seen.values()},
    }


def _late(readings: list[Reading], warm_up: float) -> list[Reading]:
    return [each for each in readings if each[0] >= readings[0][0] + warm_up]


def _row(what: str, measure: str, late: list[Reading], allowed: Allowed | None) -> dict[str, Any]:
    found = trend(late)
    is_grown = allowed is not None and found.exceeds(allowed)
    return {
        "what": what,
        "measure": measure,
        "readings": len(late),
        "first": found.first,
        "last": found.last,
        "fitted": found.fitted,
        "halves": halves(late),
        "grown": is_grown,
    }


def text(found: dict[str, Any]) -> str:
    """The same for people."""
    sent, done = sum(found["sent"].values()), sum(found["acts"].values())
    lines = [f"{sent} requests and {done} acts in {found['seconds']} s, with {found['cores']} cores"]
    lines += [f"  {kind}: {count}" for kind, count in found["sent"].items()]
    lines += [f"  {act}: {count}" for act, count in found["acts"].items()]
    lines.append(f"{'process':34} {'measure':12} {'first third':>12} {'last third':>12} {'fitted rise':>12}  of halves")
    for row in found["judged"]:
        figures = " ".join(f"{row[name]:>12.0f}" for name in ("first", "last", "fitted"))
        figures += "".join(f" {rise:>+10.0f}" for rise in row["halves"])
        lines.append(f"{row['what']:34} {row['measure']:12} {figures}{'  GROWN' if row['grown'] else ''}")
    lines.append(f"lost with a killed process that had them in flight: {len(found['in flight in a killed process'])}")
    for title in ("grown", "wrong"):
        lines.append(f"{title}: {len(found[title])}")
        lines += [f"  {each}" for each in found[title]]
    return "\n".join(lines) + "\n"
