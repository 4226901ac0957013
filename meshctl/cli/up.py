"""`meshctl up`: the gateway and all services that have a command, as one thing that starts and ends together."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated

import typer

from meshctl.cli.command import FileOption, examples, timeout_option
from meshctl.cli.session import Session
from meshctl.errors import MeshError

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

    A service starts when those it is `after` take requests. One that takes none in time is named, and --detach then
    ends with 1; all of it runs on. Ctrl-C ends all in reverse order, a second one at once. The
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
        view = team_starting.up_detached(options, session.terminal.say)
        if view.unready:
            _show(session, view)
            hint = f"its log is {view.log}; all of it runs on until `meshctl down`"
            raise MeshError("failed", f"up {_unready(view)}", hint=hint)
        _tell(session, view)
        return
    team_starting.up(
        options,
        session.terminal.say,
        on_ready=lambda view: _tell(session, view),
        on_error=session.terminal.error,
    )


def has_colours(session: Session) -> bool:
    """Whether what is written is seen by somebody who wants colours."""
    return session.terminal.out.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def _show(session: Session, view: TeamView) -> None:
    rows = [(row.service, row.version, row.state, row.pid, row.app or None, row.address) for row in view.rows]
    session.terminal.table(_COLUMNS, rows)


def _tell(session: Session, view: TeamView) -> None:
    _show(session, view)
    how = f"`meshctl down` ends it; its log is {view.log}" if view.log else "Ctrl-C ends it"
    state = _unready(view) if view.unready else f"everything runs on revision {view.revision}"
    session.terminal.say(f"meshctl up: {state}; {how}")


def _unready(view: TeamView) -> str:
    verb = "is" if len(view.unready) == 1 else "are"
    return f"runs on revision {view.revision}, but {', '.join(view.unready)} {verb} not ready"
