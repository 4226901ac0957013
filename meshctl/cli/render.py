"""What people and programs see: the only place that prints. Data goes to stdout and talk to stderr, and neither can be
styled by what it shows: control characters in names and paths come out escaped. Knows nothing of meshes."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, TextIO

from meshctl.errors import MeshError
from meshctl.observe.quoting import clean, clean_json

Cell = str | int | float | bool | None
Row = Sequence[Cell]

# The words of a state column and the colour they get on a terminal; everything else stays plain.
_COLOURS: Final = {
    "healthy": "green",
    "ready": "green",
    "accepted": "green",
    "unhealthy": "red",
    "refused": "red",
    "silent": "yellow",
    "ejected": "yellow",
    "draining": "yellow",
    "starting": "yellow",
    "unresolved": "red",
    "valid": "green",
    "holds": "green",
    "installed": "green",
    "due": "yellow",
    "expired": "red",
    "revoked": "red",
    "untrusted": "red",
    "fails": "red",
    "missing": "yellow",
    "pass": "green",
    "warn": "yellow",
    "fail": "red",
}


def number(value: float) -> str:
    """`value` in as many digits as help: 0, 0.42, 3.1, 1204."""
    if value == 0:
        return "0"
    return f"{value:.2f}" if value < 1 else f"{value:.1f}" if value < 100 else f"{value:.0f}"


def milliseconds(seconds: float) -> str:
    """A latency for people: "–" where nothing was measured, else "1.4ms", "230ms", "2.1s"."""
    if seconds <= 0:
        return "–"
    return f"{number(seconds * 1000)}ms" if seconds < 1 else f"{number(seconds)}s"


def share(fraction: float) -> str:
    """A share for people, to three digits: 0.1 → "10%"."""
    return f"{fraction * 100:.3g}%"


class Terminal:
    """Where a command speaks. `quiet` holds back talk, never data and never errors."""

    def __init__(self, *, quiet: bool = False, out: TextIO | None = None, err: TextIO | None = None) -> None:
        self.quiet = quiet
        self.out = out or sys.stdout
        self.err = err or sys.stderr

    def data(self, text: str) -> None:
        """Write `text` to stdout, ended with a newline."""
        text = clean(text)
        try:
            self.out.write(text if text.endswith("\n") else text + "\n")
            self.out.flush()
        except BrokenPipeError:
            raise
        except OSError as error:
            silence_stdout()
            raise MeshError("failed", f"the output cannot be written: {(error.strerror or '').lower()}") from error

    def document(self, value: object) -> None:
        """Write `value` (structs, lists, plain values) to stdout as one JSON document."""
        import msgspec

        self.data(clean_json(msgspec.json.format(msgspec.json.encode(value), indent=2).decode()))

    def document_line(self, value: object) -> None:
        """Write `value` to stdout as a line of JSON."""
        import msgspec

        self.data(clean_json(msgspec.json.encode(value).decode()))

    def say(self, text: str) -> None:
        """Tell the person at the terminal something; held back by `quiet`."""
        if not self.quiet:
            self._talk(text)

    def warn(self, text: str) -> None:
        """Tell of something that will matter; held back by `quiet`."""
        self.say(f"warning: {text}")

    def error(self, error: MeshError) -> None:
        """Tell what failed, every problem of it, and what to do now."""
        problems = getattr(error, "problems", ())
        for problem in problems:
            self._talk(str(problem))
        # A configuration's problems are its message: what is left to say is how many.
        self._talk(f"meshctl: {_count(problems)}" if problems else f"meshctl: {error.message}")
        if error.hint:
            self._talk(f"  hint: {error.hint}")

    def ask(self, question: str) -> str:
        """What a person answers to a question, in lower case and without blanks around it; "" at the end of input."""
        self.err.write(clean(question) + " ")
        self.err.flush()
        return sys.stdin.readline().strip().lower()

    def fail(self, text: str) -> None:
        """Write one line about a failure that is not a `MeshError`."""
        self._talk(text)

    def table(self, columns: Sequence[str], rows: Iterable[Row], *, empty: str = "", spare: Sequence[str] = ()) -> None:
        """Write rows under `columns` to stdout: coloured and sized on a terminal, plain and whole in a pipe.

        A column whose name ends in ">" is aligned to the right. Without rows, says `empty` instead. On a terminal that
        is too narrow the `spare` columns are left out first, and that is said."""
        texts = [cells(row) for row in rows]
        if not texts and empty:
            self.say(empty)
            return
        if self.out.isatty():
            self._rich_table(columns, texts, spare)
        else:
            self.data(_plain_table(columns, texts))

    def pairs(self, pairs: Iterable[tuple[str, Cell]]) -> None:
        """Write "name  value" lines to stdout, values aligned; pairs without a value are left out."""
        shown = [(name, _text(value)) for name, value in pairs if value not in (None, "")]
        width = max((len(name) for name, _ in shown), default=0)
        self.data("\n".join(f"{name:<{width}}  {value}" for name, value in shown))

    def sections(self, sections: Iterable[tuple[str, Sequence[tuple[str, str, str, str]]]]) -> None:
        """Write titled lists to stdout: lines of a state, a name and a text, each with a note below where it has one.
        On a terminal states are coloured and long texts folded; in a pipe each is one line."""
        if self.out.isatty():
            self._rich_sections(sections)
            return
        for at, (title, lines) in enumerate(sections):
            self.data(f"{chr(10) if at else ''}{clean(title)}")
            width = max((len(line[1]) for line in lines), default=0)
            for state, name, text, note in lines:
                self.data(f"  {state:<4}  {clean(name):<{width}}  {clean(text)}")
                if note:
                    self.data(f"  {'':<4}  {'':<{width}}  → {clean(note)}")

    @property
    def can_redraw(self) -> bool:
        """Whether what was shown can be drawn over: on a terminal, unless it is a dumb one."""
        return self.out.isatty() and os.environ.get("TERM", "") not in {"dumb", "unknown"}

    def page(self, render: Callable[[], Any]) -> Any:
        """A rich Live display on stdout that shows what `render` returns; use as a context manager."""
        from rich.console import Console
        from rich.live import Live

        return Live(
            get_renderable=render, console=Console(file=self.out, highlight=False), auto_refresh=False, transient=False
        )

    def _talk(self, text: str) -> None:
        try:
            self.err.write("\n".join(map(clean, text.split("\n"))) + "\n")
            self.err.flush()
        except BrokenPipeError:
            raise
        except OSError:
            pass  # There is nowhere left to say so; the exit status stands.

    def _rich_sections(self, sections: Iterable[tuple[str, Sequence[tuple[str, str, str, str]]]]) -> None:
        from rich.console import Console, Group
        from rich.table import Table
        from rich.text import Text

        console = Console(file=self.out, highlight=False)
        for at, (title, lines) in enumerate(sections):
            grid = Table.grid(padding=(0, 2, 0, 0))
            for fold in (False, False, True):
                grid.add_column(no_wrap=not fold, overflow="fold")
            for state, name, text, note in lines:
                below = [Text(f"→ {clean(note)}", style="bold")] if note else []
                mark = Text(f"  {state}", style=_COLOURS.get(state, ""))
                grid.add_row(mark, Text(clean(name)), Group(Text(clean(text)), *below))
            console.print(*([""] if at else []), Text(clean(title), style="bold"), grid, sep="\n")

    def _rich_table(self, columns: Sequence[str], texts: list[list[str]], spare: Sequence[str]) -> None:
        from rich.console import Console

        console = Console(file=self.out, highlight=False)
        table, left = fitted_table(columns, texts, console.width, spare)
        console.print(table)
        if left:
            self.say(f"the terminal is too narrow for {', '.join(left)}; -o json has all")


def fitted_table(
    columns: Sequence[str], texts: list[list[str]], width: int, spare: Sequence[str] = ()
) -> tuple[Any, list[str]]:
    """The rows as a rich table that fits into `width`, and the names of the `spare` columns that had to go for it."""
    from meshctl.cli.columns import folded, kept, widths

    names = [column.rstrip(">") for column in columns]
    shown = kept([names, *texts], spare, width)
    lines = [[line[at] for at in shown] for line in [names, *texts]]
    sides = [columns[at] for at in shown]
    solid = [at for at, column in enumerate(sides) if column.endswith(">")]
    found = widths(lines, width, solid)
    if found:
        lines = [[folded(cell, most) for cell, most in zip(line, found, strict=True)] for line in lines]
        sides = [head + side[len(side.rstrip(">")) :] for head, side in zip(lines[0], sides, strict=True)]
    return rich_table(sides, lines[1:], found), [name for at, name in enumerate(names) if at not in shown]


def rich_table(columns: Sequence[str], texts: Iterable[Sequence[str]], widths: Sequence[int] | None = None) -> Any:
    """The rows as a rich table without borders; long cells fold, so that nothing is cut off."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for at, column in enumerate(columns):
        side: Any = "right" if column.endswith(">") else "left"
        table.add_column(column.rstrip(">"), justify=side, overflow="fold", width=widths[at] if widths else None)
    for row in texts:
        table.add_row(*(Text(cell, style=_COLOURS.get(cell, "")) for cell in row))
    return table


def cells(row: Row) -> list[str]:
    """A row as the texts that a table shows."""
    return [_text(cell) for cell in row]


def _plain_table(columns: Sequence[str], texts: list[list[str]]) -> str:
    names = [column.rstrip(">") for column in columns]
    widths = [max(len(line[at]) for line in [names, *texts]) for at in range(len(names))]
    lines = []
    for line in [names, *texts]:
        cells = [
            cell.rjust(width) if column.endswith(">") else cell.ljust(width)
            for cell, width, column in zip(line, widths, columns, strict=True)
        ]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def _text(cell: Cell) -> str:
    if cell is None or cell == "":
        return "–"
    if isinstance(cell, bool):
        return "yes" if cell else "no"
    if isinstance(cell, str):
        return clean(cell).replace("\n", "\\n").replace("\t", "\\t")
    return number(cell) if isinstance(cell, float) else str(cell)


def _count(problems: Sequence[Any]) -> str:
    errors = sum(problem.severity == "error" for problem in problems)
    return f"{problems[0].file} is not valid: {errors} error{'' if errors == 1 else 's'}"


def prepare_streams() -> None:
    """Make stdout and stderr write what the terminal cannot encode as escapes, instead of failing on it, and stand for
    nothing where they were closed: else the next file that is opened would take their place."""
    if sys.stdin is None or sys.stdout is None or sys.stderr is None:
        _fill_streams()
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")


def _fill_streams() -> None:
    while (number := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(number, True)
    os.close(number)
    sys.stdin = sys.stdin or os.fdopen(0, closefd=False)
    sys.stdout = sys.stdout or os.fdopen(1, "w", closefd=False)
    sys.stderr = sys.stderr or os.fdopen(2, "w", closefd=False)


def silence_stdout() -> None:
    """After a broken pipe: let the interpreter flush into nothing, so that it does not complain at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
