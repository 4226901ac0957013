"""`meshctl api`: the versions of APIs, how long each has to live, and who still calls those that are to go."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final

import typer

from meshctl.cli.command import Output, OutputOption, examples
from meshctl.cli.lifetimes import span
from meshctl.cli.proxies import ask_running
from meshctl.cli.session import Session
from meshctl.errors import MeshError

if TYPE_CHECKING:
    from meshctl.control.apis import VersionUse
    from meshctl.control.readings import Asked

WINDOW: Final = 900
"""Seconds of which requests are counted."""


@examples("""
    meshctl api ls
    meshctl api ls -o json
""")
def ls(session: Session, output: OutputOption = Output.TABLE) -> None:
    """List the versions of every API: which is the default, how long each has to live, and how much it is asked for.

    Requests are those of the last 15 minutes, in all running gateways; nobody needs to run for the rest."""
    from meshctl import clock
    from meshctl.control.apis import configured, in_use

    with session.store() as store:
        mesh = configured(store)
    now = clock.wall()
    asked = _readings(session) if mesh.apis else None
    found = in_use(mesh, asked.readings if asked is not None else None, now)
    for why in asked.silent.values() if asked is not None else ():
        session.terminal.warn(f"{why}: what it counted is missing")
    if output is Output.JSON:
        session.terminal.document(found)
        return
    session.terminal.table(
        ["API", "VERSION", "DEFAULT", "STATE", "REQUESTS IN 15m>", "MORE"],
        [
            (
                each.api,
                each.version,
                "yes" if each.is_default else "",
                lifetime(each, now),
                "" if each.requests is None else str(each.requests),
                each.link,
            )
            for each in found
        ],
        empty="there is no [api] in the configuration",
        spare=["MORE"],
    )


@examples("""
    meshctl api callers orders v1
    meshctl api callers orders v1 --top 5 -o json
""")
def callers(
    session: Session,
    api: Annotated[str, typer.Argument(metavar="API", help="The API.")],
    version: Annotated[str, typer.Argument(metavar="VERSION", help="One that is deprecated or has a sunset.")],
    top: Annotated[int, typer.Option("--top", metavar="N", min=1, help="Only those who came most often.")] = 50,
    output: OutputOption = Output.TABLE,
) -> None:
    """List who still calls a version of an API, how often each came since its gateway started, and when it did last.

    A caller is known by what its route's auth knows of it, by its certificate, or else by its address. A gateway's
    worker remembers the 1000 that it saw last. Callers are counted once a version is deprecated or has a sunset."""
    from meshctl import clock
    from meshctl.control.apis import configured, find, find_version, merged
    from meshctl.model.views import ApiCallerView

    with session.store() as store:
        known = find(configured(store), api)
    wanted = find_version(known, version)
    if not wanted.is_ending:
        message = f'callers of version "{wanted.name}" are not counted: it is not deprecated and has no sunset'
        raise MeshError("usage", message, hint=f"[api.{api}.versions.{wanted.name}] deprecated = 2026-01-01")
    answers = ask_running(session, "/v1/api/callers", list[ApiCallerView])
    views = merged(view for _, views in answers for view in views)
    found = [each for each in views if (each.api, each.version) == (api, wanted.name)]
    if output is Output.JSON:
        session.terminal.document(found[:top])
        return
    now = clock.wall()
    session.terminal.table(
        ["CALLER", "KNOWN BY", "REQUESTS>", "LAST SEEN>"],
        [
            (each.caller or "(unknown)", each.via, each.count, f"{span(now - each.last_seen)} ago")
            for each in found[:top]
        ],
        empty="nobody has called it since its gateways started",
    )
    if len(found) > top:
        session.terminal.say(f"{len(found) - top} more came less often")


def _readings(session: Session) -> Asked | None:
    """What running proxies counted, None where none runs."""
    from meshctl.cli.counted import DEADLINE
    from meshctl.control.readings import ask_readings

    try:
        with session.store() as store:
            return ask_readings(store, session.home().path, WINDOW, timeout=DEADLINE)
    except MeshError as error:
        if error.code != "not_running":
            raise
        return None


def lifetime(use: VersionUse, now: float) -> str:
    """How long a version has to live: "current", "deprecated, sunset in 12d 3h", "sunset 2h ago"."""
    if use.state == "gone":
        return f"gone {_days(now, use.sunset)} ago"
    if use.state == "sunset":
        return f"sunset {_days(now, use.sunset)} ago"
    words: list[str] = [use.state]
    if use.state == "current" and use.deprecated is not None:
        words.append(f"deprecated in {_days(use.deprecated, now)}")
    if use.sunset is not None:
        words.append(f"sunset in {_days(use.sunset, now)}")
    return ", ".join(words)


def _days(later: float | None, earlier: float | None) -> str:
    return span((later or 0.0) - (earlier or 0.0))
