"""`meshctl demo`: a gateway, and small real services wrapped by sidecars, with traffic to look at."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event
from typing import TYPE_CHECKING, Annotated, Final

import typer

from meshctl.cli.command import examples
from meshctl.cli.session import Session
from meshctl.errors import DONE, FAILED, MeshError

if TYPE_CHECKING:
    from meshctl.cli.demo_stage import Stage
    from meshctl.cli.demo_traffic import Traffic

_REFRESH: Final = 0.5
_PLAIN_EVERY: Final = 2.0

_TRY: Final = """\
The demo runs at {url}; Ctrl-C ends all of it.
Try in another terminal:

  export MESHCTL_HOME={home}
  curl {url}/                             web, which asks orders
  curl {url}/v1/orders                    orders, 90 % v1
  curl -H 'x-beta: yes' {url}/v1/orders   always v2
  meshctl traffic shift orders v2=50
  meshctl certs rotate
  meshctl certs ls
  meshctl sidecar ls
  meshctl routes explain GET /v1/orders
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
    """Run a gateway and two wrapped services, one in two versions, with live traffic.

    The services know nothing of each other but their names; what goes between them is mutual TLS. All of it is real:
    processes, sockets, certificates, a mesh.toml in a temporary folder. Ctrl-C ends everything and leaves nothing."""
    from meshctl.cli.demo_stage import Stage
    from meshctl.cli.demo_traffic import Traffic

    seconds = _seconds(duration)
    session.terminal.say("starting a gateway and three sidecars with their apps …")
    with _ended_by_signals(), Stage() as stage:
        session.terminal.say(_TRY.format(url=stage.url, home=stage.home))
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

    on_terminal = session.terminal.can_redraw
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
def _live(session: Session, stage: Stage, traffic: Traffic) -> Iterator[Callable[[], None]]:
    """Tables that are redrawn in place."""
    from meshctl.cli.demo_page import look, page

    with session.terminal.page(lambda: page(look(stage), _counts(traffic))) as live:
        yield live.refresh


@contextmanager
def _plain(session: Session, stage: Stage, traffic: Traffic) -> Iterator[Callable[[], None]]:
    """A line for each look, for pipes and logs."""
    from meshctl.cli.demo_page import line, look

    yield lambda: session.terminal.data(line(look(stage), _counts(traffic)))


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
