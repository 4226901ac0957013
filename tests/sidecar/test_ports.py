"""Ports for apps: free, not to be lost before the app listens, and never somebody else's."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from meshctl.errors import MeshError
from meshctl.sidecar.ports import check_port, choose_port, is_free


@pytest.fixture
def port() -> Iterator[int]:
    """One that nobody else on this machine takes meanwhile."""
    chosen = choose_port()
    yield chosen.number
    chosen.release()


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_not_among_those_for_clients() -> None:
    """A chosen port is below those that the system gives to outgoing connections."""
    lowest = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    ports = [choose_port() for _ in range(20)]
    assert all(20_000 <= port.number < lowest for port in ports) or lowest < 21_000
    for port in ports:
        port.release()


def test_each_is_given_once() -> None:
    """Of many that are chosen before any app listens no two are the same."""
    ports = [choose_port() for _ in range(300)]
    assert len({port.number for port in ports}) == 300
    for port in ports:
        port.release()
        port.release()


@pytest.mark.parametrize(
    ("family", "host"), [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET, ""), (socket.AF_INET6, "::1")]
)
def test_a_taken_port_names_its_holder(family: socket.AddressFamily, host: str, port: int) -> None:
    """A port on which somebody listens, on whichever address of this machine, is refused with who that is."""
    if family == socket.AF_INET6 and not socket.has_dualstack_ipv6():
        pytest.skip("needs IPv6")
    with socket.socket(family) as taken:
        taken.bind((host, port))
        taken.listen()
        assert not is_free(port)
        with pytest.raises(MeshError, match=rf"port {port} is taken by .*process {os.getpid()}") as refused:
            check_port(port)
        assert refused.value.code == "address_in_use"
    check_port(port)


def test_what_just_ended_is_no_hindrance(port: int) -> None:
    """A port whose last connections are still being forgotten by the system is free."""
    with socket.create_server(("127.0.0.1", port)) as server:
        client = socket.create_connection(("127.0.0.1", port))
        accepted, _ = server.accept()
        accepted.close()
        client.recv(1)
        client.close()
    assert is_free(port)
