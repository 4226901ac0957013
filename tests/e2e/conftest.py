"""Fixtures: gateways and servers as processes, shared by a module where its tests do not change them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from .gateway import Gateway
from .servers import Upstreams

StartGateway = Callable[..., Gateway]
StartUpstreams = Callable[..., Upstreams]


@pytest.fixture(scope="session")
def upstreams() -> Iterator[Upstreams]:
    """Three servers, a, b and c, for all tests that leave them as they are."""
    started = Upstreams("a", "b", "c")
    yield started
    started.end()


@pytest.fixture
def start_upstreams() -> Iterator[StartUpstreams]:
    """Starts servers of the test's own: `start_upstreams("one", "two")`."""
    started: list[Upstreams] = []

    def start(*names: str) -> Upstreams:
        started.append(Upstreams(*names))
        return started[-1]

    yield start
    for each in started:
        each.end()


@pytest.fixture
def start_gateway(tmp_path: Path) -> Iterator[StartGateway]:
    """Starts gateways: `start_gateway("--route", …)`, ready when it returns. At the end of the test each one that still
    runs must end cleanly and have nothing to complain of."""
    started: list[Gateway] = []

    def start(*arguments: object, home: Path | None = None, listen: str = "127.0.0.1:0") -> Gateway:
        where = ("--listen", listen) if listen else ()
        made = Gateway(home or tmp_path / "home", tmp_path / f"gateway{len(started)}", [*arguments, *where])
        started.append(made)
        return made.until_ready()

    yield start
    try:
        for each in started:
            if each.process.poll() is None:
                each.check()
    finally:
        for each in started:
            each.kill()


@pytest.fixture(scope="module")
def gateway(upstreams: Upstreams, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """One gateway in front of server a, shared by the module's tests."""
    folder = tmp_path_factory.mktemp("gateway")
    made = Gateway(folder / "home", folder, ["--route", f"/={upstreams.url_of('a')}", "--listen", "127.0.0.1:0"])
    try:
        yield made.until_ready()
        made.check()
    finally:
        made.kill()


@pytest.fixture
def http() -> Iterator[httpx.Client]:
    """A client that keeps connections, and waits longer than a busy machine needs."""
    # httpx gives up connections after five seconds; whoever means the same one may be kept waiting for longer.
    with httpx.Client(timeout=60, trust_env=False, limits=httpx.Limits(keepalive_expiry=600)) as client:
        yield client
