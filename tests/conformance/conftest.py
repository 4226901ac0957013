"""The gateways and services that these tests share.

Starting a gateway takes half a second, so one serves many tests: each takes the next of a row of services of its own,
which no other test touches until its connections are long gone.
"""

from __future__ import annotations

import atexit
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import cycle
from pathlib import Path

import pytest

from .running import Gateway
from .upstream import Upstream
from .wire import Wire

SERVICES = 64

Start = Callable[..., Gateway]


@pytest.fixture(scope="session")
def services() -> Iterator[list[Upstream]]:
    """The services of the shared gateway."""
    made = [Upstream(f"s{number}") for number in range(SERVICES)]
    yield made
    for each in made:
        each.forget()
        each.listener.close()


@pytest.fixture(scope="session")
def gateway(tmp_path_factory: pytest.TempPathFactory, services: list[Upstream]) -> Iterator[Gateway]:
    """The shared gateway, with default settings. 127.0.0.2 is a trusted proxy."""
    rules = [
        '[gateway]\naccess_log = "access.log"\nadmin = "off"\ntrusted_proxies = ["127.0.0.2"]\n',
        '[[routes]]\nname = "fixed"\nhosts = ["fixed.test"]\nrespond = { status = 200, body = "fixed" }\n',
        '[[routes]]\nname = "gone"\nhosts = ["gone.test"]\nservice = "gone"\n',
        f'[services.gone]\nendpoints = ["127.0.0.1:{free_port()}"]\n',
        *(routes(each) for each in services),
    ]
    running = Gateway(tmp_path_factory.mktemp("gateway"), "\n".join(rules))
    yield running
    assert running.end() == 0
    assert running.complaints() == []


def free_port() -> int:
    """A port on which nobody listens: it stays bound until this process ends, so that nobody else is given it."""
    end = socket.socket()
    atexit.register(end.close)
    end.bind(("127.0.0.1", 0))
    return int(end.getsockname()[1])


def routes(service: Upstream) -> str:
    """A service and its two routes, as mesh.toml has them."""
    name = service.name
    return f"""
        [[routes]]
        name = "{name}"
        hosts = ["{service.host.decode()}"]
        service = "{name}"
        retry = {{ attempts = 0 }}

        [[routes]]
        name = "{name}-retry"
        hosts = ["{service.retried.decode()}"]
        service = "{name}"

        [services.{name}]
        endpoints = ["127.0.0.1:{service.port}"]
    """


@pytest.fixture(scope="session")
def _row(services: list[Upstream]) -> Iterator[Upstream]:
    return cycle(services)


@pytest.fixture
def upstream(_row: Iterator[Upstream]) -> Iterator[Upstream]:
    """A service of this test alone."""
    service = next(_row)
    yield service
    service.forget()


@pytest.fixture
def client(gateway: Gateway) -> Iterator[Wire]:
    """A client's connection to the shared gateway."""
    with gateway.connect() as wire:
        yield wire


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Start]:
    """Starts a gateway with a configuration of its own, ended with the module."""
    with ExitStack() as stack:

        def begin(config: str, *options: str, folder: Path | None = None) -> Gateway:
            running = Gateway(folder or tmp_path_factory.mktemp("gateway"), config, *options)
            stack.callback(_finish, running)
            return running

        yield begin


def _finish(running: Gateway) -> None:
    if running.process.poll() is None:
        assert running.end() == 0
    assert running.complaints() == []
