"""`meshctl traffic rollout`, and what may be done to a rollout that runs: pause, resume, abort, promote."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from meshctl.cli.changes import TimeoutOption
from meshctl.cli.command import Output, OutputOption, examples
from meshctl.cli.follow import await_live, settle_live
from meshctl.cli.session import Session
from meshctl.errors import DONE, MeshError

if TYPE_CHECKING:
    from collections.abc import Callable

    from meshctl.control.rollout_state import Rollout
    from meshctl.model.rollout import Plan
    from meshctl.store.protocol import Store

ServiceArgument = Annotated[str, typer.Argument(metavar="SERVICE", help="The service.")]


class Rollback(StrEnum):
    """How a rollout goes back."""

    NOW = "now"
    RAMP = "ramp"


def _hook(flag: str, when: str) -> object:
    return typer.Option(flag, metavar="CMD", help=f"Run by the proxy that drives it {when}.")


To = Annotated[
    str | None,
    typer.Option(
        "--to",
        metavar="VERSION",
        help="Who is to take over; without it, show the last one, and follow it while it runs.",
    ),
]
Steps = Annotated[
    str, typer.Option("--steps", metavar="PERCENT,…", help="Its shares, ascending (default: 1,5,25,50,100).")
]
Every = Annotated[str, typer.Option("--every", metavar="DURATION", help="Between two checks (default: 60s).")]
MaxErrors = Annotated[
    str, typer.Option("--max-errors", metavar="PERCENT", help="Failed requests that pass (default: 1%).")
]
MaxP99 = Annotated[
    str | None, typer.Option("--max-p99", metavar="DURATION", help="The longest p99 that passes (default: any).")
]
MinRequests = Annotated[
    int, typer.Option("--min-requests", metavar="N", min=1, help="With fewer no check passes (default: 100).")
]
Failures = Annotated[
    int, typer.Option("--failures", metavar="N", min=1, help="Failed checks in a row that roll back (default: 2).")
]
CompareTo = Annotated[
    str,
    typer.Option(
        "--compare-to", metavar="baseline|VERSION", help="What it must not be worse than, by --max-errors and latency."
    ),
]
Back = Annotated[
    Rollback, typer.Option("--rollback", metavar="now|ramp", help="Go back at once, or by the same steps.")
]
OnStep = Annotated[str, _hook("--on-step", "after each step")]
OnPromote = Annotated[str, _hook("--on-promote", "when it has everything")]
OnRollback = Annotated[str, _hook("--on-rollback", "when it goes back")]
Gate = Annotated[str, _hook("--gate", "with each check; it fails where this does")]
ForceOption = Annotated[bool, typer.Option("--force", help="Even to a version without a healthy endpoint.")]
Detach = Annotated[bool, typer.Option("--detach", help="Start it and return; the proxies drive it.")]
Number = Annotated[
    int | None, typer.Option("--number", metavar="N", min=1, help="Without --to: show this earlier one.")
]


@examples("""
    meshctl traffic rollout orders --to v2
    meshctl traffic rollout orders --to v2 --steps 5,50 --every 30s --max-errors 0.5% --max-p99 300ms
    meshctl traffic rollout orders --to v2 --compare-to baseline --rollback ramp --detach
    meshctl traffic rollout orders
""")
def rollout(
    session: Session,
    service: ServiceArgument,
    to: To = None,
    steps: Steps = "1,5,25,50,100",
    every: Every = "60s",
    max_errors: MaxErrors = "1%",
    max_p99: MaxP99 = None,
    min_requests: MinRequests = 100,
    failures: Failures = 2,
    compare_to: CompareTo = "",
    back: Back = Rollback.NOW,
    on_step: OnStep = "",
    on_promote: OnPromote = "",
    on_rollback: OnRollback = "",
    gate: Gate = "",
    force: ForceOption = False,
    detach: Detach = False,
    number: Number = None,
    output: OutputOption = Output.TABLE,
) -> int:
    """Let a version take over step by step, watched by the proxies' own counters, and take it back where it does badly.

    A check passes with enough requests, few enough errors and a short enough p99; then comes the next step. Too few
    requests prove nothing: it holds and goes on counting. Failed checks in a row bring back the weights from before.

    The proxies drive it: it goes on when this command ends, and when any of them is killed. Ends with 0 when the
    version was promoted and 1 when it was rolled back. Commands are run by the shell of the proxy that drives it, in
    this folder, and find out about it from MESHCTL_* variables."""
    from meshctl.cli.rollout_view import show, watch

    if to is None:
        return show(session, service, number, output)
    plan = _plan(to, steps, every, max_errors, max_p99)
    plan = _replace(
        plan, min_requests=min_requests, failures=failures, compare=compare_to, is_ramp=back is Rollback.RAMP,
        on_step=on_step, on_promote=on_promote, on_rollback=on_rollback, gate=gate,
    )  # fmt: skip
    with session.store() as store:
        started = _begin(session, store, service, plan, force=force)
        if detach:
            session.terminal.say(
                f"{started.origin} is running; `meshctl traffic rollout {service}` shows it, "
                f"`meshctl traffic abort {service}` ends it"
            )
            if output is Output.JSON:
                session.terminal.document({"service": service, "number": started.number})
            return DONE
        return watch(session, store, service, started.number, output)


@examples("""
    meshctl traffic pause orders
""")
def pause(session: Session, service: ServiceArgument) -> int:
    """Hold a rollout where it is: its weights stay, no check and no step is made."""
    from meshctl.control.steering import pause as steer

    return _steer(session, service, steer)


@examples("""
    meshctl traffic resume orders
""")
def resume(session: Session, service: ServiceArgument) -> int:
    """Let a paused rollout go on, counting anew for the next check."""
    from meshctl.control.steering import resume as steer

    return _steer(session, service, steer)


@examples("""
    meshctl traffic abort orders
""")
def abort(session: Session, service: ServiceArgument, timeout: TimeoutOption = 10.0) -> int:
    """Call a rollout off: bring back the weights from before it, step by step where it has --rollback ramp."""
    from meshctl.control.steering import abort as steer

    return _steer(session, service, steer, timeout=timeout)


def skip_the_rest(session: Session, service: str, timeout: float, output: Output) -> int:
    """`traffic promote` without a version."""
    from meshctl.control.steering import promote as steer
    from meshctl.control.who import who

    with session.store() as store:
        found = steer(store, service, who=who())
        session.terminal.say(f"{found.origin}: {found.plan.to} has everything")
        followers = await_live(session, store, found.revision, timeout)
    if output is Output.JSON:
        session.terminal.document(
            {"service": service, "number": found.number, "to": found.plan.to, "proxies": followers}
        )
    return settle_live(followers)


def _steer(session: Session, service: str, steer: Callable[..., Rollout], *, timeout: float | None = None) -> int:
    from meshctl.control.who import who

    with session.store() as store:
        found = steer(store, service, who=who())
        phase = {"ramping": "on its way back", "rolled_back": "rolled back"}.get(found.phase, found.phase)
        session.terminal.say(f"{found.origin} is {phase}: {found.plan.to} gets {found.weight:g}%")
        return DONE if timeout is None else settle_live(await_live(session, store, found.revision, timeout))


def _begin(session: Session, store: Store, service: str, plan: Plan, *, force: bool) -> Rollout:
    from meshctl.control.acks import proxies
    from meshctl.control.rollout_state import begin, none_runs
    from meshctl.control.splits import check_healthy
    from meshctl.control.splits import split as view_of
    from meshctl.control.who import who
    from meshctl.core.shift import check_known
    from meshctl.model.rollout import BASELINE
    from meshctl.store.protocol import Conflict

    view = view_of(store, service)
    none_runs(store, service)
    known = {each.version: each.live for each in view.versions}
    check_known(plan.to, known)
    if plan.compare not in ("", BASELINE):
        check_known(plan.compare, known)
    if plan.compare == plan.to:
        raise MeshError("usage", f'version "{plan.to}" is compared with itself', hint=f"--compare-to {BASELINE}")
    if not proxies(store):
        hint = "start one with `meshctl gateway up`"
        raise MeshError("not_running", "nothing runs in this home that could drive a rollout", hint=hint)
    if not force:
        check_healthy(view, {}, {plan.to: 1.0})
    try:
        return begin(store, service, plan, who=who())
    except Conflict as error:
        raise MeshError("conflict", f'the weights of "{service}" were changed at the same time') from error


def _plan(to: str, steps: str, every: str, max_errors: str, max_p99: str | None) -> Plan:
    """The plan that these words ask for. Raises MeshError usage."""
    from pathlib import Path

    from meshctl.model.rollout import Plan
    from meshctl.model.units import parse_duration, parse_percent

    shares = _steps(steps)
    duration = _read(every, "--every", parse_duration)
    if duration < 0.1:
        raise MeshError("usage", f'--every "{every}" is too short', hint="at least 100ms")
    errors = _read(max_errors, "--max-errors", parse_percent)
    p99 = 0.0 if max_p99 is None else _read(max_p99, "--max-p99", parse_duration)
    if max_p99 is not None and not p99:
        raise MeshError("usage", f'--max-p99 "{max_p99}" would let nothing pass', hint="leave it out to ask for none")
    return Plan(to, shares, duration, errors, p99, folder=str(Path.cwd()))


def _replace(plan: Plan, **changes: object) -> Plan:
    from msgspec.structs import replace

    return replace(plan, **changes)


def _steps(text: str) -> tuple[float, ...]:
    hint = "percentages that grow: --steps 1,5,25,50,100"
    try:
        found = tuple(float(each.strip().removesuffix("%")) for each in text.split(","))
    except ValueError:
        raise MeshError("usage", f'--steps "{text}" are no percentages', hint=hint) from None
    if not all(0 < each <= 100 for each in found) or list(found) != sorted(set(found)):
        raise MeshError("usage", f'--steps "{text}" do not grow from above 0 to at most 100', hint=hint)
    return found


def _read(text: str, option: str, parse: Callable[[str], float]) -> float:
    try:
        return parse(text)
    except ValueError as error:
        raise MeshError("usage", f'{option} "{text}": {error}') from error
