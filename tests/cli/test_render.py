"""What is printed: aligned, whole, escaped, and coloured only where somebody looks."""

from __future__ import annotations

import io
import json
import os
import pty
import re
import sys

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from meshctl.cli.render import Terminal, milliseconds, number, share
from meshctl.model.explained import LoserView
from meshctl.observe.quoting import DECEIVING, clean, clean_json


def written(columns: list[str], rows: list[tuple[object, ...]]) -> str:
    """The table as a pipe gets it."""
    out = io.StringIO()
    Terminal(out=out).table(columns, rows)  # type: ignore[arg-type]
    return out.getvalue()


def test_tables_in_a_pipe_are_plain_and_whole() -> None:
    """In a pipe columns are aligned, numbers to the right, and nothing is cut off or coloured."""
    long = "x" * 300
    assert written(["NAME", "RPS>"], [("a", 1.5), (long, 12345), ("", None)]) == (
        f"{'NAME':<300}    RPS\n{'a':<300}    1.5\n{long}  12345\n{'–':<300}      –\n"
    )


def test_json_is_one_document() -> None:
    """A document ends with a newline and decodes to what was given."""
    out = io.StringIO()
    Terminal(out=out).document([LoserView("web", "path")])
    assert json.loads(out.getvalue()) == [{"route": "web", "reason": "path"}]
    assert out.getvalue().endswith("]\n")


@given(st.text())
def test_clean_leaves_no_control_character(text: str) -> None:
    """Nothing that is shown can move the cursor, colour the screen, or end the line it stands on."""
    assert not [c for c in clean(text) if (ord(c) < 32 and c not in "\t\n") or 127 <= ord(c) < 160]
    assert re.search(f"[{DECEIVING}]", clean(text)) is None
    # Beside a cell that is not empty, because a line of nothing at the end of a table is not written.
    assert len(written(["A", "B"], [(text, "b")]).splitlines()) == 2


@given(st.recursive(st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))
@example("\x9b31m\x7f\x85")
@example("\u202eevil\u2066")
def test_json_speaks_to_no_terminal(document: object) -> None:
    """A JSON document says the same after what terminals obey was taken out of its text."""
    text = json.dumps(document, ensure_ascii=False)
    assert json.loads(clean_json(text)) == document
    assert clean(clean_json(text)) == clean_json(text)
    out = io.StringIO()
    Terminal(out=out).data("\x1b[31m\u202e")
    assert out.getvalue() == "\\x1b[31m\\u202e\n"


@pytest.mark.parametrize(
    ("value", "shown"), [(0.0, "0"), (0.123, "0.12"), (3.14, "3.1"), (99.94, "99.9"), (1204.4, "1204")]
)
def test_numbers(value: float, shown: str) -> None:
    """Numbers have as many digits as help."""
    assert number(value) == shown


@pytest.mark.parametrize(("value", "shown"), [(0.0, "–"), (0.0014, "1.4ms"), (0.23, "230ms"), (2.1, "2.1s")])
def test_latencies(value: float, shown: str) -> None:
    """Latencies are in the unit that people read; none is a dash."""
    assert milliseconds(value) == shown


def test_shares() -> None:
    """A share is a percentage."""
    assert [share(0.0), share(0.005), share(0.1), share(1.0)] == ["0%", "0.5%", "10%", "100%"]


@pytest.mark.parametrize(("environment", "is_coloured"), [({}, True), ({"NO_COLOR": "1"}, False)])
def test_terminals_get_colour_unless_told_otherwise(environment: dict[str, str], is_coloured: bool) -> None:
    """On a terminal states are coloured; with NO_COLOR nothing is."""
    program = "from meshctl.cli.render import Terminal; Terminal().table(['STATE'], [('healthy',)])"
    pid, terminal = pty.fork()
    if pid == 0:
        kept = {name: os.environ[name] for name in ("PATH", "HOME")}
        path = os.pathsep.join(filter(None, [os.getcwd(), *sys.path]))
        os.execve(
            sys.executable,
            [sys.executable, "-c", program],
            {**kept, "TERM": "xterm", "PYTHONPATH": path, **environment},
        )
    said = b""
    try:
        while piece := os.read(terminal, 4096):
            said += piece
    except OSError:
        # How Linux tells that the other end of a terminal is closed.
        pass
    os.close(terminal)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert b"healthy" in said
    assert (b"\x1b[32m" in said) is is_coloured


@pytest.mark.parametrize(("term", "can"), [("xterm-256color", True), ("dumb", False), ("unknown", False)])
def test_a_dumb_terminal_is_not_drawn_over(term: str, can: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is drawn over elsewhere comes line by line on a dumb terminal, which would show it at the end only."""
    monkeypatch.setenv("TERM", term)
    ours, theirs = pty.openpty()
    with open(ours, "rb"), open(theirs, "w") as out:
        assert Terminal(out=out).can_redraw is can
    with open(os.devnull, "w") as out:
        assert not Terminal(out=out).can_redraw
