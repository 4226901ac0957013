"""`meshctl limits`: what callers have used of the quotas of routes, and giving it back to them."""

from __future__ import annotations

from typing import Annotated

import typer

from meshctl.cli.command import Output, OutputOption, examples
from meshctl.cli.session import Session
from meshctl.errors import MeshError

RouteOption = Annotated[str, typer.Option("--route", metavar="ROUTE", help="Only of this route.")]


@examples("""
    meshctl limits ls
    meshctl limits ls --route orders -o json
""")
def ls(session: Session, route: RouteOption = "", output: OutputOption = Output.TABLE) -> None:
    """List the quotas that were used in the day or month that runs: by whom, how much, and when they begin anew.

    A gateway writes down what it has counted once a second."""
    from meshctl import clock
    from meshctl.control.quotas import in_use
    from meshctl.model.units import format_duration

    with session.store() as store:
        found = in_use(store, session.home().path, route)
    if output is Output.JSON:
        session.terminal.document(found)
        return
    now = clock.wall()
    session.terminal.table(
        ["ROUTE", "QUOTA", "KEY", "USED>", "OF>", "LEFT>", "IN", "ENDS IN>"],
        [
            (
                each.route,
                each.quota,
                each.key or "all",
                str(each.used),
                str(each.limit),
                str(each.left),
                each.period,
                format_duration(max(0.0, each.ends - now) // 60 * 60),
            )
            for each in found
        ],
        empty="nobody has used any quota",
    )


@examples("""
    meshctl limits reset orders --key 203.0.113.7
    meshctl limits reset orders --quota month-per-key
    meshctl limits reset orders --all
""")
def reset(
    session: Session,
    route: Annotated[str, typer.Argument(metavar="ROUTE", help="The route.")],
    quota: Annotated[str, typer.Option("--quota", metavar="NAME", help="Only this quota.")] = "",
    key: Annotated[str, typer.Option("--key", metavar="KEY", help="Only what this caller used.")] = "",
    everything: Annotated[bool, typer.Option("--all", help="What anybody has used of any quota.")] = False,
    output: OutputOption = Output.TABLE,
) -> None:
    """Give callers back what they have used of a route's quotas. Every running gateway of this home follows within a
    second or two."""
    from meshctl.control.quotas import give_back
    from meshctl.control.who import who

    if not (quota or key or everything):
        raise MeshError("usage", "whose use of which quota?", hint="give --key, --quota or --all")
    with session.store() as store:
        found = give_back(store, session.home().path, route, quota, key, who=who())
    if output is Output.JSON:
        session.terminal.document(found)
        return
    for each in found:
        session.terminal.say(f"{each.route}: {each.quota} of {each.key or 'all'} begins anew, {each.used} given back")
    if not found:
        session.terminal.say("nobody has used any of that")
