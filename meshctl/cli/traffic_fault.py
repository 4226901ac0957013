"""`meshctl traffic fault`: faults on purpose, injected by every proxy that sends to a service, always with an end."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from meshctl.cli.changes import TimeoutOption
from meshctl.cli.command import Output, OutputOption, examples
from meshctl.cli.follow import await_live, settle_live
from meshctl.cli.session import Session
from meshctl.errors import DONE, MeshError

if TYPE_CHECKING:
    from meshctl.control.following import Follower
    from meshctl.model.steering import Fault


@examples("""
    meshctl traffic fault orders --delay 300ms@20% --for 2m
    meshctl traffic fault orders --abort 503@5% --reset 1% --from web
    meshctl traffic fault
    meshctl traffic fault orders --clear
""")
def fault(
    session: Session,
    service: Annotated[
        str | None, typer.Argument(metavar="SERVICE", help="The service (default: show those of all).")
    ] = None,
    delay: Annotated[
        str, typer.Option("--delay", metavar="DURATION@PERCENT", help="Let requests wait first: 300ms@20%.")
    ] = "",
    abort: Annotated[
        str, typer.Option("--abort", metavar="STATUS@PERCENT", help="Answer with a status instead: 503@5%.")
    ] = "",
    reset: Annotated[str, typer.Option("--reset", metavar="PERCENT", help="Cut the caller's connection: 1%.")] = "",
    throttle: Annotated[
        str, typer.Option("--throttle", metavar="SIZE/s", help="Let the bodies of answers drip: 64KiB/s.")
    ] = "",
    caller: Annotated[
        str, typer.Option("--from", metavar="SERVICE", help="Only for what this service sends, or the gateway.")
    ] = "",
    lasting: Annotated[
        str, typer.Option("--for", metavar="DURATION", help="How long (default: 10m; at most 24h).")
    ] = "",
    clear: Annotated[
        bool, typer.Option("--clear", help="End them now, those --from a caller alone where given.")
    ] = False,
    timeout: TimeoutOption = 10.0,
    output: OutputOption = Output.TABLE,
) -> int:
    """Inject faults into the requests to a service, in every proxy that sends to it; without any, show what holds.

    Each share is drawn for each request; without "@" it is all of them. What is given takes the place of what the same
    callers had. It always ends, after --for, even if nobody lives to clear it."""
    from meshctl.control.faults import check_named
    from meshctl.core.faults import fault as made

    asked = delay or abort or reset or throttle or lasting
    if clear and asked:
        raise MeshError("usage", "--clear ends faults and begins none", hint="give either --clear or a fault")
    if clear:
        return _clear(session, check_named(service), caller, timeout, output)
    if not asked:
        return _list(session, service or "", caller, output)
    from meshctl import clock
    from meshctl.control.who import who

    new = made(
        check_named(service), caller=caller, delay=delay, abort=abort, reset=reset, throttle=throttle,
        lasting=lasting, who=who(), now=clock.wall(),
    )  # fmt: skip
    return _inject(session, new, timeout, output)


def _inject(session: Session, new: Fault, timeout: float, output: Output) -> int:
    from meshctl.control import faults as door

    with session.store() as store:
        revision = door.inject(store, new)
        followers = await_live(session, store, revision, timeout, starts="this fault")
    if output is Output.JSON:
        session.terminal.document(_document(new.service, [new], revision, followers))
    else:
        _show(session, [new])
    return settle_live(followers)


def _clear(session: Session, service: str, caller: str, timeout: float, output: Output) -> int:
    from meshctl.control import faults as door
    from meshctl.control.who import who

    with session.store() as store:
        revision, cleared = door.clear(store, service, caller, who=who())
        followers: Sequence[Follower] = ()
        if not cleared:
            session.terminal.say(f'"{service}" has no faults{f" from {caller}" if caller else ""}')
        if revision:
            followers = await_live(session, store, revision, timeout, starts="none")
    if output is Output.JSON:
        session.terminal.document(_document(service, [], revision, followers) | {"cleared": cleared})
    return settle_live(followers)


def _list(session: Session, service: str, caller: str, output: Output) -> int:
    from meshctl.control import faults as door
    from meshctl.control.weights import known_service

    with session.store() as store:
        if service:
            known_service(store, service)
        found = [each for each in door.faults(store, service) if not caller or each.caller == caller]
    if output is Output.JSON:
        session.terminal.document(door.views(found))
    else:
        _show(session, found)
    return DONE


def _show(session: Session, found: Sequence[Fault]) -> None:
    from meshctl import clock
    from meshctl.control.faults import views
    from meshctl.core.faults import left

    now = clock.wall()
    session.terminal.table(
        ["SERVICE", "FROM", "FAULTS", "ENDS IN>", "BY", "SINCE"],
        [
            (
                each.service,
                each.caller or "all",
                each.faults,
                left(each.fault, now),
                each.who,
                clock.timestamp(each.at),
            )
            for each in views(found)
        ],
        empty="no faults are injected",
        spare=("SINCE",),
    )


def _document(service: str, found: Sequence[Fault], revision: int, followers: Sequence[Follower]) -> dict[str, object]:
    from meshctl.control.faults import views

    return {"service": service, "faults": views(found), "revision": revision, "proxies": followers}
