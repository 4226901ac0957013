"""`meshctl traffic`: which version of a service takes how much, live: shown, shifted, and taken back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from meshctl.cli.changes import TimeoutOption
from meshctl.cli.command import Output, OutputOption, examples
from meshctl.cli.follow import await_live, settle_live
from meshctl.cli.render import milliseconds, share
from meshctl.cli.rollout import ForceOption, ServiceArgument, skip_the_rest
from meshctl.cli.session import Session
from meshctl.cli.steered import steered

if TYPE_CHECKING:
    from meshctl.control.splits import SplitView
    from meshctl.control.weights import Decide, Moved
    from meshctl.model.weights import Shares
    from meshctl.store.protocol import Store


@examples("""
    meshctl traffic split orders
    meshctl traffic split orders -o json
""")
def split(session: Session, service: ServiceArgument, output: OutputOption = Output.TABLE) -> None:
    """Show how a service's traffic is split: each version's weight in the file and live, its healthy endpoints, and
    what it really got in the last minute, over all running proxies."""
    from meshctl.control.splits import split as view_of

    with session.store() as store:
        view = view_of(store, service)
    for proxy in view.silent:
        session.terminal.warn(f'proxy "{proxy}" did not answer: what it sent where is not counted')
    if output is Output.JSON:
        session.terminal.document(view)
        return
    _show(session, view)


@examples("""
    meshctl traffic shift orders v2=10
    meshctl traffic shift orders v2=10 v3=5
    meshctl traffic shift orders v1=1 v2=1
""")
def shift(
    session: Session,
    service: ServiceArgument,
    weights: Annotated[
        list[str], typer.Argument(metavar="VERSION=WEIGHT…", help="Percent of the traffic: v2=10. Several at once.")
    ],
    force: ForceOption = False,
    timeout: TimeoutOption = 10.0,
    output: OutputOption = Output.TABLE,
) -> int:
    """Change the weights of a service's versions in every running proxy, now, and wait until all have them.

    What is left of 100 goes to the other versions, in the proportions they have. Where every version is given the
    numbers are proportions. mesh.toml stays as it is: live weights hold until `traffic reset`, over every apply."""
    from meshctl.core.shift import parse, shifted

    given = parse(weights)
    what = f"shift {' '.join(f'{version}={weight:g}' for version, weight in given.items())}"

    def decide(now: Shares, declared: Shares) -> Shares:
        return shifted(now, given, declared)

    return _change(session, service, decide, what, force=force, timeout=timeout, output=output)


@examples("""
    meshctl traffic promote orders v2
    meshctl traffic promote orders
""")
def promote(
    session: Session,
    service: ServiceArgument,
    version: Annotated[
        str | None, typer.Argument(metavar="VERSION", help="One of its versions (default: that of its rollout).")
    ] = None,
    force: ForceOption = False,
    timeout: TimeoutOption = 10.0,
    output: OutputOption = Output.TABLE,
) -> int:
    """Send all of a service's traffic to one version (blue/green), and wait until every running proxy does.

    Without a version: skip the rest of the rollout that runs."""
    from meshctl.core.shift import promoted

    if version is None:
        return skip_the_rest(session, service, timeout, output)

    def decide(now: Shares, _declared: Shares) -> Shares:
        return promoted(now, version)

    return _change(session, service, decide, f"promote {version}", force=force, timeout=timeout, output=output)


@examples("""
    meshctl traffic rollback orders
""")
def rollback(
    session: Session,
    service: ServiceArgument,
    force: ForceOption = False,
    timeout: TimeoutOption = 10.0,
    output: OutputOption = Output.TABLE,
) -> int:
    """Bring back the weights before the last change, in every running proxy; again, and it goes back one further."""
    return _change(session, service, None, "", force=force, timeout=timeout, output=output)


@examples("""
    meshctl traffic reset orders
""")
def reset(
    session: Session,
    service: ServiceArgument,
    force: ForceOption = False,
    timeout: TimeoutOption = 10.0,
    output: OutputOption = Output.TABLE,
) -> int:
    """Drop a service's live weights: those of the file hold again, in every running proxy."""
    return _change(session, service, lambda _now, _declared: {}, "reset", force=force, timeout=timeout, output=output)


@examples("""
    meshctl traffic history orders
    meshctl traffic history orders -n 5 -o json
""")
def history(
    session: Session,
    service: ServiceArgument,
    limit: Annotated[int, typer.Option("--lines", "-n", metavar="N", min=1, help="How many, newest first.")] = 20,
    output: OutputOption = Output.TABLE,
) -> None:
    """List what was done to a service's weights, newest first: when, by whom, and the weights before and after."""
    from meshctl import clock
    from meshctl.control.weights import history as changes
    from meshctl.control.weights import known_service

    with session.store() as store:
        known_service(store, service)
        found = changes(store, service, limit)
    if output is Output.JSON:
        session.terminal.document(found)
        return
    rows = [
        (each.number, clock.timestamp(each.at), each.who, each.what, percents(each.before), percents(each.after))
        for each in found
    ]
    empty = f'the weights of "{service}" were never changed: those of the file hold'
    session.terminal.table(["#>", "WHEN", "BY", "WHAT", "BEFORE", "AFTER"], rows, empty=empty)


def percents(weights: Shares) -> str:
    """Weights in a line: `v1 90% v2 10%`; versions that get nothing are left out."""
    return " ".join(f"{name} {share(weight / 100)}" for name, weight in weights.items() if weight)


def _show(session: Session, view: SplitView) -> None:
    from meshctl import clock

    terminal = session.terminal
    changed = view.changed
    said = f"{changed.what}, by {changed.who}, {clock.timestamp(changed.at)}" if changed else ""
    where = "live, in the place of the file's" if view.is_live else "the file's"
    also = steered(view.faults, [view.mirror] if view.mirror else [])
    terminal.pairs([("service", view.service), ("weights", where), ("changed", said), ("rollout", view.rollout), *also])
    terminal.data("")
    terminal.table(
        ["VERSION", "FILE>", "LIVE>", "LAST MINUTE>", "REQUESTS>", "ERRORS>", "P50>", "P99>", "HEALTHY"],
        [
            (
                each.version,
                share(each.file / 100),
                share(each.live / 100),
                "" if each.share is None else share(each.share),
                each.requests,
                share(each.errors / (each.requests - each.given_up)) if each.requests > each.given_up else "",
                milliseconds(each.p50),
                milliseconds(each.p99),
                f"{'?' if each.healthy is None else each.healthy}/{each.endpoints}",
            )
            for each in view.versions
        ],
    )
    if not view.proxies:
        terminal.say("nothing runs in this home: the next proxy starts with these weights")


def _change(
    session: Session, service: str, decide: Decide | None, what: str, *, force: bool, timeout: float, output: Output
) -> int:
    """Make a change, or take the last one back where there is nothing to `decide`; the exit status."""
    from meshctl.control import weights as door
    from meshctl.control.rollout_state import none_runs
    from meshctl.control.splits import check_healthy
    from meshctl.control.splits import split as view_of
    from meshctl.control.who import who

    with session.store() as store:
        view = view_of(store, service)
        free = none_runs(store, service)

        def check(before: Shares, after: Shares) -> None:
            if not force:
                check_healthy(view, before, after)

        if decide is None:
            moved = door.rollback(store, service, who=who(), check=check, expect=[free])
        else:
            moved = door.change(store, service, decide, who=who(), what=what, check=check, expect=[free])
        return _told(session, store, moved, timeout, output)


def _told(session: Session, store: Store, moved: Moved, timeout: float, output: Output) -> int:
    """Show what a change did, wait until it is live, and give the exit status."""
    terminal = session.terminal
    if output is Output.TABLE:
        terminal.table(
            ["VERSION", "BEFORE>", "AFTER>"],
            [(name, share(weight / 100), share(moved.after[name] / 100)) for name, weight in moved.before.items()],
        )
    if moved.unchanged:
        terminal.say("these weights hold already")
    followers = await_live(session, store, moved.revision, timeout)
    if output is Output.JSON:
        terminal.document(
            {
                "service": moved.service,
                "before": moved.before,
                "after": moved.after,
                "unchanged": moved.unchanged,
                "revision": moved.revision,
                "proxies": followers,
            }
        )
    return settle_live(followers)
