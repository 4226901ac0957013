"""`meshctl traffic mirror`: copies of a service's requests for one of its versions, and whether it answers the same."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from meshctl.cli.changes import TimeoutOption
from meshctl.cli.command import Output, OutputOption, examples
from meshctl.cli.follow import await_live, settle_live
from meshctl.cli.render import share
from meshctl.cli.session import Session
from meshctl.errors import DONE, MeshError

if TYPE_CHECKING:
    from meshctl.control.mirrors import MirrorView
    from meshctl.model.steering import Mirror


@examples("""
    meshctl traffic mirror orders --to v2
    meshctl traffic mirror orders --to v2 --percent 100 --diff --ignore '$..updated_at'
    meshctl traffic mirror orders
    meshctl traffic mirror orders --stop
""")
def mirror(
    session: Session,
    service: Annotated[
        str | None, typer.Argument(metavar="SERVICE", help="The service (default: show the mirrors of all).")
    ] = None,
    to: Annotated[str, typer.Option("--to", metavar="VERSION", help="Who gets the copies.")] = "",
    percent: Annotated[
        float | None,
        typer.Option("--percent", metavar="PERCENT", min=0, max=100, help="Of the requests (default: 10)."),
    ] = None,
    diff: Annotated[
        bool, typer.Option("--diff", help="Compare status, content type and body with what the callers got.")
    ] = False,
    ignore: Annotated[
        list[str] | None,
        typer.Option("--ignore", metavar="JSONPATH", help="What may differ in JSON: '$..id'. May be given again."),
    ] = None,
    header: Annotated[
        list[str] | None,
        typer.Option("--header", metavar="NAME", help="Compare this header, too. May be given again."),
    ] = None,
    all_methods: Annotated[
        bool, typer.Option("--all-methods", help="Copy requests that change something, too: they do so twice.")
    ] = False,
    stop: Annotated[bool, typer.Option("--stop", help="Make no more copies.")] = False,
    timeout: TimeoutOption = 10.0,
    output: OutputOption = Output.TABLE,
) -> int:
    """Copy a share of a service's requests to a version, whose answers nobody gets; without --to, show what came of it.

    A copy is sent when the original is over and carries `X-Meshctl-Mirror: 1`. It can neither slow nor fail the
    original, and counts nowhere else. Only methods that change nothing are copied. Holds until --stop."""
    if stop and (to or diff or ignore or header or all_methods or percent is not None):
        raise MeshError("usage", "--stop ends a mirror and begins none", hint="give either --stop or --to VERSION")
    if stop:
        return _stop(session, _named(service), timeout, output)
    if not to:
        if diff or ignore or header or all_methods or percent is not None:
            raise MeshError("usage", "which version is to get the copies?", hint="name it with --to VERSION")
        return _list(session, service or "", output)
    if (ignore or header) and not diff:
        raise MeshError("usage", "--ignore and --header say what is compared", hint="give --diff, too")
    from meshctl import clock
    from meshctl.control.who import who
    from meshctl.model.steering import Mirror

    fraction = 0.1 if percent is None else percent / 100
    if not fraction:
        raise MeshError("usage", "0 % would copy nothing", hint=f"`meshctl traffic mirror {service} --stop` ends it")
    headers = tuple(dict.fromkeys(name.lower() for name in header or ()))
    made = Mirror(_named(service), to, fraction, diff, tuple(ignore or ()), headers, all_methods, who(), clock.wall())
    return _begin(session, made, timeout, output)


def _named(service: str | None) -> str:
    if service is None:
        raise MeshError("usage", "which service?", hint="meshctl traffic mirror orders --to v2")
    return service


def _begin(session: Session, made: Mirror, timeout: float, output: Output) -> int:
    from meshctl.control import mirrors as door
    from meshctl.control.splits import split

    with session.store() as store:
        revision = door.begin(store, made)
        if output is Output.TABLE:
            session.terminal.pairs([("service", made.service), ("mirror", door.described(made))])
        followers = await_live(session, store, revision, timeout, starts="this mirror")
        if not split(store, made.service).healthy(made.to):
            session.terminal.warn(f'version "{made.to}" has no healthy endpoint: copies fail until it has one')
    if output is Output.JSON:
        session.terminal.document({"mirror": made, "revision": revision, "proxies": followers})
    return settle_live(followers)


def _stop(session: Session, service: str, timeout: float, output: Output) -> int:
    from meshctl.control import mirrors as door
    from meshctl.control.who import who

    with session.store() as store:
        revision = door.stop(store, service, who=who())
        followers = await_live(session, store, revision, timeout, starts="none")
    if output is Output.JSON:
        session.terminal.document({"service": service, "mirror": None, "revision": revision, "proxies": followers})
    return settle_live(followers)


def _list(session: Session, service: str, output: Output) -> int:
    from meshctl.control import mirrors as door
    from meshctl.control.weights import known_service

    with session.store() as store:
        if service:
            known_service(store, service)
        found = door.views(store, service)
    for proxy in sorted({name for view in found for name in view.silent}):
        session.terminal.warn(f'proxy "{proxy}" did not answer: what it copied is not counted')
    if output is Output.JSON:
        session.terminal.document(found)
        return DONE
    _show(session, found)
    for view in found if service else ():
        _show_examples(session, view)
    return DONE


def _show(session: Session, found: Sequence[MirrorView]) -> None:
    session.terminal.table(
        ["SERVICE", "TO", "PERCENT>", "COPIES>", "FAILED>", "DROPPED>", "COMPARED>", "MISMATCHED>", "RATE>", "BY"],
        [
            (
                view.mirror.service,
                view.mirror.to,
                share(view.mirror.share),
                view.tally.copied,
                view.tally.failed,
                view.tally.dropped,
                view.tally.compared if view.mirror.diff else None,
                view.tally.mismatched if view.mirror.diff else None,
                None if view.mismatch_rate is None else share(view.mismatch_rate),
                view.mirror.who,
            )
            for view in found
        ],
        empty="nothing is mirrored",
        spare=("BY",),
    )


def _show_examples(session: Session, view: MirrorView) -> None:
    tally = view.tally
    if tally.uncompared:
        session.terminal.say(f"{tally.uncompared} pairs were not compared: too large, or too many at once")
    if not tally.examples:
        return
    session.terminal.data("")
    session.terminal.table(
        ["METHOD", "PATH", "WHAT", "ORIGINAL", view.mirror.to.upper()],
        [
            (example.method, example.path, each.what, each.original, each.copy)
            for example in tally.examples
            for each in example.differences
        ],
    )
