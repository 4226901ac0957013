"""`meshctl routes`: the live routes and how they fare, and which one takes a request and why."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from meshctl.cli.command import Output, OutputOption, examples
from meshctl.cli.proxies import ask_running, with_proxy
from meshctl.cli.render import Row, milliseconds, share
from meshctl.cli.session import Session
from meshctl.cli.steered import remind
from meshctl.errors import DONE, NOT_FOUND, MeshError

if TYPE_CHECKING:
    from meshctl.model.explained import ExplainView
    from meshctl.model.views import RouteView, VersionView

COLUMNS: Final = ("ROUTE", "MATCH", "TARGET", "VERSIONS", "HEALTHY", "RPS>", "ERRORS>", "P50>", "P99>")


@examples("""
    meshctl routes ls
    meshctl routes ls -o json
""")
def ls(session: Session, output: OutputOption = Output.TABLE) -> None:
    """List the live routes of every running proxy: what each matches, where it sends, and how it fares.

    Rates, errors and latencies are those of the last ten seconds."""
    from meshctl.model.views import RouteView

    answers = ask_running(session, "/v1/routes", list[RouteView])
    if output is Output.JSON:
        session.terminal.document([{"proxy": record.id, "routes": routes} for record, routes in answers])
        return
    several = with_proxy(answers)
    rows = [
        (record.id, *route_row(route)) if several else route_row(route)
        for record, routes in answers
        for route in routes
    ]
    columns = ["PROXY", *COLUMNS] if several else COLUMNS
    spare = ["HEALTHY", "P50"] if several else []
    session.terminal.table(columns, rows, empty="no routes; every request is answered 404 no_route", spare=spare)
    remind(session)


@examples("""
    meshctl routes explain GET http://127.0.0.1:8080/v1/orders
    meshctl routes explain GET /v1/orders -H "x-user: alice"
    meshctl routes explain POST http://api.localhost/v1/orders -c mesh.toml -o json
""")
def explain(
    session: Session,
    method: Annotated[str, typer.Argument(metavar="METHOD", help="GET, POST, …")],
    url: Annotated[str, typer.Argument(metavar="URL", help="A URL, or a path alone.")],
    header: Annotated[
        list[str] | None, typer.Option("--header", "-H", metavar="HEADER", help='"name: value"; may be given again.')
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option("--config", "-c", metavar="FILE", readable=False, help="Ask this file, not the running gateway."),
    ] = None,
    output: OutputOption = Output.TABLE,
) -> int:
    """Tell which route takes a request, what becomes of it, and why every other route lost. Sends no request.

    Asks the running gateway, or a file with -c. Ends with 4 where no route takes the request."""
    headers = tuple(map(_header, header or ()))
    if config is not None:
        from meshctl.proxy.explain import explain as decide

        view = decide(session.load(config)[1].mesh, method, url, headers)
    else:
        view = _explain_live(session, method, url, headers)
    if output is Output.JSON:
        session.terminal.document(view)
    else:
        _show(session, view)
    return DONE if view.route else NOT_FOUND


def route_row(route: RouteView) -> Row:
    """A route as a row under `COLUMNS`."""
    return (
        route.name,
        route.match,
        route.target,
        versions(route.weights),
        f"{route.healthy}/{route.total}" if route.total else "",
        route.rps,
        share(route.errors),
        milliseconds(route.p50),
        milliseconds(route.p99),
    )


def versions(weights: Iterable[VersionView]) -> str:
    """The versions with their shares of the traffic: `v1 90% v2 10%`, and whether those are live ones instead of the
    file's; nothing for the one version without a name."""
    listed = [version for version in weights if version.name != "default"]
    whole = sum(version.weight for version in listed) or 1
    shares = " ".join(f"{version.name} {share(version.weight / whole)}" for version in listed)
    return f"{shares} (live)" if is_overridden(listed) else shares


def is_overridden(weights: Iterable[VersionView]) -> bool:
    """Whether live weights hold in the place of the file's."""
    return any(version.declared is not None and version.declared != version.weight for version in weights)


def _explain_live(session: Session, method: str, url: str, headers: tuple[tuple[str, str], ...]) -> ExplainView:
    from urllib.parse import urlencode

    from meshctl.model.explained import ExplainView

    query = [("method", method), ("url", url), *(("header", f"{name}: {value}") for name, value in headers)]
    answers = ask_running(session, f"/v1/explain?{urlencode(query)}", ExplainView)
    # Sidecars have routes of their own, which are not those that the caller sees.
    return min(answers, key=lambda answer: answer[0].role != "gateway")[1]


def _header(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not colon or not name.strip():
        raise MeshError("usage", f'"{text}" is not a header', hint='write it as -H "name: value"')
    return name.strip().lower(), value.strip()


def _show(session: Session, view: ExplainView) -> None:
    terminal = session.terminal
    terminal.pairs(
        [
            ("request", " ".join(filter(None, (view.method, view.host, view.path)))),
            ("route", view.route or "none"),
            ("reason", view.reason),
            ("match", view.match),
            ("target", view.target),
            ("forwarded", view.forwarded),
            ("version", view.version),
            ("endpoint", view.endpoint),
            *(("policy", policy) for policy in view.policies),
        ]
    )
    if view.losers:
        terminal.data("")
        terminal.table(["OTHER ROUTE", "WHY NOT"], [(loser.route, loser.reason) for loser in view.losers])
