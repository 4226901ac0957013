"""What `tap` and `top` show, and the keys of `top`."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from meshctl.cli.app import run
from meshctl.cli.render import Terminal
from meshctl.cli.session import Session
from meshctl.cli.tap import line
from meshctl.cli.top import microseconds
from meshctl.cli.top_page import Page
from meshctl.model.tap import TapEvent
from meshctl.observe.busiest import Busiest
from meshctl.observe.quoting import clean

EVENT = TapEvent(
    1795337515.78, "out", "GET", "orders", "/x\x1b[31m y", 503, 9266, "abc", "web", "127.0.0.1", "orders",
    "v2", "127.0.0.1:35059", "outbound:orders", "mtls", 9100, 0, 60, 1, "breaker_open",
)  # fmt: skip


def test_a_line_of_tap() -> None:
    """Whom, how, what and what came of it, in words that other meshes have made known; nothing that a client sent can
    end a word or speak to the terminal."""
    assert clean(line("web-1", EVENT)) == (
        "08:51:55.780 req id=abc proxy=web-1:out src=web dst=orders/v2@127.0.0.1:35059 tls=mtls :method=GET "
        ":authority=orders :path=/x\\x1b[31m%20y :status=503 latency=9100µs duration=9266µs response-length=60B "
        "retries=1 reason=breaker_open"
    )


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0µs"), (840, "840µs"), (1_400, "1.4ms"), (999_999, "1000ms"), (2_100_000, "2.1s")]
)
def test_latencies(count: int, text: str) -> None:
    """In as many digits as help."""
    assert microseconds(count) == text


@pytest.fixture
def page() -> Page:
    """A page with one kind of request."""
    found = Busiest()
    found.add(EVENT)
    return Page(Session(terminal=Terminal(out=io.StringIO(), err=io.StringIO())), found, "count")


def screen(page: Page) -> str:
    """What a page shows."""
    console = Console(file=io.StringIO(), width=140)
    console.print(page.render())
    return console.file.getvalue()  # type: ignore[attr-defined, no-any-return]


def test_the_page_shows_rows_and_keys(page: Page) -> None:
    """A row for the kind, the column it is sorted by marked, and how to go on."""
    shown = screen(page)
    assert "COUNT ▾" in shown
    assert "orders" in shown
    assert "q quit" in shown
    assert "\x1b[31m" not in shown


def test_keys(page: Page) -> None:
    """Each key does what the page says that it does."""
    page.press("s")
    assert page.sort == "best"
    assert "BEST ▾" in screen(page)
    page.press("p")
    assert page.is_paused
    assert "PAUSED" in screen(page)
    page.press("p")
    assert not page.is_paused
    page.press("r")
    assert "orders" not in screen(page)
    assert not page.is_over
    page.press("q")
    assert page.is_over


def test_typing_a_filter(page: Page) -> None:
    """What is typed behind the slash filters, keys that mean something else included, until Escape."""
    page.press("/")
    page.press("quips\x7f")
    assert (page.text, page.is_over, page.is_paused) == ("quip", False, False)
    assert "orders" not in screen(page)
    page.press("\r")
    assert "only with “quip”" in screen(page)
    page.press("/\x1b")
    assert page.text == ""
    assert "orders" in screen(page)


def test_the_end_of_input_ends_it(page: Page) -> None:
    """Without a keyboard there is nobody who could end it later."""
    page.press("")
    assert page.is_over


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["tap", "--status", "6xx"], "--status"),
        (["tap", "--slow", "soon"], "--slow"),
        (["tap", "--header", ": x"], "--header"),
        (["tap", "--path", "orders"], "--path"),
        (["tap", "--max-rate", "0"], "--max-rate"),
        (["tap", "--for", "x"], "--for"),
        (["top", "--sort", "size"], "--sort"),
        (["top", "--every", "x"], "--every"),
        (["stat", "--window", "1h"], "window"),
        (["stat", "--window", "x"], "--window"),
    ],
)
def test_what_is_typed_wrongly(
    arguments: list[str], told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Is a usage error that names it, before anything is asked."""
    assert run(["--home", str(tmp_path), *arguments]) == 2
    assert told in capsys.readouterr().err


@pytest.mark.parametrize("command", ["tap", "top", "stat", "edges"])
def test_where_nothing_runs(command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It says so and ends with 4."""
    assert run(["--home", str(tmp_path / "home"), command]) == 4
    assert "hint" in capsys.readouterr().err
