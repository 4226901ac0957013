"""`meshctl up`: the gateway and all services that have a command, as one thing that starts and ends together."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated

import typer

from meshctl.cli.command import FileOption, examples, timeout_option
from meshctl.cli.session import Session

if TYPE_CHECKING:
    from meshctl.sidecar.team_plan import TeamView

_COLUMNS = ("SERVICE", "VERSION", "STATE", "PROCESS>", "APP>", "LISTENS")


@examples("""
    meshctl up
    meshctl up web
    meshctl up -c mesh.toml --detach
""")
def up(
    session: Session,
    services: Annotated[
        list[str] | None,
        typer.Argument(metavar="SERVICE…", help="Run these and what they are `after`, instead of all."),
    ] = None,
    config: FileOption = None,
    detach: Annotated[
        bool, typer.Option("--detach", "-d", help="Run in the background; return when everything is ready.")
    ] = False,
    timeout: Annotated[float, timeout_option("How long each may take until it is ready.")] = 60.0,
) -> None:
    """Apply a mesh.toml and run all it has: the gateway, and each `command`, wrapped.

    A service starts when those it is `after` take requests. Ctrl-C ends all in reverse order, a second one at once. The
    lines of all come together here: | is a program's output, ! its errors, * what happens to it."""
    from meshctl.sidecar import team_starting

    file = session.file(config)
    options = team_starting.UpOptions(
        session.home(create=True),
        file,
        tuple(services or ()),
        timeout,
        is_coloured=not detach and has_colours(session),
        is_quiet=session.terminal.quiet,
    )
    if detach:
        _show(session, team_starting.up_detached(options, session.terminal.say))
        return
    team_starting.up(
        options,
        session.terminal.say,
        on_ready=lambda view: _show(session, view),
        on_error=session.terminal.error,
    )


def has_colours(session: Session) -> bool:
    """Whether what is written is seen by somebody who wants colours."""
    return session.terminal.out.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def _show(session: Session, view: TeamView) -> None:
    rows = [(row.service, row.version, row.state, row.pid, row.app or None, row.address) for row in view.rows]
    session.terminal.table(_COLUMNS, rows)
    how = f"`meshctl down` ends it; its log is {view.log}" if view.log else "Ctrl-C ends it"
    session.terminal.say(f"meshctl up: everything runs on revision {view.revision}; {how}")
