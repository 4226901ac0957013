"""`meshctl stat`: how services, versions, routes and callers fare, from what every proxy counted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Final

import typer

from meshctl.cli.command import Output, OutputOption, examples
from meshctl.cli.counted import (
    NOWHERE,
    OUTSIDE,
    By,
    Name,
    ServicesArgument,
    WindowOption,
    ask,
    check_known,
    document,
    loads_by,
    rows_by,
    settle,
    success,
    why,
)
from meshctl.cli.render import Row as Cells
from meshctl.cli.render import milliseconds
from meshctl.cli.session import Session

if TYPE_CHECKING:
    from meshctl.control.readings import Meshed
    from meshctl.observe.reading import Load, Row

_HEADS: Final[Mapping[By, tuple[str, ...]]] = {
    By.SERVICE: ("NAME",),
    By.VERSION: ("NAME", "VERSION"),
    By.ROUTE: ("NAME", "SERVICE"),
    By.EDGE: ("FROM", "NAME", "VERSION"),
}


@examples("""
    meshctl stat
    meshctl stat orders --by version
    meshctl stat --by edge --window 15m
    meshctl stat --by route -o json
""")
def stat(
    session: Session,
    services: ServicesArgument = None,
    by: Annotated[
        By, typer.Option("--by", metavar="service|version|route|edge", help="What a row stands for.")
    ] = By.SERVICE,
    window: WindowOption = "1m",
    output: OutputOption = Output.TABLE,
) -> int | None:
    """Show how services fare: success, requests per second, latencies, what is under way, and why proxies refused.

    Every running proxy is asked. A request counts once, where it is sent into a service, as its caller saw it: what
    never arrived is a failure too. SUCCESS is the share neither answered with 500 and above nor cut off by the
    endpoint, of requests that clients did not give up; TCP are the connections that proxies keep to the endpoints,
    of which MESHED are sidecars; BYTES are those of bodies per second, both ways. Ends with 1 where a proxy did not
    answer."""
    asked, meshed, seconds = ask(session, window)
    check_known(services, asked, meshed)
    found = rows_by(asked, by, services or [], meshed)
    loads = loads_by(asked, by)
    if output is Output.JSON:
        rows = [document(by, name, row, loads.get(name), _meshed(meshed, by, name)) for name, row in found]
        session.terminal.document({"by": by, "window": seconds, "rows": rows, "silent": sorted(asked.silent)})
    else:
        _show(session, by, found, loads, meshed)
    return settle(session, asked)


def _meshed(meshed: Mapping[tuple[str, str], Meshed], by: By, name: Name) -> tuple[int, int] | None:
    if by not in (By.SERVICE, By.VERSION):
        return None
    those = [each for at, each in meshed.items() if at[: len(name)] == name]
    return (sum(each.sidecars for each in those), sum(each.endpoints for each in those)) if those else None


def _show(
    session: Session,
    by: By,
    found: Sequence[tuple[Name, Row]],
    loads: Mapping[Name, Load],
    meshed: Mapping[tuple[str, str], Meshed],
) -> None:
    has_meshed, has_load = by in (By.SERVICE, By.VERSION), by is not By.ROUTE
    lines: list[Cells] = []
    for name, row in found:
        count, load = _meshed(meshed, by, name), loads.get(name)
        lines.append(
            (
                *_shown(by, name),
                *([f"{count[0]}/{count[1]}" if count else None] if has_meshed else []),
                success(row),
                row.rps,
                *(milliseconds(each) for each in (row.p50, row.p95, row.p99)),
                *([load.in_flight if load else None, load.connections if load else None] if has_load else []),
                _bytes(row),
                why(row),
            )
        )
    columns = [
        *_HEADS[by],
        *(["MESHED>"] if has_meshed else []),
        *("SUCCESS>", "RPS>", "P50>", "P95>", "P99>"),
        *(["IN FLIGHT>", "TCP>"] if has_load else []),
        *("BYTES>", "WHY"),
    ]
    empty = "no requests, and no services that could get any"
    session.terminal.table(columns, lines, empty=empty, spare=("TCP", "BYTES", "P95", "IN FLIGHT"))


def _shown(by: By, name: Name) -> Name:
    if by is By.EDGE:
        return name[0] or OUTSIDE, name[1] or NOWHERE, name[2]
    return name[0] or NOWHERE, *name[1:]


def _bytes(row: Row) -> str:
    if not row.requests:
        return ""
    size = row.received + row.sent
    for unit in ("B", "KB", "MB"):
        if size < 1000:
            return f"{size:.3g}{unit}/s"
        size /= 1000
    return f"{size:.3g}GB/s"
