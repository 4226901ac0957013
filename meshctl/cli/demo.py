"""`meshctl demo`: a gateway in front of small real services, with traffic to look at."""

from __future__ import annotations

import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from threading import Event
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from meshctl.cli.command import examples
from meshctl.cli.session import Session
from meshctl.errors import DONE, FAILED, MeshError

if TYPE_CHECKING:
    from meshctl.cli.demo_stage import Stage
    from meshctl.cli.demo_traffic import Traffic
    from meshctl.model.views import RouteView

_REFRESH: Final = 0.5
_PLAIN_EVERY: Final = 2.0

_TRY: Final = """\
The demo runs at {url}  (two services, two versions of one; Ctrl-C ends it all). Try in another terminal:

  curl {url}/                             the service web
  curl {url}/v1/orders                    90 % orders v1, 10 % v2
  curl -H 'x-beta: yes' {url}/v1/orders   always v2
  curl -i {url}/orders.php                a redirect
  curl {admin}/metrics
  meshctl routes ls --home {home}
  meshctl routes explain GET /v1/orders --home {home}
  meshctl services show orders --home {home}
  meshctl gateway logs -f --home {home}
"""


@examples("""
    meshctl demo
    meshctl demo --for 10s
""")
def demo(
    session: Session,
    duration: Annotated[
        str | None, typer.Option("--for", metavar="DURATION", help='End by itself after this long, "10s" for one.')
    ] = None,
) -> int:
    """Run a gateway in front of two small services, one in two versions, with live traffic to look at.

    All of it is real: processes, sockets, a mesh.toml in a temporary folder. Ctrl-C ends everything and leaves
    nothing."""
    from meshctl.cli.demo_stage import Stage
    from meshctl.cli.demo_traffic import Traffic

    seconds = _seconds(duration)
    session.terminal.say("starting two services and a gateway …")
    with _ended_by_signals(), Stage() as stage:
        assert stage.record is not None
        session.terminal.say(_TRY.format(url=stage.url, admin=stage.record.admin, home=stage.home))
        traffic = Traffic(stage.url)
        traffic.start()
        try:
            _watch(session, stage, traffic, seconds)
        except KeyboardInterrupt:
            # Ctrl-C is how a demo ends.
            pass
        finally:
            traffic.stop()
    session.terminal.data(f"{_counts(traffic)}; everything is stopped")
    return FAILED if traffic.failed else DONE


def _watch(session: Session, stage: Stage, traffic: Traffic, seconds: float | None) -> None:
    """Show the traffic until the time is up, for ever without one."""
    from meshctl import clock

    on_terminal = session.terminal.out.isatty()
    every = _REFRESH if on_terminal else _PLAIN_EVERY
    deadline = clock.monotonic() + seconds if seconds is not None else float("inf")
    pause = Event()
    show = _live(session, stage, traffic) if on_terminal else _plain(session, stage, traffic)
    with show as refresh:
        while (left := deadline - clock.monotonic()) > 0:
            pause.wait(min(every, left))
            stage.check()
            refresh()


@contextmanager
def _live(session: Session, stage: Stage, traffic: Traffic) -> Iterator[Any]:
    """A table that is redrawn in place."""
    with session.terminal.page(lambda: _page(stage, traffic)) as live:
        yield live.refresh


@contextmanager
def _plain(session: Session, stage: Stage, traffic: Traffic) -> Iterator[Any]:
    """A line for each look, for pipes and logs."""

    def line() -> None:
        from meshctl.cli.render import milliseconds, number

        orders = [route for route in _routes(stage) if route.name == "orders"]
        figures = f"; orders {number(orders[0].rps)} rps, p99 {milliseconds(orders[0].p99)}" if orders else ""
        session.terminal.data(f"{_counts(traffic)}{figures}")

    yield line


def _page(stage: Stage, traffic: Traffic) -> Any:
    from rich.console import Group

    from meshctl.cli.render import cells, rich_table
    from meshctl.cli.routes import COLUMNS, route_row

    table = rich_table(COLUMNS, [cells(route_row(route)) for route in _routes(stage)])
    return Group(table, "", f"{_counts(traffic)}")


def _routes(stage: Stage) -> Sequence[RouteView]:
    import msgspec

    from meshctl.control.client import ask
    from meshctl.model.views import RouteView

    assert stage.record is not None
    try:
        return msgspec.json.decode(ask(stage.record, "GET", "/v1/routes"), type=list[RouteView])
    except MeshError:
        # A busy machine may be late with figures; whether the gateway still runs is the stage's question.
        return ()


def _counts(traffic: Traffic) -> str:
    failed = f"{traffic.failed} failed" + (f" (last: {traffic.failure})" if traffic.failed else "")
    return f"{traffic.sent} requests, {failed}; {_shares(traffic)}"


def _shares(traffic: Traffic) -> str:
    counts = sorted(traffic.versions.items())
    whole = sum(count for _, count in counts) or 1
    return "orders " + (", ".join(f"{name} {count / whole:.0%}" for name, count in counts) or "has not answered yet")


def _seconds(duration: str | None) -> float | None:
    from meshctl.model.units import parse_duration

    if duration is None:
        return None
    try:
        return parse_duration(duration)
    except ValueError as error:
        raise MeshError("usage", f'"{duration}" is no duration: {error}', hint="meshctl demo --for 10s") from error


@contextmanager
def _ended_by_signals() -> Iterator[None]:
    """Let SIGTERM and SIGHUP end the demo as Ctrl-C does: in order."""
    before = {number: signal.signal(number, signal.default_int_handler) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
