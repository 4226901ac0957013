"""`meshctl sidecar ls`: what is known of the running sidecars, from themselves and from the proxies that call them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from meshctl import clock
from meshctl.cli.lifetimes import left
from meshctl.cli.proxies import running
from meshctl.cli.render import number
from meshctl.cli.session import Session
from meshctl.control.client import ask_all
from meshctl.model.views import AppView, ProxyRecord, ProxyView, RouteView, ServiceView

# The worst that any proxy sees of an endpoint is what the operator should see.
_SEVERITY = {"unhealthy": 3, "ejected": 2, "unknown": 1, "healthy": 0}


@dataclass(frozen=True, slots=True)
class Row:
    """A sidecar as `sidecar ls` shows it. `health` is what the proxies that call it see, "" where none does."""

    id: str
    service: str
    version: str
    pid: int
    app: AppView | None
    inbound: str
    health: str
    not_after: float
    """When its certificate ends; 0 without one."""
    rps: float
    problem: str = ""


def listed(session: Session) -> list[Row]:
    """All running sidecars."""
    records = running(session)
    sidecars = [each for each in records if each.role == "sidecar"]
    views = {a.record.id: a for a in ask_all(sidecars, "/v1/status")} if sidecars else {}
    routes = {a.record.id: a.body for a in ask_all(sidecars, "/v1/routes") if not a.error} if sidecars else {}
    health = _health(records) if sidecars else {}
    rows = []
    for record in sidecars:
        answer = views[record.id]
        view = None if answer.error else msgspec.json.decode(answer.body, type=ProxyView)
        problem = answer.error.message if answer.error else ""
        rows.append(_row(record, view, routes.get(record.id, b"[]"), health, problem))
    return rows


def show(session: Session, rows: Sequence[Row]) -> None:
    """The rows as a table."""
    now = clock.wall()
    session.terminal.table(
        ["SIDECAR", "SERVICE", "VERSION", "APP>", "STATE", "HEALTH", "INBOUND", "CERT>", "RPS>", "RESTARTS>"],
        [
            (
                row.id,
                row.service,
                row.version,
                row.app.pid if row.app and row.app.pid else None,
                row.app.state if row.app else "starting",
                row.health,
                row.inbound,
                left(row.not_after, now) if row.not_after else None,
                number(row.rps),
                row.app.restarts if row.app else 0,
            )
            for row in rows
        ],
        empty="no sidecar runs in this home; `meshctl sidecar wrap -- COMMAND` starts one",
        spare=("RESTARTS", "INBOUND"),
    )
    for row in rows:
        why = row.problem or (row.app.problem if row.app else "")
        if why:
            session.terminal.warn(f"{row.id}: {why}")


def _row(record: ProxyRecord, view: ProxyView | None, routes: bytes, health: dict[str, str], problem: str) -> Row:
    seen = view or record
    inbound = next((each.address for each in seen.listeners if each.entry == "inbound"), "")
    rates = [each.rps for each in msgspec.json.decode(routes, type=list[RouteView]) if each.name == "inbound"]
    return Row(
        record.id,
        record.service,
        record.app_version,
        record.pid,
        seen.app,
        inbound,
        health.get(inbound, ""),
        view.identity.not_after if view and view.identity else 0.0,
        sum(rates),
        problem,
    )


def _health(records: Sequence[ProxyRecord]) -> dict[str, str]:
    """What the proxies see of each endpoint, by its address."""
    found: dict[str, str] = {}
    for answer in ask_all(records, "/v1/services"):
        if answer.error:
            continue
        for service in msgspec.json.decode(answer.body, type=list[ServiceView]):
            for each in service.endpoints:
                before = found.get(each.address, each.state)
                found[each.address] = max(before, each.state, key=lambda state: _SEVERITY.get(state, 0))
    return found
