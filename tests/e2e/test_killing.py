"""Processes that die under load, again and again: with the retries that there are by default no request is lost that
may be sent twice."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from .gateway import Gateway
from .load import Load
from .sidecar import Wrapped
from .waiting import until

APP = Path(__file__).with_name("wrapped_app.py")
MORTAL = Path(__file__).with_name("mortal.py")


class Mortal:
    """A server with a place of its own, which nobody else can be given while it is dead."""

    def __init__(self) -> None:
        self.place = socket.socket()
        self.place.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        self.place.bind(("127.0.0.1", 0))
        self.port = int(self.place.getsockname()[1])
        self.start()

    def start(self) -> None:
        """Let it live."""
        command = [sys.executable, "-S", str(MORTAL), str(self.port)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == b"ready\n"

    def kill(self) -> None:
        """Have it end without a word."""
        self.process.kill()
        self.process.wait()
        for end in (self.process.stdin, self.process.stdout):
            if end is not None:
                end.close()


@pytest.fixture
def mortals() -> Iterator[list[Mortal]]:
    """Three of them."""
    made = [Mortal() for _ in range(3)]
    yield made
    for each in made:
        each.kill()
        each.place.close()


def test_plain_endpoints(tmp_path: Path, mortals: list[Mortal]) -> None:
    """One of three endpoints is killed and started again, nine times: every request is answered."""
    file = tmp_path / "mesh.toml"
    places = ", ".join(f'"127.0.0.1:{each.port}"' for each in mortals)
    file.write_text(
        'gateway.listen = ["127.0.0.1:0"]\ngateway.access_log = "off"\n'
        f'routes = [{{ path = "/", service = "shop" }}]\nservices.shop.endpoints = [{places}]\n'
    )
    gateway = Gateway(tmp_path / "home", tmp_path / "gateway", ["-c", file]).until_ready()
    try:
        with Load(gateway.url, kept=6, fresh=2) as load:
            for number in range(9):
                doomed = mortals[number % 3]
                doomed.kill()
                load.more(60)
                doomed.start()
                load.more(30)
        assert load.failures == []
        assert len(load.served) >= 4
        gateway.check()
    finally:
        gateway.kill()


def test_wrapped_replicas(tmp_path: Path) -> None:
    """One of three wrapped replicas is killed and another one takes its place, four times: every request is
    answered."""
    home, file = tmp_path / "home", tmp_path / "mesh.toml"
    file.write_text(
        'gateway.listen = ["127.0.0.1:0"]\ngateway.access_log = "off"\n'
        'routes = [{ path = "/", service = "shop" }]\n[services.shop]\n'
    )
    living: list[Wrapped] = []

    def wrap() -> Wrapped:
        made = Wrapped(home, tmp_path / f"app{len(living)}", ("--service", "shop"), (sys.executable, APP))
        living.append(made)
        return made

    gateway = Gateway(home, tmp_path / "gateway", ["-c", file])
    try:
        gateway.until_ready()
        for each in [wrap() for _ in range(3)]:
            each.until_registered()
        until(
            lambda: httpx.get(gateway.url, trust_env=False, timeout=30).status_code == 200,
            "the gateway to know of them",
        )
        with Load(gateway.url, kept=4, fresh=2) as load:
            for number in range(4):
                until(lambda: set(load.served) >= {each.id for each in living[-3:]}, "all to serve")
                os.kill(living[number].process.pid, signal.SIGKILL)
                load.more(100)
                wrap().until_registered()
        assert load.failures == []
        gateway.check()
    finally:
        for each in living:
            each.kill()
        gateway.kill()
