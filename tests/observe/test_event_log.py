"""The proxy's own events come out one to a line, whatever is in them, and cost nothing when nobody wants them."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshctl.observe.log import Events, Level, configure
from meshctl.observe.quoting import escaped, quoted

TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"


class Output:
    """A pipe that events go to, and what came out of it."""

    def __init__(self) -> None:
        self.reader, self.writer = os.pipe()
        os.set_blocking(self.reader, False)

    def read(self) -> str:
        with suppress(BlockingIOError):
            return os.read(self.reader, 1 << 16).decode()
        return ""


@pytest.fixture
def output() -> Iterator[Output]:
    """See `Output`; afterwards `logging` is as it was."""
    root, ours = logging.getLogger(), logging.getLogger("meshctl")
    handlers, levels = list(root.handlers), (root.level, ours.level)
    pipe = Output()
    yield pipe
    for handler in [known for known in root.handlers if known not in handlers]:
        root.removeHandler(handler)
        handler.close()
    root.setLevel(levels[0])
    ours.setLevel(levels[1])
    for fd in (pipe.reader, pipe.writer):
        with suppress(OSError):
            os.close(fd)


def test_text(output: Output) -> None:
    """An event is its time, its level, its name and its fields, those with blanks or quotes in quotation marks."""
    configure(fd=output.writer)
    Events("worker").warning("endpoint ejected", service="orders", why='said "no"\n', seconds=10)
    expected = r'warning endpoint ejected service=orders why="said \"no\"\x0a" seconds=10'
    assert re.fullmatch(f"{TIME} {re.escape(expected)}\n", output.read())


@pytest.mark.parametrize(
    ("level", "told"),
    [
        ("info", ["info", "warning", "error"]),
        ("warning", ["warning", "error"]),
        ("error", ["error"]),
    ],
)
def test_levels(output: Output, level: Level, told: list[str]) -> None:
    """Events below the level are not told."""
    configure(level=level, fd=output.writer)
    events = Events("worker")
    tell: list[Callable[..., None]] = [events.info, events.warning, events.error]
    for one in tell:
        one("event")
    assert [line.split()[1] for line in output.read().splitlines()] == told


def test_what_is_not_told_is_not_formatted(output: Output) -> None:
    """A field is turned to text only when its event is written."""
    asked: list[bool] = []

    class Costly:
        def __str__(self) -> str:
            asked.append(True)
            return "costly"

    configure(level="warning", fd=output.writer)
    Events("worker").info("event", field=Costly())
    assert asked == []
    Events("worker").warning("event", field=Costly())
    assert "field=costly" in output.read()
    assert asked


def test_failures_name_their_kind(output: Output) -> None:
    """An exception without a message is still told by its kind, and one that was caught with where it was raised."""
    configure(fd=output.writer)
    Events("worker").error("store lost", error=TimeoutError())
    assert output.read().endswith(' store lost error="TimeoutError: "\n')
    try:
        raise KeyError("x")
    except KeyError:
        logging.getLogger("meshctl.worker").exception("fault")
    found = output.read()
    assert " error=\"KeyError: 'x'\" traceback=" in found
    assert "test_event_log.py" in found


def test_warnings_of_libraries_come_out_too(output: Output) -> None:
    """What asyncio or aiohttp complain of is one line like all others; their chatter is not told."""
    configure(fd=output.writer)
    logging.getLogger("asyncio").info("chatter")
    logging.getLogger("asyncio").warning("task %s\nfailed", "x")
    assert re.fullmatch(TIME + r" warning task x\\x0afailed\n", output.read())


def test_configuring_again_takes_the_place(output: Output) -> None:
    """After a fork a worker configures anew, and each event comes out once."""
    configure(fd=output.writer)
    configure(fd=output.writer)
    Events("worker").info("event")
    assert output.read().count("event") == 1


def test_configuring_anew_keeps_the_level(output: Output) -> None:
    """A worker of a proxy that is to tell of failures alone tells of nothing else, nor do libraries there."""
    configure(level="error", fd=output.writer)
    configure(fd=output.writer)
    Events("worker").warning("one")
    logging.getLogger("asyncio").warning("two")
    Events("worker").error("three")
    assert re.fullmatch(TIME + r" error   three\n", output.read())


def test_a_reader_that_has_gone(output: Output) -> None:
    """With nobody to read, an event raises nothing."""
    configure(fd=output.writer)
    os.close(output.reader)
    Events("worker").error("event")
    Events("worker").error("event")
    handler = logging.getLogger().handlers[-1]
    assert "2 lines dropped" in repr(vars(handler))


def test_without_standard_error(output: Output) -> None:
    """A process without a standard error tells nothing and runs."""
    os.close(output.writer)
    configure(fd=output.writer)
    Events("worker").error("event")
    assert output.read() == ""


@given(st.text())
def test_quoting(value: str) -> None:
    """Quoted text is one word or one quotation, printable, whatever it was."""
    word = quoted(value)
    assert re.fullmatch(r'[^\s"=]+|"(?:[^"\\]|\\.)*"', word)
    assert not re.search(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202e]", escaped(value))
    word.encode()
