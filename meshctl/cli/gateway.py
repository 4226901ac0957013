"""`meshctl gateway`: the life of the gateway, from `up` to `down`. What it does is `control.gateway`'s."""

from __future__ import annotations

from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Annotated

import typer

from meshctl.cli.changes import TimeoutOption, await_proxies, settle, show_changes
from meshctl.cli.command import FileOption, Output, OutputOption, examples, timeout_option
from meshctl.cli.proxies import ask_running, gateway_record
from meshctl.cli.session import Session
from meshctl.cli.steered import steered
from meshctl.errors import MeshError

if TYPE_CHECKING:
    from meshctl.control.gateway import GatewayOptions
    from meshctl.model.views import ProxyView

_NO_CONFIGURATION = "a gateway needs a configuration or a route"
ListenOption = Annotated[
    list[str] | None,
    typer.Option(
        "--listen",
        "-l",
        metavar="ADDR",
        help="Listen here (default: as the file says, else 127.0.0.1:8080); port 0 is a free one, no host "
        "every address. May be given again.",
    ),
]
AdminOption = Annotated[
    str | None,
    typer.Option(
        "--admin",
        metavar="ADDR",
        help="Serve /metrics, /healthz and /readyz here, or off (default: as the file says, else a free port).",
    ),
]
WorkersOption = Annotated[
    str | None,
    typer.Option(
        "--workers",
        "-w",
        metavar="N|auto",
        help="Worker processes; auto is one for each core (default: as the file says, else 1).",
    ),
]


@examples("""
    meshctl gateway up --route /=http://127.0.0.1:8000
    meshctl gateway up -c mesh.toml --detach
    meshctl gateway up --route /api=http://127.0.0.1:9000/v2 --route /=http://127.0.0.1:8000 -l 127.0.0.1:0
""")
def up(
    session: Session,
    config: FileOption = None,
    route: Annotated[
        list[str] | None,
        typer.Option("--route", "-r", metavar="PATH=URL", help="Send a path to a URL; may be given again."),
    ] = None,
    listen: ListenOption = None,
    admin: AdminOption = None,
    workers: WorkersOption = None,
    detach: Annotated[
        bool, typer.Option("--detach", "-d", help="Run in the background; return when it is ready.")
    ] = False,
) -> None:
    """Start the gateway: from a mesh.toml, from routes given here, or from both. Ctrl-C stops it.

    With --route the request's path goes on as it came; a path in the URL takes the prefix's place."""
    count = _workers(workers)
    from meshctl.control import gateway

    options = _options(session, config, tuple(route or ()), tuple(listen or ()), admin, count)
    if detach:
        _tell_ready(session, gateway.up_detached(options, session.terminal.say), f"`{_down(session)}` stops it")
        return
    gateway.up(
        options,
        session.terminal.say,
        on_ready=lambda view: _tell_ready(session, view, "Ctrl-C stops it"),
        on_error=session.terminal.error,
    )


@examples("""
    meshctl gateway status
    meshctl gateway status -o json
""")
def status(session: Session, output: OutputOption = Output.TABLE) -> None:
    """Show the running proxies, the gateway first: where each listens, which revision it serves, and its worker
    processes."""
    from meshctl import clock
    from meshctl.model.views import ProxyView

    views = [view for _, view in ask_running(session, "/v1/status", ProxyView)]
    if output is Output.JSON:
        session.terminal.document(views)
        return
    now = clock.wall()
    for at, view in enumerate(views):
        if at:
            session.terminal.data("")
        _show(session, view, now)


@examples("""
    meshctl gateway reload
""")
def reload(session: Session, timeout: TimeoutOption = 10.0) -> int:
    """Read the file the gateway was started with again, and apply it. No request is dropped.

    Where the file does not hold, nothing changes and every problem is told."""
    from meshctl.config import adhoc
    from meshctl.control import apply as door
    from meshctl.control.who import who

    record = gateway_record(session)
    if not record.source and not record.routes:
        raise MeshError("failed", "the gateway was started without a file", hint="use `meshctl apply -c FILE`")
    mesh = session.load(Path(record.source))[1].mesh if record.source else None
    if record.routes:
        mesh = adhoc.routes_mesh(record.routes, mesh, folder=str(Path.cwd()))
    assert mesh is not None
    with session.store() as store:
        applied = door.apply(store, mesh, source=record.source or "routes", who=who())
        show_changes(session, applied.changes, store)
        session.terminal.say(f"revision {applied.number} {'is already current' if applied.unchanged else 'is applied'}")
        return settle(await_proxies(session, store, applied.number, timeout))


@examples("""
    meshctl gateway down
    meshctl gateway down --timeout 5
""")
def down(
    session: Session,
    timeout: Annotated[float, timeout_option("How long to wait for it.")] = 40.0,
) -> None:
    """Stop the gateway: it accepts nothing new, finishes what is in flight, and ends. Ends with 4 where none runs."""
    from meshctl.control.ending import end

    record = gateway_record(session)
    session.terminal.say(f"stopping gateway {record.id} (process {record.pid})")
    if not end(record.pid, timeout):
        hint = "it is finishing requests in flight; wait longer with --timeout"
        raise MeshError("failed", f"the gateway still runs after {timeout:g} s (process {record.pid})", hint=hint)
    session.terminal.say("stopped")


@examples("""
    meshctl gateway logs
    meshctl gateway logs -f -n 100
""")
def logs(
    session: Session,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with what is written from now on.")] = False,
    lines: Annotated[int, typer.Option("--lines", "-n", metavar="N", min=0, help="How many of the last lines.")] = 20,
) -> None:
    """Print the end of the gateway's log files: its own, and the access log where that goes to a file."""
    from meshctl.cli.tail import tail

    files = _log_files(session)
    if not files:
        hint = "a gateway in the foreground writes to its terminal; start it with --detach"
        raise MeshError("not_found", "this gateway writes no log file", hint=hint)
    for line in tail(files, lines, follow=follow):
        session.terminal.data(line)


def _options(
    session: Session,
    config: Path | None,
    routes: tuple[str, ...],
    listen: tuple[str, ...],
    admin: str | None,
    workers: int | None,
) -> GatewayOptions:
    from meshctl.control.gateway import GatewayOptions
    from meshctl.store.nearest import find_config

    file = config or (None if routes else find_config())
    if file is None and not routes:
        hint = "give --route /=http://127.0.0.1:8000, or write a mesh.toml with `meshctl init`"
        raise MeshError("not_found", _NO_CONFIGURATION, hint=hint)
    return GatewayOptions(
        home=session.home(create=True), file=file, routes=routes, listen=listen, admin=admin, workers=workers
    )


def _down(session: Session) -> str:
    """The command that stops the gateway of this session's home."""
    home = f"--home {quote(str(session.home_option))} " if session.home_option else ""
    return f"meshctl {home}gateway down"


def _workers(text: str | None) -> int | None:
    if text is None or text == "auto":
        return 0 if text else None
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= 1024:
        raise MeshError("usage", f'"{text}" is not a number of workers', hint="--workers takes 1 to 1024, or auto")
    return int(text)


def _tell_ready(session: Session, view: ProxyView, how_to_stop: str) -> None:
    from meshctl.model.address import shown

    urls = "  ".join(listener.shown for listener in view.listeners)
    admin = f"  admin {shown(view.admin, view.admin_address)}" if view.admin else ""
    session.terminal.say(f"meshctl gateway ready  {urls}  ({_content(session, view)}){admin}  {how_to_stop}")


def _content(session: Session, view: ProxyView) -> str:
    from meshctl.control.revisions import revision

    with session.store() as store:
        mesh = revision(store, view.revision).mesh()
    parts = [("route", mesh.routes), ("service", mesh.services)]
    counts = [f"{len(items)} {word}{'' if len(items) == 1 else 's'}" for word, items in parts]
    return ", ".join([*counts, f"revision {view.revision}"])


def _show(session: Session, view: ProxyView, now: float) -> None:
    from meshctl.control.at_start import told
    from meshctl.model.address import shown
    from meshctl.model.units import format_duration

    behind = f" (revision {view.latest} is applied)" if view.latest > view.revision else ""
    session.terminal.pairs(
        [
            (view.role, view.id),
            ("state", view.state),
            *(("listens", listener.shown) for listener in view.listeners),
            ("admin", shown(view.admin, view.admin_address)),
            ("source", view.source),
            ("revision", f"{view.revision}{behind}"),
            ("refused", view.refusal),
            ("pending", told(view.pending) if view.pending else ""),
            ("since", format_duration(float(max(0, round(now - view.started))))),
            ("process", view.pid),
            *steered(view.faults, view.mirrors, by_service=True),
        ]
    )
    session.terminal.data("")
    session.terminal.table(
        ["WORKER>", "STATE", "RESTARTS>", "CONNECTIONS>", "IN FLIGHT>", "REQUESTS>"],
        [
            (each.pid, each.state, each.restarts, each.connections, each.in_flight, each.requests)
            for each in view.workers
        ],
    )


def _log_files(session: Session) -> list[Path]:
    """The files of the running gateway; where none runs, those the last one left, so that its end can be read."""
    from meshctl.control.revisions import current

    try:
        own = gateway_record(session).log
    except MeshError as error:
        if error.code != "not_running":
            raise
        left = sorted(session.home().logs.glob("gateway*.log"))
        if not left:
            raise
        return left
    with session.store() as store:
        applied = current(store)
    access = applied.mesh().gateway.access_log.path if applied else "off"
    return [Path(name) for name in (own, access) if name.startswith("/")]
