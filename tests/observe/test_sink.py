"""Lines reach their file whole and in order, or are counted as lost; the proxy neither waits nor fails for them."""

from __future__ import annotations

import errno
import os
import select
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from meshctl.observe.sink import LIMIT, Sink

if TYPE_CHECKING:
    from conftest import Child

LINE = "%08d " + "x" * 90 + "\n"


def lines(start: int, count: int) -> bytes:
    return b"".join((LINE % number).encode() for number in range(start, start + count))


def numbers(text: bytes) -> list[int]:
    """The numbers of whole lines; fails on any that is not whole."""
    assert text == b"" or text.endswith(b"\n")
    found = [int(line[:8]) for line in text.splitlines()]
    assert text == b"".join((LINE % number).encode() for number in found)
    return found


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """A pipe; whichever ends a test leaves open are closed after it."""
    reader, writer = os.pipe()
    yield reader, writer
    for fd in (reader, writer):
        with suppress(OSError):
            os.close(fd)


def drain(reader: int) -> bytes:
    found = b""
    while select.select([reader], [], [], 0)[0]:
        found += os.read(reader, 1 << 16)
    return found


def test_a_stalled_reader_costs_lines_and_nothing_else(pipe: tuple[int, int]) -> None:
    """Lines wait up to the limit; beyond it they are dropped and counted; what comes out is whole and in order."""
    reader, writer = pipe
    sink = Sink(None, fd=writer)
    written = 0
    while sink.dropped == 0:
        sink.write(lines(written, 100))
        written += 100
    assert LIMIT - 20_000 < written * 100 - 65536 <= LIMIT + 20_000
    assert "does not keep up" in sink.problem
    got = b""
    while piece := drain(reader):
        got += piece
        sink.flush()
    assert numbers(got) == list(range(written - sink.dropped))
    assert sink.problem == ""
    sink.write(lines(written, 1))
    assert numbers(drain(reader)) == [written]
    sink.close()


def test_closing_waits_for_a_slow_reader(pipe: tuple[int, int]) -> None:
    """A clean stop loses nothing as long as somebody reads."""
    reader, writer = pipe
    sink = Sink(None, fd=writer)
    sink.write(lines(0, 9_000))
    got: list[bytes] = []

    def read() -> None:
        while piece := os.read(reader, 4096):
            got.append(piece)

    slow = threading.Thread(target=read)
    slow.start()
    sink.close(patience=30.0)
    os.close(writer)
    slow.join()
    assert numbers(b"".join(got)) == list(range(9_000))
    assert sink.dropped == 0


def test_closing_does_not_wait_for_ever(pipe: tuple[int, int]) -> None:
    """With a reader that never reads, closing ends when its patience does, and what is lost is counted."""
    reader, writer = pipe
    sink = Sink(None, fd=writer)
    sink.write(lines(0, 9_000))
    sink.close(patience=0.05)
    assert len(drain(reader).splitlines()) + sink.dropped == 9_000
    assert sink.dropped > 0


def test_a_reader_that_has_gone(pipe: tuple[int, int]) -> None:
    """A closed pipe raises nothing; every line is counted as lost and none waits."""
    reader, writer = pipe
    sink = Sink(None, fd=writer)
    os.close(reader)
    for start in range(3):
        sink.write(lines(start, 1))
    sink.flush()
    assert sink.dropped == 3
    assert os.strerror(errno.EPIPE) in sink.problem
    sink.close()


def test_a_full_disk(tmp_path: Path, child: Child) -> None:
    """When the file cannot grow, lines wait, torn where the last write was cut; when it can, the file is whole."""
    path = tmp_path / "log"
    program = """
        import resource, sys
        from meshctl.observe.sink import Sink
        _, most = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1050, most))
        sink = Sink(sys.argv[1])
        for number in range(30):
            sink.write(sys.argv[2].encode() % number)
        print(sink.problem)
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
        sink.flush()
        print(sink.dropped, sink.problem)
    """
    out, _ = child(program, path, LINE).communicate(timeout=60)
    assert out == f"the log cannot be written: {os.strerror(errno.EFBIG)}\n0 \n"
    assert numbers(path.read_bytes()) == list(range(30))


def test_a_disk_that_stays_full() -> None:
    """On a device without space lines wait up to the limit and are counted beyond it and at the end; nothing raises,
    and closing does not wait for space."""
    times = iter([0.0] * 5)
    sink = Sink("/dev/full", now=lambda: next(times))  # the sixth look at the clock would fail
    for start in range(0, 20_000, 100):
        sink.write(lines(start, 100))
    assert sink.dropped == pytest.approx(20_000 - LIMIT // 100, abs=100)
    assert os.strerror(errno.ENOSPC) in sink.problem
    sink.close()
    assert sink.dropped == 20_000


def test_a_file_that_was_moved_is_opened_anew(tmp_path: Path) -> None:
    """After a rename lines go to a new file under the old name within a second, and none is lost between."""
    path, clock = tmp_path / "log", Clock()
    sink = Sink(str(path), now=clock)
    sink.write(lines(0, 10))
    path.rename(tmp_path / "log.1")
    sink.write(lines(10, 10))
    sink.flush()
    clock.now += 1.0
    sink.flush()
    sink.write(lines(20, 10))
    sink.close()
    assert numbers((tmp_path / "log.1").read_bytes()) == list(range(20))
    assert numbers(path.read_bytes()) == list(range(20, 30))


@pytest.mark.parametrize("replaced", [False, True])
def test_a_file_that_was_removed_is_made_again(tmp_path: Path, replaced: bool) -> None:
    """A removed file, replaced by another or not, does not swallow the log."""
    path, clock = tmp_path / "log", Clock()
    sink = Sink(str(path), now=clock)
    sink.write(lines(0, 1))
    (tmp_path / "keep").hardlink_to(path)
    path.unlink()
    if replaced:
        path.touch()
    clock.now += 1.0
    sink.flush()
    sink.write(lines(1, 1))
    sink.close()
    assert numbers(path.read_bytes()) == [1]


def test_the_file_is_looked_at_once_a_second(tmp_path: Path) -> None:
    """Flushing more often than once a second does not look at the file each time."""
    path, clock = tmp_path / "log", Clock()
    sink = Sink(str(path), now=clock)
    path.rename(tmp_path / "log.1")
    for _ in range(9):
        clock.now += 0.1
        sink.flush()
    assert not path.exists()
    clock.now += 0.2
    sink.flush()
    assert path.exists()
    sink.close()


def test_reopening_on_demand(tmp_path: Path) -> None:
    """After a rotation the next line is in the new file at once."""
    path = tmp_path / "log"
    sink = Sink(str(path))
    sink.write(lines(0, 1))
    path.rename(tmp_path / "log.1")
    assert sink.reopen()
    sink.write(lines(1, 1))
    sink.close()
    assert numbers(path.read_bytes()) == [1]


def test_reopening_that_fails_keeps_the_old_file(tmp_path: Path) -> None:
    """When the file cannot be opened, lines go on to the old one, and the reason can be read until it opens again."""
    folder, clock = tmp_path / "logs", Clock()
    folder.mkdir()
    sink = Sink(str(folder / "log"), now=clock)
    folder.rename(tmp_path / "moved")
    assert not sink.reopen()
    sink.write(lines(0, 1))
    assert "No such file or directory" in sink.problem
    folder.mkdir()
    clock.now += 1.0
    sink.flush()
    assert sink.problem == ""
    sink.write(lines(1, 1))
    sink.close()
    assert numbers((tmp_path / "moved" / "log").read_bytes()) == [0]
    assert numbers((folder / "log").read_bytes()) == [1]


def test_a_torn_line_is_not_continued_in_another_file(tmp_path: Path, child: Child) -> None:
    """After a rotation on a full disk the new file begins with a whole line; the torn one is counted as lost."""
    path = tmp_path / "log"
    program = """
        import os, resource, sys
        from meshctl.observe.sink import Sink
        _, most = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1050, most))
        sink = Sink(sys.argv[1])
        for number in range(15):
            sink.write(sys.argv[2].encode() % number)
        os.rename(sys.argv[1], sys.argv[1] + ".1")
        sink.reopen()
        sink.close()
        print(sink.dropped)
    """
    out, _ = child(program, path, LINE).communicate(timeout=60)
    assert out == "1\n"
    assert numbers(path.read_bytes()) == list(range(11, 15))


WRITER = """
import sys
from meshctl.observe.sink import Sink
sink = Sink(sys.argv[1] or None)
sys.stdin.readline()
for number in range(2000):
    sink.write(sys.argv[2].encode() % number * (1 + number % 60))
sink.close(patience=30)
sys.stderr.write(str(sink.dropped))
"""


@pytest.mark.parametrize("to_file", [True, False], ids=["file", "pipe"])
def test_several_processes_write_whole_lines(tmp_path: Path, to_file: bool) -> None:
    """Workers that share a file or a standard output never cut into each other's lines."""
    path = tmp_path / "log"
    command = [sys.executable, "-c", WRITER, str(path) if to_file else "", LINE]
    environ = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    reader, writer = os.pipe()
    kept = subprocess.PIPE
    workers = [
        subprocess.Popen(command, env=environ, text=True, stdin=kept, stdout=writer, stderr=kept) for _ in range(2)
    ]
    os.close(writer)
    for worker in workers:
        assert worker.stdin
        worker.stdin.write("go\n")
        worker.stdin.flush()
    got = b""
    while piece := os.read(reader, 1 << 16):
        got += piece
    os.close(reader)
    dropped = sum(int(worker.communicate(timeout=60)[1]) for worker in workers)
    whole = numbers(path.read_bytes() if to_file else got)
    assert len(whole) + dropped == 2 * sum(1 + number % 60 for number in range(2000))
    assert len(whole) > 10_000
