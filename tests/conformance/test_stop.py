"""Graceful stop: what is in flight is finished, nothing new begins, clients are told, and the status is 0."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from .conftest import routes
from .running import Gateway
from .upstream import OK, Upstream


@pytest.fixture
def stopping(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Gateway, Upstream]]:
    """A gateway of this test alone, and its service. What is in flight has a minute, or as long as the test says."""
    service = Upstream("stop")
    drain = getattr(request, "param", "60s")
    head = f'[gateway]\nadmin = "off"\naccess_log = "access.log"\ntimeouts = {{ drain = "{drain}" }}\n'
    running = Gateway(tmp_path, head + routes(service))
    yield running, service
    service.forget()
    service.listener.close()
    running.wait()
    assert running.complaints() == []


def is_refusing(gateway: Gateway) -> bool:
    """Waits until no new connection gets through."""
    while True:
        try:
            with gateway.connect() as wire:
                wire.read_rest()
        except ConnectionRefusedError:
            return True


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_answers_in_flight_are_finished(stopping: tuple[Gateway, Upstream], number: signal.Signals) -> None:
    """A request that the service has, an answer under way and a body under way are finished; new connections are
    refused, idle ones closed, and the clients of the others told."""
    gateway, service = stopping
    with (
        gateway.connect() as waiting,
        gateway.connect() as reading,
        gateway.connect() as sending,
        gateway.connect() as idle,
    ):
        idle.send(service.get(b"/idle"))
        service.serve(OK)
        assert idle.read_response().body == b"ok"
        waiting.send(service.get(b"/waiting"))
        slow = service.hear()
        slow.read_request()
        reading.send(service.get(b"/reading"))
        under_way, _ = service.serve(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello")
        reading.read_until(b"hello")
        sending.send(service.get(b"/sending", b"Content-Length: 10", method=b"POST") + b"hello")
        body = service.accept()
        body.read_until(b"hello")
        gateway.process.send_signal(number)
        assert idle.read_to_end() == b""
        assert is_refusing(gateway)
        slow.send(OK)
        answer = waiting.read_response()
        assert (answer.body, answer.get("connection")) == (b"ok", b"close")
        assert waiting.read_to_end() == b""
        under_way.send(b"world")
        assert reading.read_exactly(5) == b"world"
        assert reading.read_to_end() == b""
        sending.send(b"world")
        assert body.read_exactly(5) == b"world"
        body.send(OK)
        assert sending.read_response().get("connection") == b"close"
        assert gateway.wait() == 0
    lines = (gateway.folder / "access.log").read_text(encoding="utf-8").splitlines()
    assert len(lines) == 4


@pytest.mark.parametrize("stopping", ["2s"], indirect=True)
def test_stop_does_not_wait_for_ever(stopping: tuple[Gateway, Upstream]) -> None:
    """What is not finished when the drain time ends is broken off, and the status is 0 all the same."""
    gateway, service = stopping
    with gateway.connect() as waiting:
        waiting.send(service.get(b"/waiting"))
        wire = service.accept()
        wire.read_request()
        gateway.process.send_signal(signal.SIGTERM)
        assert waiting.read_rest() == b""
        assert wire.read_rest() == b""
        assert gateway.wait() == 0


def test_second_signal_ends_at_once(stopping: tuple[Gateway, Upstream]) -> None:
    """Whoever asks twice does not wait."""
    gateway, service = stopping
    with gateway.connect() as waiting:
        waiting.send(service.get(b"/waiting"))
        service.accept().read_request()
        gateway.process.send_signal(signal.SIGTERM)
        assert is_refusing(gateway)
        gateway.process.send_signal(signal.SIGTERM)
        assert waiting.read_rest() == b""
        gateway.wait()


def test_pipeline_under_way(stopping: tuple[Gateway, Upstream]) -> None:
    """Of a pipeline the answer under way is the last one, and says so; the client knows what was not done."""
    gateway, service = stopping
    with gateway.connect() as client:
        client.send(service.get(b"/1") + service.get(b"/2"))
        wire = service.accept()
        assert wire.read_request().target == b"/1"
        gateway.process.send_signal(signal.SIGTERM)
        assert is_refusing(gateway)
        wire.send(OK)
        assert client.read_response().get("connection") == b"close"
        assert client.read_to_end() == b""
        assert gateway.wait() == 0
        assert service.is_silent()
