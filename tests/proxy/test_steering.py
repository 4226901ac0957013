"""Which services carry anything to inject or copy: those that are to, as long as they are to, and no others."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Iterator

import pytest

from meshctl.model.mesh import AccessLog, Gateway, Mesh
from meshctl.model.route import Match, PathMatch, Route
from meshctl.model.service import Endpoint, Service, Version
from meshctl.model.steering import Fault, Mirror, Steering
from meshctl.proxy.messages import Channel
from meshctl.proxy.service import LiveService
from meshctl.proxy.worker import Worker


@pytest.fixture
def worker() -> Iterator[Worker]:
    ours, theirs = socket.socketpair()
    loop = asyncio.new_event_loop()
    made = Worker(loop, Channel(theirs), 0, 1)
    serve(made, 1)
    yield made
    made.close()
    loop.remove_reader(made.orders.channel.socket)
    made.orders.channel.close()
    ours.close()
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()


def serve(worker: Worker, number: int) -> None:
    """Have it serve two services, to one version of which a route leads."""
    versions = tuple(Version(name, (Endpoint("127.0.0.1", 9),)) for name in ("v1", "v2"))
    routes = (
        Route("all", service="orders"),
        Route("pinned", Match(path=PathMatch("prefix", "/v2")), service="orders", version="v2"),
        Route("web", Match(path=PathMatch("prefix", "/web")), service="web"),
    )
    services = (Service("orders", versions), Service("web", versions))
    mesh = Mesh(gateway=Gateway(access_log=AccessLog(path="off")), routes=routes, services=services)
    worker.adopt(worker.registry.compile(number, mesh))
    worker.steering.apply()


def steered(worker: Worker) -> list[str]:
    """The routes whose service carries anything."""
    found: list[tuple[str, LiveService | None]] = [(each.name, each.service) for each in worker.snapshot.routes]
    return [name for name, service in found if service is not None and service.steering is not None]


def fault(seconds: float) -> Steering:
    """A fault that ends in so many seconds."""
    return Steering((Fault("orders", delay=1.0, delay_share=1.0, until=time.time() + seconds),))


def test_none(worker: Worker) -> None:
    """Without any there is nothing that a request could be held up by."""
    assert steered(worker) == []
    worker.steering.take(Steering((Fault("nothing", until=time.time() + 9),)))
    assert steered(worker) == []


def test_faults_come_and_go(worker: Worker) -> None:
    """A fault is there for each route to its service, one to a single version included, over revisions, until it is
    cleared."""
    worker.steering.take(fault(600))
    assert steered(worker) == ["all", "pinned"]
    serve(worker, 2)
    assert steered(worker) == ["all", "pinned"]
    worker.steering.take(Steering())
    assert steered(worker) == []
    serve(worker, 3)
    assert steered(worker) == []


def test_faults_end(worker: Worker) -> None:
    """A fault that has ended is let go of without a request to find that out, and without a word from anybody."""
    worker.steering.take(fault(3.0))
    assert steered(worker) == ["all", "pinned"]

    async def until_gone() -> None:
        async with asyncio.timeout(60):
            while steered(worker):
                await asyncio.sleep(0.01)

    worker.loop.run_until_complete(until_gone())
    worker.steering.take(fault(-1))
    assert steered(worker) == []


def test_mirrors_keep_their_counts(worker: Worker) -> None:
    """A mirror goes on where anything else changes; one that is set anew begins anew."""
    mirror = Mirror("web", "v2", at=1.0)
    worker.steering.take(Steering(mirrors=(mirror,)))
    assert steered(worker) == ["web"]
    before = worker.snapshot.services["web"].steering
    worker.steering.take(Steering(fault(600).faults, (mirror,)))
    serve(worker, 2)
    after = worker.snapshot.services["web"].steering
    assert before is not None
    assert after is not None
    assert before.mirror is after.mirror
    worker.steering.take(Steering(mirrors=(Mirror("web", "v2", at=2.0),)))
    assert [each.at for each in worker.steering.counts()] == [2.0]
