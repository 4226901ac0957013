"""`meshctl sidecar`: an app wrapped with a proxy of its own. What it does is `meshctl.sidecar`'s."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from meshctl.cli.changes import TimeoutOption
from meshctl.cli.command import Output, OutputOption, duration, examples, takes_a_command
from meshctl.cli.proxies import running
from meshctl.cli.session import Session
from meshctl.cli.steered import remind
from meshctl.errors import DONE, FAILED, MeshError

if TYPE_CHECKING:
    from meshctl.model.views import ProxyView

_POLICIES = ("no", "on-failure", "always")
_INTERCEPTS = ("", "auto", "required")


ServiceOption = Annotated[
    str | None,
    typer.Option("--service", "-s", metavar="NAME", help="The service it is (default: the command's name)."),
]
VersionOption = Annotated[
    str | None,
    typer.Option("--version", metavar="NAME", help="The version it is (default: the service's only one)."),
]
PortOption = Annotated[
    int,
    typer.Option(
        "--port", "-p", metavar="PORT", min=0, max=65535, help="Where it listens (default: a free port, in $PORT)."
    ),
]
UpstreamOption = Annotated[
    list[str] | None,
    typer.Option(
        "--upstream",
        "-u",
        metavar="NAME[:tcp][=PORT]",
        help="Give it a port on this machine that leads to a service, told in $NAME_URL, or in $NAME_ADDR for tcp. "
        "May be given again.",
    ),
]
RestartOption = Annotated[
    str, typer.Option("--restart", metavar="no|on-failure|always", help="When it is started again (default: no).")
]
GraceOption = Annotated[
    str, typer.Option("--grace", metavar="DURATION", help="From asking it to end to killing it (default: 10s).")
]
HealthOption = Annotated[
    str,
    typer.Option(
        "--health",
        metavar="PATH",
        help="Send it requests once this path answers with success (default: once it takes connections).",
    ),
]
ReadyOption = Annotated[
    str,
    typer.Option("--ready-timeout", metavar="DURATION", help="Until its being late is told (default: 60s; 0s: never)."),
]
GatewayOption = Annotated[
    list[str] | None,
    typer.Option("--gateway", "-g", metavar="ADDR", help="Serve the mesh's routes here as well. May be given again."),
]
AdminOption = Annotated[
    str,
    typer.Option(
        "--admin", metavar="ADDR", help="Serve /metrics, /healthz and /readyz here, or off (default: a free port)."
    ),
]
NoProxyOption = Annotated[
    bool, typer.Option("--no-proxy-env", help="Leave $HTTP_PROXY, $HTTPS_PROXY and $NO_PROXY as they are.")
]
NoTraceHookOption = Annotated[
    bool, typer.Option("--no-trace-hook", help="Leave a Python app's calls alone: they join no trace by themselves.")
]

InterceptOption = Annotated[
    str,
    typer.Option(
        "--intercept",
        metavar="[=auto]",
        help="Give it a network of its own, where all its connections go through its proxy, whatever it does (Linux); "
        "with =auto only where that is allowed.",
    ),
]


@takes_a_command
@examples("""
    meshctl sidecar wrap --service orders -- python app.py
    meshctl sidecar wrap --service web --upstream orders -- node server.js
    meshctl sidecar wrap --port 8000 --restart on-failure -- uvicorn shop:app --port 8000
    meshctl sidecar wrap --service web --intercept -- node server.js
    meshctl sidecar wrap --service report --upstream db:tcp=5432 -- sh -c 'psql -h localhost -f report.sql'
""")
def wrap(
    session: Session,
    command: Annotated[list[str], typer.Argument(metavar="-- COMMAND…", help="The app, and its own options.")],
    service: ServiceOption = None,
    app_version: VersionOption = None,
    port: PortOption = 0,
    upstream: UpstreamOption = None,
    restart: RestartOption = "no",
    grace: GraceOption = "10s",
    health: HealthOption = "",
    ready_timeout: ReadyOption = "60s",
    gateway: GatewayOption = None,
    admin: AdminOption = "127.0.0.1:0",
    no_proxy_env: NoProxyOption = False,
    no_trace_hook: NoTraceHookOption = False,
    intercept: InterceptOption = "",
) -> None:
    """Run an app as a member of the mesh: with an identity, mutual TLS, and every service in reach by its name.

    The app finds its port in $PORT and calls http://NAME/ through $HTTP_PROXY. It gets requests once it takes them,
    and none any more before it is ended. Ctrl-C ends both, in order; the exit status is the app's."""
    from meshctl.sidecar import starting
    from meshctl.sidecar.wrapper import Wrapping

    if restart not in _POLICIES:
        raise MeshError("usage", f'--restart "{restart}": expected one of {", ".join(_POLICIES)}')
    if intercept not in _INTERCEPTS:
        raise MeshError("usage", f'--intercept="{intercept}": expected --intercept or --intercept=auto')
    if health and not health.startswith("/"):
        raise MeshError("usage", f'--health "{health}" is not a path', hint=f"did you mean /{health}?")
    typed = starting.WrapOptions(
        home=session.home(create=True),
        wrapping=Wrapping(
            tuple(command),
            restart,  # type: ignore[arg-type]  # checked above
            duration(f'--grace "{grace}"', grace),
            health,
            duration(f'--ready-timeout "{ready_timeout}"', ready_timeout),
            not no_proxy_env,
            not no_trace_hook,
            intercept,  # type: ignore[arg-type]  # checked above
        ),
        service=service,
        version=app_version,
        port=port,
        upstreams=tuple(upstream or ()),
        gateway=tuple(gateway or ()),
        admin=admin,
        is_quiet=session.terminal.quiet,
    )
    options = starting.prepare(typed, session.terminal.say)
    starting.become(options, on_ready=lambda view: _tell_ready(session, view), on_error=session.terminal.error)


@examples("""
    meshctl sidecar ls
    meshctl sidecar ls -o json
""")
def ls(session: Session, output: OutputOption = Output.TABLE) -> None:
    """List the running sidecars: their apps and how these fare, where requests come in, and how long their
    certificates still last."""
    from meshctl.cli.sidecar_list import listed, show

    rows = listed(session)
    if output is Output.JSON:
        session.terminal.document(rows)
        return
    show(session, rows)
    remind(session)


@examples("""
    meshctl sidecar drain orders-v1-0a1b2c
    meshctl sidecar drain orders
    meshctl sidecar drain orders --undo
""")
def drain(
    session: Session,
    name: Annotated[str, typer.Argument(metavar="SIDECAR|SERVICE", help="One sidecar, or all of a service.")],
    undo: Annotated[bool, typer.Option("--undo", help="Have it take requests again.")] = False,
    timeout: TimeoutOption = 10.0,
) -> int:
    """Keep a sidecar from taking requests, while its app runs on. Returns when every proxy has seen it."""
    from meshctl.sidecar import draining

    records = draining.find(running(session), name)
    with session.store() as store:
        draining.drain(store, records, undo=undo)
        followers = draining.await_drained(store, records, timeout, undo=undo)
    for record in records:
        session.terminal.say(f"{record.id} {'takes requests again' if undo else 'takes no more requests'}")
    silent = [each for each in followers if each.status == "silent"]
    for each in silent:
        session.terminal.warn(f'proxy "{each.proxy}" may not have seen it: {each.reason}')
    return FAILED if silent else DONE


def _tell_ready(session: Session, view: ProxyView) -> None:
    parts = [f"meshctl sidecar {view.id} ready", f"{view.service} {view.app_version}"]
    if view.app is not None:
        parts.append(f"app :{view.app.port} (process {view.app.pid})")
    for each in view.listeners:
        word = {"inbound": "inbound", "outbound": "proxy", "gateway": "gateway"}.get(each.entry, each.entry)
        parts.append(f"{word} {each.shown if each.entry == 'gateway' else each.address}")
    if view.admin:
        parts.append(f"admin {view.admin}")
    session.terminal.say("  ".join(parts))
