"""`meshctl apply` and `meshctl diff`: what a file would change, and changing it everywhere."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Annotated, Final

import typer

from meshctl.cli.command import FileOption, Output, OutputOption, examples, timeout_option
from meshctl.cli.session import Session
from meshctl.errors import DONE, FAILED, MeshError

if TYPE_CHECKING:
    from meshctl.config.diff import Change
    from meshctl.control.acks import Report
    from meshctl.control.revisions import Revision
    from meshctl.store.protocol import Store

_SIGN: Final = {"added": "+", "removed": "-", "changed": "~"}
TimeoutOption = Annotated[float, timeout_option("How long to wait for the proxies.")]


@examples("""
    meshctl apply
    meshctl apply -c staging/mesh.toml --expect 4
""")
def apply(
    session: Session,
    config: FileOption = None,
    expect: Annotated[
        int | None,
        typer.Option("--expect", metavar="N", help="Apply only if revision N is still the current one."),
    ] = None,
    timeout: TimeoutOption = 10.0,
    output: OutputOption = Output.TABLE,
) -> int:
    """Make a mesh.toml the current revision, and wait until every running proxy has taken it.

    All proxies keep serving while they change over. A proxy that cannot take the revision refuses it with its reason
    and stays on its last good one; the command then ends with 1. If somebody else applied in the meantime, nothing is
    changed and the command ends with 1 and says what they changed."""
    from meshctl.control import apply as door
    from meshctl.control.who import who

    path, loaded = session.load(config)
    with session.store(create=True) as store:
        applied = door.apply(store, loaded.mesh, source=str(path.absolute()), who=who(), expect=expect)
        show_changes(session, applied.changes, store)
        state = "is already current" if applied.unchanged else "is applied"
        session.terminal.say(f"revision {applied.number} {state}")
        reports = await_proxies(session, store, applied.number, timeout)
    if output is Output.JSON:
        session.terminal.document(
            {"revision": applied.number, "unchanged": applied.unchanged, "changes": applied.changes, "proxies": reports}
        )
    return settle(reports)


@examples("""
    meshctl diff
    meshctl diff -c staging/mesh.toml --exit-code
    meshctl diff -o json
""")
def diff(
    session: Session,
    config: FileOption = None,
    exit_code: Annotated[bool, typer.Option("--exit-code", help="End with 1 where there are differences.")] = False,
    output: OutputOption = Output.TABLE,
) -> int:
    """Show what applying a mesh.toml would change."""
    from meshctl.config.diff import changes as differences
    from meshctl.model.mesh import Mesh

    _, loaded = session.load(config)
    current = _current(session)
    found = differences(current.mesh() if current else Mesh(), loaded.mesh)
    if output is Output.JSON:
        session.terminal.document({"revision": current.number if current else 0, "changes": found})
        return FAILED if exit_code and found else DONE
    if found:
        session.terminal.data("\n".join(map(change_line, found)))
    base = f"revision {current.number}" if current else "an empty mesh: nothing is applied yet"
    session.terminal.say(f"{len(found) or 'no'} difference{'' if len(found) == 1 else 's'} to {base}")
    return FAILED if exit_code and found else DONE


def _current(session: Session) -> Revision | None:
    from meshctl.control.revisions import current

    try:
        with session.store() as store:
            return current(store)
    except MeshError as error:
        # Without a home nothing was ever applied; looking must not make one.
        if error.code != "not_found":
            raise
        return None


def change_line(change: Change) -> str:
    """A change in one line: `~ routes.orders.retry.attempts: 2 → 3`."""
    values = [value for value in (change.before, change.after) if value not in (None, "")]
    shown = " → ".join(str(value) for value in values)
    return f"{_SIGN[change.kind]} {change.path}{': ' + shown if shown else ''}"


def show_changes(session: Session, changes: Sequence[Change], store: Store) -> None:
    """Tell the changes, one line each, and which services' weights change nothing for now."""
    for change in changes:
        session.terminal.say(change_line(change))
    if not any(change.path.startswith("services.") for change in changes):
        return
    from meshctl.control.weights import live_weights

    for service in sorted(live_weights(store)):
        if any(_is_share(change.path, service) for change in changes):
            back = f"`meshctl traffic reset {service}` brings back the file's"
            session.terminal.warn(f'live weights of "{service}" hold in the place of these; {back}')


def _is_share(path: str, service: str) -> bool:
    """Whether a change is about who takes how much of a service: a weight, or a version that comes or goes."""
    found, prefix, rest = path.partition(f"services.{service}.versions.")
    return not found and bool(prefix) and ("." not in rest or rest.endswith(".weight"))


def await_proxies(session: Session, store: Store, number: int, timeout: float) -> Sequence[Report]:
    """Wait until every running proxy has answered to revision `number`; tell each answer as it comes, and what holds
    only later."""
    from meshctl.control.acks import await_acks
    from meshctl.control.at_start import told as pending

    told: set[str] = set()

    def tell(reports: Sequence[Report], *, silent: bool = False) -> None:
        for report in reports:
            if report.proxy not in told and (silent or report.status != "silent"):
                told.add(report.proxy)
                reason = f": {report.reason}" if report.reason else ""
                session.terminal.say(f"  {report.proxy}  {report.status}{reason}")
                if report.pending:
                    session.terminal.warn(pending(report.pending))

    reports = await_acks(store, number, timeout, on_change=tell)
    tell(reports, silent=True)
    if not reports:
        session.terminal.say("no proxy is running; the next one starts with it")
    _tell_team(session, store)
    return reports


def _tell_team(session: Session, store: Store) -> None:
    """Tell which commands a running `meshctl up` does not run as is applied."""
    from meshctl.control.revisions import current
    from meshctl.sidecar import team_outdated

    revision = current(store)
    names = team_outdated.outdated(session.home(), revision.mesh()) if revision else ()
    if names:
        session.terminal.warn(team_outdated.told(names))


def settle(reports: Iterable[Report]) -> int:
    """The exit status: failed unless every proxy accepted."""
    return DONE if all(report.status == "accepted" for report in reports) else FAILED
