"""How fast a registration is live in every proxy of a large mesh, and what following it costs a proxy that is idle.

The store holds many services whose endpoints are registered under one lease; real sidecars follow it. An endpoint is
announced or withdrawn, and every proxy is asked through its admin socket when it has acted on that.
"""

from __future__ import annotations

import os
import random
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from statistics import mean, median

import msgspec

from meshctl import clock
from meshctl.control.acks import proxies
from meshctl.control.client import ask_all
from meshctl.control.discovery import announce, machine, withdraw
from meshctl.model.registration import Registration
from meshctl.model.views import ProxyRecord
from meshctl.store.home import open_home
from meshctl.store.protocol import Store
from meshctl.store.sqlite import SqliteStore

from . import noise, wrapped
from .measure import Say
from .noise import Disturbance
from .running import Running, StartFailed

SERVICES, ENDPOINTS = 200, 5
PROXIES = 10
CHANGES = 50
NEW_EVERY = 5
"""One registration in so many is the first of its service, for which a proxy compiles everything anew."""
OTHERS = 200
KEEP_ALIVE_EVERY = 10.0
"""So many other proxies keep their leases alive meanwhile, each so often: commits that every proxy looks at."""
IDLE_SECONDS = 10.0
_LIFE = 3600.0
_SETTLE = 2.0

KINDS = ("one more endpoint", "a service's first endpoint", "an endpoint withdrawn")


@dataclass(slots=True)
class Discovery:
    """What was found. `live` is, by kind of change, the milliseconds until the last proxy had followed; `idle` is each
    proxy's share of a core while nothing changes; `cpu` the milliseconds of CPU that a change costs a proxy."""

    live: dict[str, list[float]] = field(default_factory=lambda: {kind: [] for kind in KINDS})
    idle: list[float] = field(default_factory=list)
    cpu: float = 0.0
    error: str = ""
    disturbance: Disturbance | None = None

    @property
    def registered(self) -> list[float]:
        """The milliseconds of all registrations."""
        return self.live[KINDS[0]] + self.live[KINDS[1]]

    @property
    def worst(self) -> float:
        """Of all registrations, the slowest."""
        return max(self.registered)

    @property
    def middle(self) -> float:
        """The median of all registrations."""
        return median(self.registered)

    @property
    def busiest(self) -> float:
        """The largest share of a core that an idle proxy uses, in percent."""
        return max(self.idle) * 100


def measure(say: Say) -> Discovery:
    """Fill a store, start the proxies, and see how they follow; `error` says why not."""
    found = Discovery()
    with tempfile.TemporaryDirectory(prefix="meshctl-bench-") as name, ExitStack() as stack:
        folder = Path(name)
        home = open_home(folder / "home")
        store = stack.enter_context(closing(SqliteStore(home.database)))
        lease = store.grant(_LIFE)
        say(f"discovery: {SERVICES} services with {ENDPOINTS} endpoints each")
        for service in range(SERVICES):
            for number in range(ENDPOINTS):
                announce(store, _endpoint(service, number), lease)
        try:
            sidecars = [stack.enter_context(each) for each in _started(folder, home.path, say)]
            records = _ready(store, sidecars)
            time.sleep(_SETTLE)
            with _kept_alive(home.database):
                _measure(found, store, lease, records, sidecars, say)
        except StartFailed as error:
            found.error = str(error)
    return found


def _measure(
    found: Discovery,
    store: Store,
    lease: str,
    records: Sequence[ProxyRecord],
    sidecars: Sequence[Running],
    say: Say,
) -> None:
    say(f"discovery: idle for {IDLE_SECONDS:g} s")
    mark = noise.mark(0.0)
    before = _cpu(sidecars)
    time.sleep(IDLE_SECONDS)
    after = _cpu(sidecars)
    found.idle = [(late - early) / IDLE_SECONDS for early, late in zip(before, after, strict=True)]
    for number in range(CHANGES):
        say(f"discovery: registration {number + 1} of {CHANGES}")
        is_new = number % NEW_EVERY == NEW_EVERY - 1
        endpoint = _endpoint(SERVICES + number if is_new else number * 7 % SERVICES, ENDPOINTS)
        _follow(found.live[KINDS[is_new]], records, partial(announce, store, endpoint, lease))
        _follow(found.live[KINDS[2]], records, partial(withdraw, store, endpoint))
    used = [late - early for early, late in zip(after, _cpu(sidecars), strict=True)]
    found.cpu = mean(used) * 1e3 / (2 * CHANGES)
    found.disturbance = mark.until(noise.mark(sum(_cpu(sidecars)) - sum(before)))


def _follow(times: list[float], records: Sequence[ProxyRecord], change: Callable[[], int]) -> None:
    """Change something and note how long it takes until every proxy has acted on it, the commit included."""
    # Any moment between two looks at the store is as good as another.
    time.sleep(random.uniform(0.05, 0.15))
    began = time.perf_counter()
    revision = change()
    answers = ask_all(records, f"/v1/synced?revision={revision}", timeout=30.0)
    times.append((time.perf_counter() - began) * 1e3)
    for answer in answers:
        if answer.error or msgspec.json.decode(answer.body)["revision"] < revision:
            raise StartFailed(f"{answer.record.id} has not followed: {answer.error or answer.body!r}")


def _endpoint(service: int, number: int) -> Registration:
    return Registration(
        f"service-{service:03d}",
        "v1",
        "127.0.0.1",
        20_000 + number,
        f"sidecar-{service}-{number}",
        os.getpid(),
        machine(),
        clock.wall(),
    )


def _started(folder: Path, home: Path, say: Say) -> Iterator[Running]:
    for number in range(PROXIES):
        say(f"discovery: proxy {number + 1} of {PROXIES} starts")
        told = folder / f"app-{number}.pid"
        command = wrapped.idle(home, f"watcher-{number}", told)
        yield Running([command], folder / f"output-{number}", 0, None, [told])


def _ready(store: Store, sidecars: Sequence[Running]) -> list[ProxyRecord]:
    """The records of the proxies, once each has followed all there is."""
    for each in sidecars:
        each.until(lambda: len(proxies(store)) == PROXIES, lambda: f"{len(proxies(store))} of {PROXIES} proxies run")
    records = proxies(store)
    for answer in ask_all(records, f"/v1/synced?revision={store.revision()}", timeout=30.0):
        if answer.error:
            raise StartFailed(f"{answer.record.id}: {answer.error}")
    return records


@contextmanager
def _kept_alive(database: Path) -> Iterator[None]:
    """Other proxies' keep-alives, evenly spread, while this lasts."""
    ended = threading.Event()

    def keep() -> None:
        with closing(SqliteStore(database)) as store:
            leases = [store.grant(_LIFE) for _ in range(OTHERS)]
            at = 0
            while not ended.wait(KEEP_ALIVE_EVERY / OTHERS):
                store.keep_alive(leases[at % OTHERS])
                at += 1

    thread = threading.Thread(target=keep)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _cpu(sidecars: Sequence[Running]) -> list[float]:
    return [sum(each.cpu().values()) for each in sidecars]
