"""What a proxy writes to may stall, vanish or be shared: it never blocks, and those who share it notice nothing."""

from __future__ import annotations

import fcntl
import os
import pty
import socket
import stat
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from meshctl.errors import MeshError
from meshctl.observe import outlet as outlets
from meshctl.observe.outlet import ATOMIC, Outlet, open_file, share
from tests.e2e.waiting import until

Ends = tuple[int, int]


def pipe_ends() -> Ends:
    return os.pipe()


def socket_ends() -> Ends:
    reader, writer = socket.socketpair()
    return reader.detach(), writer.detach()


def terminal_ends() -> Ends:
    return pty.openpty()


KINDS: dict[str, tuple[Callable[[], Ends], Callable[[int], Outlet]]] = {
    "pipe": (pipe_ends, share),
    "pipe without /proc": (pipe_ends, lambda fd: outlets._polled(os.dup(fd))),
    "socket": (socket_ends, share),
    "terminal": (terminal_ends, share),
}


@pytest.fixture(params=KINDS)
def ends(request: pytest.FixtureRequest) -> Iterator[tuple[int, int, Outlet]]:
    """A reader's and a writer's descriptor and an outlet that shares the latter."""
    make, open_outlet = KINDS[request.param]
    reader, writer = make()
    outlet = open_outlet(writer)
    yield reader, writer, outlet
    outlet.close()
    for fd in (reader, writer):
        with suppress(OSError):
            os.close(fd)


def fill(outlet: Outlet) -> int:
    """Send until nothing more is taken; the number of bytes taken."""
    taken = 0
    with suppress(BlockingIOError):
        while taken < 1 << 24:
            taken += outlet.send(b"x" * 63 + b"\n")
    return taken


def test_a_reader_that_stalls_does_not_block(ends: tuple[int, int, Outlet]) -> None:
    """When the reader takes nothing more, sending raises at once; when it reads on, sending goes on."""
    reader, _, outlet = ends
    assert 0 < fill(outlet) < 1 << 24
    # The kernel hands on what a terminal was sent when it gets to it, and has room again then.
    until(lambda: fill(outlet) == 0, "nothing more to be taken")
    while outlet_is_full(outlet):
        os.read(reader, 65536)


def outlet_is_full(outlet: Outlet) -> bool:
    try:
        return outlet.send(b"y\n") == 0
    except BlockingIOError:
        return True


def test_those_who_share_it_notice_nothing(ends: tuple[int, int, Outlet]) -> None:
    """The inherited descriptor keeps its flags, while and after the outlet is open."""
    _, writer, outlet = ends
    assert not fcntl.fcntl(writer, fcntl.F_GETFL) & os.O_NONBLOCK
    outlet.close()
    assert not fcntl.fcntl(writer, fcntl.F_GETFL) & os.O_NONBLOCK
    assert os.write(writer, b"still mine\n") == 11


def test_streams_are_sent_to_in_atomic_pieces(ends: tuple[int, int, Outlet]) -> None:
    """What is no file is written to in pieces that do not mix with those of other writers."""
    assert ends[2].piece == ATOMIC


def test_nothing_is_sent_after_closing(tmp_path: Path) -> None:
    """A closed outlet never writes to whatever got its number next, however often it is closed."""
    outlet = open_file(str(tmp_path / "first"))
    number = outlet.fd
    outlet.close()
    stranger = os.open(tmp_path / "stranger", os.O_WRONLY | os.O_CREAT)
    assert number == stranger, "the number was not taken again, so this test proves nothing"
    with pytest.raises(OSError, match="Bad file descriptor"):
        outlet.send(b"a line\n")
    outlet.close()
    assert os.write(stranger, b"ok") == 2
    os.close(stranger)


def test_two_processes_with_one_redirected_stdout(tmp_path: Path) -> None:
    """With stdout redirected to a file, and not for appending, sharers write one after the other, never over."""
    with (tmp_path / "out").open("wb", buffering=0) as file:
        first, second = share(file.fileno()), share(file.fileno())
        first.send(b"line\n")
        file.write(b"line\n")
        second.send(b"line\n")
        first.close()
        second.close()
    assert (tmp_path / "out").read_bytes() == b"line\n" * 3


def test_a_log_file_is_private_to_owner_and_group(tmp_path: Path) -> None:
    """A new log file cannot be read by everybody, whatever the umask."""
    before = os.umask(0)
    try:
        open_file(str(tmp_path / "log")).close()
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "log").stat().st_mode) == 0o640


def test_an_existing_file_is_appended_to(tmp_path: Path) -> None:
    """What a log file already holds stays."""
    (tmp_path / "log").write_bytes(b"old\n")
    outlet = open_file(str(tmp_path / "log"))
    outlet.send(b"new\n")
    outlet.close()
    assert (tmp_path / "log").read_bytes() == b"old\nnew\n"


def test_a_file_that_cannot_be_opened(tmp_path: Path) -> None:
    """The error names the file and the reason, and says what to look at."""
    with pytest.raises(MeshError, match=r"nowhere/log.*No such file or directory") as caught:
        open_file(str(tmp_path / "nowhere" / "log"))
    assert caught.value.hint


def test_a_closed_descriptor() -> None:
    """A proxy started without a stdout is told so."""
    reader, writer = os.pipe()
    os.close(reader)
    os.close(writer)
    with pytest.raises(MeshError, match="cannot be written to"):
        share(writer)
