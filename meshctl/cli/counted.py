"""What `stat` and `edges` share: asking every proxy what it counted, and rows of it by service, version, route or
edge."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from meshctl.cli.command import duration
from meshctl.cli.render import share
from meshctl.cli.session import Session
from meshctl.errors import FAILED, MeshError, nearest

if TYPE_CHECKING:
    from meshctl.control.readings import Asked, Meshed
    from meshctl.observe.reading import Flow, Load, Row

DEADLINE: Final = 2.0
"""Seconds a proxy gets to answer."""
NOWHERE: Final = "(none)"
"""What came to no service: no route took it, or its route answered itself."""
OUTSIDE: Final = "(unknown)"
"""A caller that did not prove who it is."""

Name = tuple[str, ...]


class By(StrEnum):
    """What a row of `stat` stands for."""

    SERVICE = "service"
    VERSION = "version"
    ROUTE = "route"
    EDGE = "edge"


_NAMES: Final[Mapping[By, Callable[[Flow], Name]]] = {
    By.SERVICE: lambda flow: (flow.service,),
    By.VERSION: lambda flow: (flow.service, flow.version),
    By.ROUTE: lambda flow: (flow.route, flow.service),
    By.EDGE: lambda flow: (flow.caller, flow.service, flow.version),
}
# What the parts of a name are called in JSON.
_KEYS: Final[Mapping[By, tuple[str, ...]]] = {
    By.SERVICE: ("service",),
    By.VERSION: ("service", "version"),
    By.ROUTE: ("route", "service"),
    By.EDGE: ("from", "service", "version"),
}

ServicesArgument = Annotated[
    list[str] | None, typer.Argument(metavar="SERVICE…", help="Only these services (default: all).")
]
WindowOption = Annotated[
    str, typer.Option("--window", "-w", metavar="DURATION", help="How far back: 1s to 15m.", show_default=True)
]


def ask(session: Session, window: str) -> tuple[Asked, Mapping[tuple[str, str], Meshed], int]:
    """What every running proxy counted within `window`, the endpoints there are, and the window in seconds."""
    from meshctl.control.readings import ask_readings, meshed
    from meshctl.observe.history import SPAN

    seconds = round(duration("--window", window))
    if not 1 <= seconds <= SPAN:
        raise MeshError("usage", f'"{window}" is no window', hint="--window takes 1s to 15m")
    with session.store() as store:
        asked = ask_readings(store, session.home().path, seconds, timeout=DEADLINE)
        return asked, meshed(store), seconds


def rows_by(asked: Asked, by: By, services: Sequence[str], meshed: Iterable[tuple[str, str]]) -> list[tuple[Name, Row]]:
    """What happened by name; a service that is asked for or configured has a row even where nothing did."""
    from meshctl.observe.reading import Row, flows, rows

    def is_wanted(flow: Flow) -> bool:
        # What a callee tells of its callers' requests beside counting them is of no route of theirs.
        if by is By.ROUTE and not flow.series.requests:
            return False
        return not services or flow.service in services or (by is By.EDGE and flow.caller in services)

    found = rows(filter(is_wanted, flows(asked.readings)), _NAMES[by])
    if by in (By.SERVICE, By.VERSION):
        for service, version in meshed:
            if not services or service in services:
                found.setdefault((service,) if by is By.SERVICE else (service, version), Row())
    # What came to no service stands at the end.
    return sorted(found.items(), key=lambda item: (not item[0][0], item[0]))


def loads_by(asked: Asked, by: By) -> dict[Name, Load]:
    """What is under way by name; routes are not told apart on the way to an endpoint."""
    from meshctl.observe.reading import Load

    found: dict[Name, Load] = {}
    for reading in asked.readings:
        for load in reading.loads:
            names = {
                By.SERVICE: (load.service,),
                By.VERSION: (load.service, load.version),
                By.EDGE: (reading.service, load.service, load.version),
            }
            if by not in names or load.service == reading.local:
                continue
            before = found.get(names[by], Load(load.service, load.version))
            found[names[by]] = Load(
                load.service,
                load.version,
                before.in_flight + load.in_flight,
                before.connections + load.connections,
            )
    return found


def document(by: By, name: Name, row: Row, load: Load | None, meshed: tuple[int, int] | None) -> dict[str, Any]:
    """A row as JSON has it."""
    return {
        **dict(zip(_KEYS[by], name, strict=True)),
        **({"meshed": meshed[0], "endpoints": meshed[1]} if meshed else {}),
        "requests": row.requests,
        "errors": row.errors,
        "given_up": row.given_up,
        "success": row.success,
        "rps": row.rps,
        "p50": row.p50,
        "p95": row.p95,
        "p99": row.p99,
        **({"in_flight": load.in_flight, "connections": load.connections} if load else {}),
        "received_per_second": row.received,
        "sent_per_second": row.sent,
        "reasons": row.reasons,
    }


def success(row: Row) -> str:
    """99.95% must not look like everything."""
    if row.success is None:
        return ""
    return "100%" if not row.errors else f"{min(row.success * 100, 99.99):.2f}%"


def why(row: Row) -> str:
    """The most frequent reasons for which proxies answered themselves, with their shares of all requests."""
    first = list(row.reasons.items())[:2]
    more = len(row.reasons) - len(first)
    words = [f"{reason} {share(count / row.requests) if row.requests else count}" for reason, count in first]
    return ", ".join([*words, *([f"{more} more"] if more else [])])


def check_known(services: Sequence[str] | None, asked: Asked, meshed: Iterable[tuple[str, str]]) -> None:
    """Raise MeshError not_found for a service that nobody knows."""
    known = {service for service, _ in meshed} | {each.service for each in asked.readings}
    known |= {series.service for each in asked.readings for series in each.series}
    for name in services or ():
        if name not in known:
            hint = nearest(name, known) or "`meshctl services ls` lists those there are"
            raise MeshError("not_found", f'there is no service "{name}"', hint=hint)


def settle(session: Session, asked: Asked) -> int | None:
    """Name who did not answer; the exit status that follows from it."""
    for why in asked.silent.values():
        session.terminal.warn(f"{why}: what it counted is missing")
    return FAILED if asked.silent else None
