"""Bodies of hundreds of megabytes pass two sidecars, with mutual TLS between them, in constant memory."""

from __future__ import annotations

import socket
import threading
from pathlib import Path

import psutil
import pytest

from tests.attack.pair import Pair
from tests.conformance.wire import PATIENCE, Wire

SIZE = 300 << 20
PIECE = bytes(1 << 20)
ROOM = 24 << 20
"""What both sidecars' memory may grow by: buffers of all sides, and what the allocator keeps."""


def peak(pair: Pair) -> int:
    """The most bytes that the workers ever had resident."""
    said = [Path(f"/proc/{each.pid}/status").read_text() for each in pair.workers()]
    return sum(int(each.partition("VmHWM:")[2].split()[0]) * 1024 for each in said)


def send(wire: Wire) -> None:
    """A long body."""
    for _ in range(SIZE // len(PIECE)):
        wire.socket.sendall(PIECE)


def take(wire: Wire) -> int:
    """How much of a long body comes."""
    taken, room = len(wire.buffer), bytearray(len(PIECE))
    wire.buffer = b""
    while taken < SIZE and (count := wire.socket.recv_into(room)):
        taken += count
    return taken


def serve(listener: socket.socket, taken: list[int]) -> None:
    """A service that takes long bodies and gives them."""
    end, _ = listener.accept()
    with Wire(end) as wire:
        for _ in range(3):
            method = wire.read_head().method
            if method == b"PUT":
                taken.append(take(wire))
            size = SIZE if method == b"GET" else 0
            wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
            if size:
                send(wire)


@pytest.mark.timeout(600)
@pytest.mark.skipif(not psutil.LINUX, reason="only Linux tells a process's peak")
def test_long_bodies_through_two_sidecars(tmp_path: Path) -> None:
    """An upload and a download of 300 MB arrive whole, and the sidecars' peak memory grows by less than 24 MB."""
    taken: list[int] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        service = threading.Thread(target=serve, args=(listener, taken))
        service.start()
        pair = Pair(tmp_path, 10, listener.getsockname()[1])
        try:
            with pair.caller.connect("upstream:orders") as client:
                client.send(b"DELETE / HTTP/1.1\r\nHost: orders\r\n\r\n")
                assert client.read_response().status == 200
                before = peak(pair)
                client.send(b"PUT / HTTP/1.1\r\nHost: orders\r\nContent-Length: %d\r\n\r\n" % SIZE)
                send(client)
                assert client.read_response().status == 200
                assert taken == [SIZE]
                client.send(b"GET / HTTP/1.1\r\nHost: orders\r\n\r\n")
                assert client.read_head().status == 200
                assert take(client) == SIZE
                assert peak(pair) - before < ROOM
        finally:
            assert pair.close() == []
            service.join(PATIENCE)
    assert not service.is_alive()
