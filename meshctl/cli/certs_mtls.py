"""`meshctl certs mtls`: who still calls without mutual TLS, and would be refused if a service became strict."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from meshctl.cli.command import Output, OutputOption, examples
from meshctl.cli.lifetimes import span
from meshctl.cli.proxies import ask_running
from meshctl.cli.session import Session
from meshctl.errors import MeshError

if TYPE_CHECKING:
    from meshctl.model.views import PlainCallerView


@examples("""
    meshctl certs mtls
    meshctl certs mtls --dry-run orders
    meshctl certs mtls --dry-run -o json
""")
def mtls(
    session: Session,
    service: Annotated[str, typer.Argument(metavar="SERVICE", help="Only this one (default: all).")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="List who would be refused by strict mutual TLS.")] = False,
    output: OutputOption = Output.TABLE,
) -> None:
    """Show whether each service takes only mutual TLS (`mtls` in mesh.toml), and how much still comes in plain.

    With --dry-run list the callers that strict would refuse, how often each came since its proxy started, and when it
    did last. Where the list stays empty, set `mtls = "strict"`."""
    from meshctl.model.views import PlainCallerView

    answers = ask_running(session, "/v1/plain", list[PlainCallerView])
    callers = [
        each
        for each in _merged([view for _, views in answers for view in views])
        if not service or each.service == service
    ]
    if dry_run:
        _show_callers(session, callers, output)
    else:
        _show_services(session, service, callers, output)


def _show_callers(session: Session, callers: list[PlainCallerView], output: Output) -> None:
    from meshctl import clock

    if output is Output.JSON:
        session.terminal.document(callers)
        return
    now = clock.wall()
    session.terminal.table(
        ["SERVICE", "CALLER", "CONNECTIONS>", "LAST SEEN>"],
        [(each.service, each.caller, each.count, f"{span(now - each.last_seen)} ago") for each in callers],
        empty="nobody came in plain: strict would refuse nobody",
    )


def _show_services(session: Session, service: str, callers: list[PlainCallerView], output: Output) -> None:
    from meshctl.control import revisions

    with session.store() as store:
        revision = revisions.current(store)
    modes = {each.name: each.mtls for each in revision.mesh().services} if revision else {}
    names = sorted({*modes, *(each.service for each in callers)}) if not service else [service]
    if service and service not in modes and not callers:
        raise MeshError("not_found", f'there is no service "{service}"', hint="see `meshctl services ls`")
    rows = []
    for name in names:
        own = [each for each in callers if each.service == name]
        # A service that the configuration does not have takes what it has by default.
        rows.append((name, modes.get(name, "strict"), len(own), sum(each.count for each in own)))
    if output is Output.JSON:
        keys = ("service", "mtls", "callers", "connections")
        session.terminal.document([dict(zip(keys, row, strict=True)) for row in rows])
        return
    session.terminal.table(
        ["SERVICE", "MTLS", "PLAIN CALLERS>", "PLAIN CONNECTIONS>"], rows, empty="the mesh has no service"
    )


def _merged(views: list[PlainCallerView]) -> list[PlainCallerView]:
    """One line for each caller of a service, over all its proxies; who came most first."""
    from meshctl.model.views import PlainCallerView

    found: dict[tuple[str, str], PlainCallerView] = {}
    for each in views:
        before = found.get((each.service, each.caller))
        count = each.count + (before.count if before else 0)
        last = max(each.last_seen, before.last_seen if before else 0.0)
        found[each.service, each.caller] = PlainCallerView(each.service, each.caller, count, last)
    return sorted(found.values(), key=lambda each: (each.service, -each.count, each.caller))
