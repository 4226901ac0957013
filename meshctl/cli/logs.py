"""`meshctl logs`: what all proxies of a mesh have written, put together in the order of time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Annotated, Any, Final, NamedTuple

import typer

from meshctl.cli.command import Output, OutputOption, examples
from meshctl.cli.session import Session
from meshctl.errors import MeshError

if TYPE_CHECKING:
    from meshctl.cli.tail import Reader

LOOK: Final = 0.1
"""Seconds between two looks at followed files."""
LATE: Final = 0.5
"""Seconds that a line is held back while others may come that are older: access logs are written in batches."""


class Written(NamedTuple):
    """A line, when it was written, and by whom."""

    at: float
    turn: int
    name: str
    text: str


@examples("""
    meshctl logs
    meshctl logs orders gateway --follow
    meshctl logs --status 5xx -n 100
    meshctl logs --grep breaker_open -o json
""")
def logs(
    session: Session,
    names: Annotated[
        list[str] | None, typer.Argument(metavar="WHOSE…", help="Only of these proxies or services (default: all).")
    ] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with what is written from now on.")] = False,
    lines: Annotated[int, typer.Option("--lines", "-n", metavar="N", min=0, help="How many of the last lines.")] = 20,
    grep: Annotated[str, typer.Option("--grep", metavar="TEXT", help="Only lines in which this stands.")] = "",
    status: Annotated[
        list[str] | None, typer.Option("--status", metavar="STATUS", help="Only requests with 503, 5xx, 400-499…")
    ] = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Print the last log lines of all proxies in the order of time, each with who wrote it.

    With -f it goes on until Ctrl-C. These are the access logs that go to files, the events of gateways in the
    background, and what `up --detach` has shown, the apps' own output included. A line that does not say when it was
    written follows the one before it. Where nothing runs the files that were left are read."""
    wanted = _Wanted(grep, status)
    files = _files(session, names or [])
    if not files:
        hint = "gateways in the foreground write to their terminals; an access_log with a path goes to a file"
        raise MeshError("not_found", "there are no log files", hint=hint)
    show = _shower(session, output, width=max(map(len, files.values())) if len(files) > 1 else 0)
    sources = _open(files)
    try:
        for written in _last(sources, lines, wanted):
            show(written)
        if follow:
            for written in _following(sources, wanted):
                show(written)
    except KeyboardInterrupt:
        pass
    finally:
        for source in sources:
            source.reader.close()


class _Wanted:
    """Which lines are shown."""

    def __init__(self, grep: str, status: Sequence[str] | None) -> None:
        from meshctl.core.tap_filter import parse_status

        self._grep = grep
        try:
            self._ranges = [pair for text in status or () for pair in parse_status(text)]
        except ValueError as error:
            raise MeshError("usage", f"--status: {error}") from error

    def takes(self, line: str) -> bool:
        from meshctl.observe.log_time import status_of_line

        if self._grep not in line:
            return False
        if not self._ranges:
            return True
        found = status_of_line(line)
        return found is not None and any(low <= found <= high for low, high in self._ranges)


class _Source:
    """A file, when it was last written to, and when its last line says that it was."""

    def __init__(self, name: str, path: Path) -> None:
        from meshctl.cli.tail import Reader

        self.name = name
        self.reader: Reader = Reader(path)
        self.changed = path.stat().st_mtime if path.exists() else 0.0
        self._at = 0.0
        self._turn = 0

    def written(self, lines: Iterable[str], now: float) -> Iterator[Written]:
        """The lines with their times; `now` for those before the first that says."""
        from meshctl.observe.log_time import written_at

        for line in lines:
            self._turn += 1
            self._at = written_at(line) or self._at or now
            yield Written(self._at, self._turn, self.name, line)


def _open(files: Mapping[Path, str]) -> list[_Source]:
    return [_Source(name, path) for path, name in files.items()]


def _last(sources: Sequence[_Source], lines: int, wanted: _Wanted) -> list[Written]:
    """The last lines of all together. Of more lines than are shown most are looked at where they are filtered."""
    many = lines if wanted.takes("") else lines * 100
    found = [each for source in sources for each in source.written(source.reader.last(many), source.changed)]
    kept = sorted(each for each in found if wanted.takes(each.text))
    return kept[-lines:] if lines else []


def _following(sources: Sequence[_Source], wanted: _Wanted) -> Iterator[Written]:
    """New lines, each a moment after it was written."""
    from meshctl import clock

    pause, waiting = Event(), list[Written]()
    while True:
        now = clock.wall()
        for source in sources:
            waiting += [each for each in source.written(source.reader.fresh(), now) if wanted.takes(each.text)]
        waiting.sort()
        while waiting and waiting[0].at <= now - LATE:
            yield waiting.pop(0)
        pause.wait(LOOK)


def _shower(session: Session, output: Output, *, width: int) -> Any:
    terminal = session.terminal

    def show(written: Written) -> None:
        if output is Output.JSON:
            from meshctl import clock

            document = {"who": written.name, "time": clock.timestamp(written.at), "line": _parsed(written.text)}
            terminal.document_line(document)
        else:
            terminal.data(f"{written.name:<{width}}  {written.text}" if width else written.text)

    return show


def _parsed(line: str) -> Any:
    import msgspec

    try:
        found = msgspec.json.decode(line)
    except msgspec.DecodeError:
        return line
    return found if isinstance(found, dict) else line


def _files(session: Session, names: Sequence[str]) -> dict[Path, str]:
    """The files there are, and who writes each."""
    from meshctl.cli.proxies import running

    try:
        records = running(session)
    except MeshError as error:
        if error.code != "not_running":
            raise
        left = sorted(session.home().logs.glob("*.log"))
        return {path: path.stem for path in left if not names or path.stem in names}
    unknown = set(names) - {each.id for each in records} - {each.service for each in records} - {"up"}
    if unknown:
        hint = f"there are: {', '.join(sorted(each.id for each in records))}"
        raise MeshError("not_found", f'no proxy or service "{min(unknown)}" runs', hint=hint)
    found: dict[Path, str] = {}
    for each in records:
        if not names or {each.id, each.service} & set(names):
            own = [each.log, _access_log(session) if each.role == "gateway" else ""]
            found |= {Path(path): each.id for path in own if path.startswith("/")}
    team = session.home().logs / "up.log"
    if team.exists() and (not names or "up" in names):
        found[team] = "up"
    return found


def _access_log(session: Session) -> str:
    from meshctl.control.revisions import current

    with session.store() as store:
        applied = current(store)
        return applied.mesh().gateway.access_log.path if applied else ""
