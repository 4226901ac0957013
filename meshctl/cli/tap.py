"""`meshctl tap`: requests as they pass, one line each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from meshctl.cli.command import Output, OutputOption, duration, examples
from meshctl.cli.session import Session
from meshctl.cli.tap_options import (
    FromOption,
    HeaderOption,
    MethodOption,
    PathOption,
    RateOption,
    ServiceArgument,
    SlowOption,
    StatusOption,
    ToOption,
    finder,
    wanted,
)

if TYPE_CHECKING:
    from meshctl.control.watching import Heard
    from meshctl.model.tap import TapEvent
    from meshctl.model.views import ProxyRecord

_QUIET_FOR = 0.5


@examples("""
    meshctl tap
    meshctl tap orders --status 5xx --slow 200ms
    meshctl tap --from web --to orders/v2 --path /v1
    meshctl tap orders --lines 1 -o json
""")
def tap(
    session: Session,
    services: ServiceArgument = None,
    sources: FromOption = None,
    destinations: ToOption = None,
    methods: MethodOption = None,
    paths: PathOption = None,
    statuses: StatusOption = None,
    headers: HeaderOption = None,
    slow: SlowOption = "",
    max_rate: RateOption = 100.0,
    hops: Annotated[
        bool, typer.Option("--hops", help="Tell of a request at each proxy on its way, not only at the sender's.")
    ] = False,
    lines: Annotated[
        int, typer.Option("--lines", "-n", metavar="COUNT", help="End after so many (default: go on).", min=0)
    ] = 0,
    seconds: Annotated[
        str, typer.Option("--for", metavar="DURATION", help="End after this time (default: go on).")
    ] = "",
    output: OutputOption = Output.TABLE,
) -> None:
    """Show requests as they pass, one line each, live from every proxy, until Ctrl-C.

    What is given must hold all together; an option given again is met by one of its values. -o json writes a document
    for each request, on a line, with its headers. Whatever may be a secret is not shown: credentials, cookies, keys,
    queries where the access log hides them. Nothing is slowed down while nobody looks; requests beyond --max-rate, and
    more than can be shown in time, are only counted, which is told."""
    from meshctl import clock
    from meshctl.control.watching import Watch

    asked = wanted(
        services, sources, destinations, methods, paths, statuses, headers, slow, max_rate,
        hops=hops, with_headers=output is Output.JSON,
    )  # fmt: skip
    end = clock.monotonic() + duration("--for", seconds) if seconds else float("inf")
    shown = _Shown(session, output, asked.max_rate, lines)
    with Watch(finder(session), asked) as watch:
        try:
            while not shown.is_done and (left := end - clock.monotonic()) > 0:
                shown.take(watch.hear(min(left, _QUIET_FOR)), clock.monotonic())
                if not len(watch):
                    session.terminal.say("no proxy is left to look at")
                    break
        except KeyboardInterrupt:
            pass
        shown.tell_skipped()


class _Shown:
    """What is shown of what is heard: so many a second over all proxies."""

    def __init__(self, session: Session, output: Output, rate: float, lines: int) -> None:
        self._terminal = session.terminal
        self._output = output
        self._rate = rate
        self._left = lines or None
        self._credit = rate
        self._counted = self._told = 0.0
        self._skipped = 0

    @property
    def is_done(self) -> bool:
        """Whether as many were shown as were asked for."""
        return self._left == 0

    def take(self, heard: Heard, now: float) -> None:
        """Show what came."""
        self._credit = min(self._credit + (now - self._counted) * self._rate, max(self._rate, 1.0))
        self._counted = now
        self._skipped += heard.skipped
        for record, why in heard.lost:
            self._terminal.say(f"{record.id}: {why or 'has ended'}")
        for record, event in heard.seen:
            if self._credit < 1:
                self._skipped += 1
                continue
            if self.is_done:
                return
            self._credit -= 1
            self._show(record, event)
            self._left = None if self._left is None else self._left - 1
        if self._skipped and now - self._told >= 1.0:
            self.tell_skipped()
            self._told = now

    def tell_skipped(self) -> None:
        """Say how many were not shown since the last time."""
        if self._skipped:
            more = f"{self._skipped} more that were wanted are not shown"
            self._terminal.say(f"{more}: --max-rate is {self._rate:g} a second")
            self._skipped = 0

    def _show(self, record: ProxyRecord, event: TapEvent) -> None:
        if self._output is Output.JSON:
            import msgspec

            from meshctl import clock

            told = msgspec.to_builtins(event)
            document: dict[str, Any] = {"id": record.id, "time": clock.timestamp(told.pop("at")), **told}
            self._terminal.document_line(document)
        else:
            self._terminal.data(line(record.id, event))


def line(proxy: str, event: TapEvent) -> str:
    """A request in one line, in the words that Linkerd's tap has made known."""
    from meshctl import clock

    words = [
        clock.timestamp(event.at)[11:23],
        "req",
        f"id={event.request_id}",
        f"proxy={proxy}:{event.proxy}" if event.proxy != proxy else f"proxy={proxy}",
        f"src={_source(event)}",
        f"dst={_destination(event)}",
        f"tls={event.tls or '-'}",
        f":method={event.method}",
        f":authority={_word(event.host)}",
        f":path={_word(event.path)}",
        f":status={event.status}",
        f"latency={event.latency_us}µs",
        f"duration={event.duration_us}µs",
        f"response-length={event.bytes_out}B",
    ]
    words += [f"retries={event.retries}"] if event.retries else []
    words += [f"reason={event.reason}"] if event.reason else []
    return " ".join(words)


def _source(event: TapEvent) -> str:
    if event.proxy == "gateway" or not event.source:
        return event.client or "-"
    return event.source


def _destination(event: TapEvent) -> str:
    version = f"/{event.version}" if event.version and event.version != "default" else ""
    name = f"{event.destination}{version}"
    return f"{name}@{event.endpoint}" if event.endpoint else name or "-"


def _word(text: str) -> str:
    """A text that a client chose, as one word that cannot be taken for others."""
    return text.replace(" ", "%20") or "-"
