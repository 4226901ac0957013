"""`meshctl top`: the kinds of requests there are most of, live."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from meshctl.cli.command import Output, OutputOption, duration, examples
from meshctl.cli.render import Row, fitted_table, number, share
from meshctl.cli.session import Session
from meshctl.cli.tap_options import (
    FromOption,
    HeaderOption,
    MethodOption,
    PathOption,
    ServiceArgument,
    SlowOption,
    StatusOption,
    ToOption,
    finder,
    wanted,
)
from meshctl.errors import MeshError
from meshctl.observe.quoting import clean

if TYPE_CHECKING:
    from meshctl.control.watching import Heard, Watch
    from meshctl.observe.busiest import Busiest

COLUMNS: Final = ("SOURCE", "DESTINATION", "METHOD", "PATH", "COUNT>", "BEST>", "WORST>", "LAST>", "SUCCESS>")
KEYS: Final = "q quit · p pause · s sort · / filter · r begin anew"
_TICK: Final = 0.25
_TIMES: Final = slice(5, 8)
_SORTS: Final = ("count", "best", "worst", "last", "success")


@examples("""
    meshctl top
    meshctl top orders --sort worst
    meshctl top --status 5xx --for 10s -o json
""")
def top(
    session: Session,
    services: ServiceArgument = None,
    sources: FromOption = None,
    destinations: ToOption = None,
    methods: MethodOption = None,
    paths: PathOption = None,
    statuses: StatusOption = None,
    headers: HeaderOption = None,
    slow: SlowOption = "",
    max_rate: Annotated[
        float, typer.Option("--max-rate", metavar="RATE", help="Requests a second that each worker tells of at most.")
    ] = 1000.0,
    sort: Annotated[
        str, typer.Option("--sort", metavar="count|best|worst|last|success", help="What stands first.")
    ] = "count",
    every: Annotated[
        str, typer.Option("--every", metavar="DURATION", help="How often plain lines are written.")
    ] = "2s",
    seconds: Annotated[
        str, typer.Option("--for", metavar="DURATION", help="End after this time (default: go on).")
    ] = "",
    output: OutputOption = Output.TABLE,
) -> None:
    """Show which kinds of requests there are most of, live: who calls whom, with what, how often, how fast, how well.

    Numbers and other names of single things in paths become "*". Keys: q quits, p pauses, s sorts by the next column, /
    filters by a text, r begins anew. In a pipe it writes the table again and again; -o json writes one document at the
    end. Where there are more requests than --max-rate those beyond are not counted, and how many they are is told."""
    from meshctl.cli.top_page import Page
    from meshctl.control.watching import Watch
    from meshctl.observe.busiest import Busiest

    if sort not in _SORTS:
        raise MeshError("usage", f'--sort: "{sort}" is no column', hint=f"there are: {', '.join(_SORTS)}")
    asked = wanted(services, sources, destinations, methods, paths, statuses, headers, slow, max_rate)
    period, lasting = duration("--every", every), duration("--for", seconds) if seconds else float("inf")
    found = Busiest()
    with Watch(finder(session), asked) as watch:
        try:
            if output is Output.TABLE and session.terminal.out.isatty():
                Page(session, found, sort).run(watch, lasting)
            else:
                _plain(session, found, sort, watch, lasting, period if output is Output.TABLE else float("inf"))
        except KeyboardInterrupt:
            pass
    if output is Output.JSON:
        rows = [document(busy) for busy in found.rows(sort)]
        session.terminal.document({"rows": rows, "skipped": found.skipped})


def _plain(session: Session, found: Busiest, sort: str, watch: Watch, lasting: float, period: float) -> None:
    """The table again and again, without a terminal."""
    from meshctl import clock

    began = shown = clock.monotonic()
    while (now := clock.monotonic()) - began < lasting:
        take(session, found, watch.hear(min(_TICK, lasting - (now - began))))
        if now - shown >= period:
            shown = now
            tell(session, found, sort)
        if not len(watch):
            session.terminal.say("no proxy is left to look at")
            break
    if period < float("inf") and len(found):
        tell(session, found, sort)


def take(session: Session, found: Busiest, heard: Heard) -> None:
    """Count what was heard."""
    found.skipped += heard.skipped
    for record, why in heard.lost:
        session.terminal.say(f"{record.id}: {why or 'has ended'}")
    for _, event in heard.seen:
        found.add(event)


def tell(session: Session, found: Busiest, sort: str) -> None:
    """Write the table as it is now."""
    session.terminal.table(COLUMNS, rows(found, sort), empty="no requests so far")
    session.terminal.data("")
    if found.skipped:
        session.terminal.say(f"{found.skipped} more are not counted: --max-rate")


def rows(found: Busiest, sort: str, text: str = "") -> list[Row]:
    """The rows under `COLUMNS`."""
    return [
        (
            busy.source or "–", busy.destination or "–", busy.method, busy.path, busy.count, microseconds(busy.best),
            microseconds(busy.worst), microseconds(busy.last), share(busy.success),
        )
        for busy in found.rows(sort, text)
    ]  # fmt: skip


def document(busy: Any) -> dict[str, Any]:
    """A row as JSON has it."""
    import msgspec

    return {**msgspec.to_builtins(busy), "success": busy.success}


def microseconds(count: int) -> str:
    """A latency for people: "840µs", "1.4ms", "2.1s"."""
    if count < 1_000:
        return f"{count}µs"
    return f"{number(count / 1e3)}ms" if count < 1_000_000 else f"{number(count / 1e6)}s"


def table(found: Busiest, sort: str, text: str, most: int, width: int) -> Any:
    """The first `most` rows as a rich table that fits into `width`."""
    texts = [[clean(str(cell)) for cell in row] for row in rows(found, sort, text)[:most]]
    for row in texts:
        # Latencies come and go by a digit: columns are not to jump with them, nor to be there now and gone then.
        row[_TIMES] = [cell.rjust(len("14.3ms")) for cell in row[_TIMES]]
    columns = [name.replace(">", " ▾>") if name.lower().rstrip(">") == sort else name for name in COLUMNS]
    return fitted_table(columns, texts, width, spare=("LAST", "BEST"))[0]
