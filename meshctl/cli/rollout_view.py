"""What a person sees of a rollout: a live view on a terminal, a line for each event in a pipe, all of it afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event as Pause
from typing import TYPE_CHECKING, Any, Final

from meshctl.cli.command import Output
from meshctl.cli.render import Cell, cells, milliseconds, rich_table, share
from meshctl.cli.session import Session
from meshctl.errors import DONE, FAILED, MeshError

if TYPE_CHECKING:
    from collections.abc import Callable

    from meshctl.control.rollout_state import Rollout
    from meshctl.model.rollout import Event, Measured
    from meshctl.store.protocol import Store

_LOOK: Final = 0.1
_COUNT_EVERY: Final = 1.0
"""Seconds between two looks at the counters, which every proxy is asked for."""
_ALONE: Final = 10.0
"""Seconds without any proxy after which nobody waits for one."""
_BAR: Final = 40
_SHOWN: Final = 8

_MARKS: Final = {"pass": "✓", "fail": "✗", "inconclusive": "?"}
_COLOURS: Final = {"pass": "green", "fail": "red", "inconclusive": "yellow"}


def watch(session: Session, store: Store, service: str, number: int, output: Output) -> int:
    """Show a rollout until it ends; the exit status. Ctrl-C asks whether it is to go on."""
    while True:
        try:
            found = _until_ended(session, store, service, number, output)
            break
        except KeyboardInterrupt:
            if not _asks_to_abort(session, service):
                return DONE if session.terminal.err.isatty() else _INTERRUPTED
            from meshctl.control.steering import abort
            from meshctl.control.who import who

            abort(store, service, who=who())
    if output is Output.JSON:
        session.terminal.document(document(found))
    else:
        session.terminal.say(_verdict(found))
    return DONE if found.phase == "promoted" else FAILED


def show(session: Session, service: str, number: int | None, output: Output) -> int:
    """Show the rollout that runs until it ends, or what became of the last one, or of an earlier one."""
    from meshctl.control.rollout_state import past, rollout
    from meshctl.control.weights import known_service

    with session.store() as store:
        known_service(store, service)
        last = rollout(store, service)
        if last is None:
            hint = f"start one with `meshctl traffic rollout {service} --to VERSION`"
            raise MeshError("not_found", f'there was no rollout of "{service}"', hint=hint)
        if number is None and not last.has_ended and output is Output.TABLE:
            return watch(session, store, service, last.number, output)
        every = [last, *past(store, service)]
        found = next((each for each in every if number in (None, each.number)), None)
        if found is None:
            numbers = ", ".join(str(each.number) for each in every)
            raise MeshError("not_found", f'there is no rollout {number} of "{service}"', hint=f"there are: {numbers}")
    if output is Output.JSON:
        session.terminal.document(document(found))
        return DONE
    _show(session, found)
    return DONE


def document(found: Rollout) -> dict[str, Any]:
    """A rollout as one JSON document."""
    plan = found.plan
    return {
        "service": found.service,
        "number": found.number,
        "phase": found.phase,
        "to": plan.to,
        "weight": found.weight,
        "step": found.step + 1,
        "before": found.start,
        "began": found.began,
        "by": found.who,
        "plan": plan,
        "events": found.log,
    }


def line(event: Event, to: str, *, is_short: bool = False) -> str:
    """An event in one line, for pipes and logs; with `is_short` without the day, for who watches."""
    from meshctl import clock

    since, until = (11, 19) if is_short else (0, None)
    what = f"{event.kind} {event.verdict}" if event.verdict else event.kind
    often = f" ({event.count} times)" if event.count > 1 else ""
    text = f"  {event.text}{often}" if event.text else ""
    return f"{clock.timestamp(event.at)[since:until]}  {what:<18}  {to} {event.weight:g}%{text}"


_INTERRUPTED: Final = 130


def _until_ended(session: Session, store: Store, service: str, number: int, output: Output) -> Rollout:
    """The rollout when it has ended, shown until then."""
    from meshctl import clock
    from meshctl.control.acks import proxies
    from meshctl.control.rollout_state import rollout

    pause = Pause()
    alone = 0.0
    with _display(session, store, output) as refresh:
        while True:
            found = rollout(store, service)
            if found is None or found.number != number:
                raise MeshError("not_found", f'rollout {number} of "{service}" is over: there is another one now')
            refresh(found)
            if found.has_ended and not found.due:
                return found
            now = clock.monotonic()
            alone = 0.0 if proxies(store) else alone or now
            if alone and now - alone > _ALONE:
                if found.has_ended:
                    return found
                hint = "it goes on when a gateway or sidecar of this home is started"
                raise MeshError("not_running", f"nothing runs any more that could drive {found.origin}", hint=hint)
            pause.wait(_LOOK)


def _asks_to_abort(session: Session, service: str) -> bool:
    """Whether the person at the terminal wants it aborted; without one it is left running."""
    import sys

    terminal = session.terminal
    if sys.stdin.isatty():
        try:
            if terminal.ask("\nleave it running, or abort it? [L/a]").startswith("a"):
                return True
        except KeyboardInterrupt:
            terminal.say("")
    terminal.say(f"it goes on: `meshctl traffic rollout {service}` shows it, `meshctl traffic abort {service}` ends it")
    return False


@contextmanager
def _display(session: Session, store: Store, output: Output) -> Iterator[Callable[[Rollout], None]]:
    terminal = session.terminal
    if output is Output.JSON:
        yield lambda _found: None
    elif terminal.can_redraw:
        page = _Page(store)
        with terminal.page(page.render) as live:

            def redraw(found: Rollout) -> None:
                page.found = found
                live.refresh()

            yield redraw
    else:
        seen: list[tuple[float, str]] = []

        def tell(found: Rollout) -> None:
            for event in found.log:
                # What is found again and again is one event, told once.
                if (event.at, event.kind) not in seen:
                    seen.append((event.at, event.kind))
                    terminal.data(line(event, found.plan.to))

        yield tell


class _Page:
    """The live view, drawn anew several times a second."""

    def __init__(self, store: Store) -> None:
        self.found: Rollout | None = None
        self._store = store
        self._counted_at = 0.0
        self._new: Measured | None = None
        self._old: Measured | None = None
        self._step = (-1, 0.0)

    def render(self) -> Any:
        """What is to be seen now."""
        from rich.console import Group
        from rich.text import Text

        found = self.found
        if found is None:
            return ""
        self._count(found)
        parts: list[Any] = [
            Text.assemble((found.service, "bold"), f"  {found.origin}  {_state(found)}"),
            "",
            _bar(found),
        ]
        if self._new is not None and self._old is not None:
            parts += ["", _sides(found, self._new, self._old)]
        parts += ["", *(_event_text(event, found.plan.to) for event in found.log[-_SHOWN:])]
        if not found.has_ended:
            parts += ["", Text("Ctrl-C: leave it running, or abort it", style="dim")]
        return Group(*parts)

    def _count(self, found: Rollout) -> None:
        """What both sides did since counting began, looked at once a second."""
        from meshctl import clock
        from meshctl.control.rollouts import measured
        from meshctl.control.splits import count

        now = clock.monotonic()
        if found.has_ended or not found.since or now - self._counted_at < _COUNT_EVERY:
            return
        self._counted_at = now
        self._new, self._old = measured(found, count(self._store, found.service))


def _state(found: Rollout) -> str:
    from meshctl import clock
    from meshctl.core.rollout import time_left
    from meshctl.model.units import format_duration

    if found.phase != "running":
        return {"ramping": "going back", "rolled_back": "rolled back"}.get(found.phase, found.phase)
    until = found.check_at - clock.wall() if found.since else found.plan.every
    left = format_duration(round(time_left(found.plan, found.step, until)))
    return f"step {found.step + 1} of {len(found.plan.steps)}, check in {max(until, 0):.0f}s, {left} left if all pass"


def _bar(found: Rollout) -> Any:
    from rich.text import Text

    filled = round(found.weight / 100 * _BAR)
    colour = {"promoted": "green", "rolled_back": "red", "aborted": "red"}.get(found.phase, "cyan")
    bar = Text.assemble((("█" * filled), colour), ("░" * (_BAR - filled), "dim"))
    return Text.assemble(f"{found.plan.to} ", bar, f" {found.weight:g}%")


def _sides(found: Rollout, new: Measured, old: Measured) -> Any:
    others = found.plan.compare if found.plan.compare not in ("", "baseline") else "the others"
    rows: list[tuple[Cell, ...]] = [
        (name, each.requests, share(each.error_rate) if each.requests else "", milliseconds(each.p99))
        for name, each in ((found.plan.to, new), (others, old))
    ]
    return rich_table(["SINCE THE STEP", "REQUESTS>", "ERRORS>", "P99>"], [cells(row) for row in rows])


def _event_text(event: Event, to: str) -> Any:
    from rich.text import Text

    mark = _MARKS.get(event.verdict or "", "·")
    return Text.assemble((mark, _COLOURS.get(event.verdict or "", "")), " ", line(event, to, is_short=True))


def _show(session: Session, found: Rollout) -> None:
    from meshctl import clock
    from meshctl.model.units import format_duration, format_percent

    plan = found.plan
    terminal = session.terminal
    p99 = f", p99 at most {format_duration(plan.max_p99)}" if plan.max_p99 else ""
    compared = f", compared with {plan.compare}" if plan.compare else ""
    limits = f"at most {format_percent(plan.max_errors)} errors{p99}{compared}, in {plan.min_requests} requests or more"
    terminal.pairs(
        [
            ("service", found.service),
            ("rollout", f"{found.number}, to {plan.to}: {found.phase.replace('_', ' ')}"),
            ("began", f"{clock.timestamp(found.began)}, by {found.who}"),
            ("steps", f"{', '.join(f'{each:g}%' for each in plan.steps)}, a check every {format_duration(plan.every)}"),
            ("limits", limits),
        ]
    )
    terminal.data("")
    terminal.data("\n".join(line(event, plan.to) for event in found.log))


def _verdict(found: Rollout) -> str:
    if found.phase == "promoted":
        return f"{found.plan.to} is promoted: it has all the traffic of {found.service}"
    reason = next((event.text for event in reversed(found.log) if event.kind == "end"), "")
    return f"{found.origin}: {reason}; {found.plan.to} gets {found.weight:g}% as before"
