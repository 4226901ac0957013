"""Clients of the admin socket who look on: what they get, what they cost, and how they go."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import pytest

from meshctl.control import tapping as tapping_module
from meshctl.control.reception import Reception
from meshctl.control.tapping import Tapping
from meshctl.control.watching import Watch
from meshctl.model.tap import Seen, TapEvent, TapFilter, Tapped, Taps
from meshctl.model.views import ProxyRecord

PATIENCE = 20.0


@dataclass
class Workers:
    """What a fleet is to taps: told of them, and asked for what they want."""

    on: dict[type, Callable[[Any], None]] = field(default_factory=dict)
    taps: Taps = Taps(())  # noqa: RUF009 - a frozen value

    def tell(self, message: Taps, *, standing: bool = False) -> None:
        """Workers that are started later are told, too."""
        assert standing
        self.taps = message


class Proxy:
    """A proxy's admin socket in a thread, behind which tests say what workers see."""

    def __init__(self, path: Path, name: str) -> None:
        self.record = ProxyRecord(name, "gateway", 1, 0.0, str(path))
        self.workers = Workers()
        self._loop = asyncio.new_event_loop()
        self._tapping = Tapping(self._loop, self.workers, name)  # type: ignore[arg-type]
        self._reception = Reception(self._loop, _nobody, _nobody, {}, {"/v1/tap": self._tapping.show})  # type: ignore[arg-type]
        self._door = socket.socket(socket.AF_UNIX)
        self._door.bind(str(path))
        self._door.listen()
        self._loop.call_soon(self._reception.open, self._door)
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()

    def do(self, what: Callable[[], object]) -> None:
        """Have it done in the proxy's loop."""
        done = threading.Event()

        def run() -> None:
            try:
                what()
            finally:
                done.set()

        self._loop.call_soon_threadsafe(run)
        assert done.wait(PATIENCE)

    def see(self, *paths: str, tap: int = 1) -> None:
        """Have workers see requests."""
        lines = msgspec.json.Encoder().encode_lines([Tapped(event(path)) for path in paths])
        self.do(lambda: self.workers.on[Seen](Seen(tap, lines)))

    def until_taps(self, count: int) -> None:
        """Return when so many look on."""
        for _ in range(int(PATIENCE / 0.01)):
            if len(self.workers.taps.orders) == count:
                return
            threading.Event().wait(0.01)
        raise AssertionError(f"{len(self.workers.taps.orders)} look on, not {count}")

    def close(self) -> None:
        """End it, and whoever looks on."""
        self.do(self._reception.close)
        self.do(lambda: [task.cancel() for task in asyncio.all_tasks(self._loop)])
        self.do(lambda: None)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


async def _nobody(*_: object) -> None:
    raise AssertionError("this is for nobody else")


def event(path: str) -> TapEvent:
    """A request."""
    return TapEvent(1.0, "gateway", "GET", "x", path, 200, 1, "id")


@pytest.fixture
def proxy(tmp_path: Path) -> Iterator[Proxy]:
    with closing(Proxy(tmp_path / "a.sock", "a")) as made:
        yield made


def heard(watch: Watch, count: int) -> list[str]:
    """The proxies and paths of what a watch hears, once these are `count`."""
    found: list[str] = []
    for _ in range(int(PATIENCE / 0.1)):
        found += [f"{record.id}{each.path}" for record, each in watch.hear(0.1).seen]
        if len(found) >= count:
            return sorted(found)
    raise AssertionError(found)


def test_all_are_watched_and_who_goes_is_forgotten(proxy: Proxy, tmp_path: Path) -> None:
    """What any proxy sees is heard, also of one that is started later; when the watch ends workers are told at once,
    and when a proxy ends the watch goes on."""
    wanted = TapFilter(methods=("GET",), paths=("/ü?&",), statuses=((500, 599),))
    known = [proxy]
    with Watch(lambda: [each.record for each in known], wanted) as watch:
        watch.hear(0.0)
        proxy.until_taps(1)
        assert proxy.workers.taps.orders[0].filter == wanted
        proxy.see("/1", "/2")
        assert heard(watch, 2) == ["a/1", "a/2"]
        later = Proxy(tmp_path / "b.sock", "b")
        known.append(later)
        watch._look_at = 0.0
        watch.hear(0.0)
        later.until_taps(1)
        later.see("/3")
        assert heard(watch, 1) == ["b/3"]
        later.close()
        assert [(record.id, why) for record, why in until_lost(watch)] == [("b", "")]
        proxy.see("/4")
        assert heard(watch, 1) == ["a/4"]
    proxy.until_taps(0)


def until_lost(watch: Watch) -> Any:
    """Whom a watch loses next."""
    for _ in range(int(PATIENCE / 0.1)):
        if lost := watch.hear(0.1).lost:
            return lost
    raise AssertionError("nobody went")


def test_who_does_not_read_is_told_what_is_missing(proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    """What waits for a client is bounded; the rest is counted, and told once it reads again: none is missing."""
    monkeypatch.setattr(tapping_module, "LIMIT", 100_000)
    with Watch(lambda: [proxy.record], TapFilter()) as watch:
        watch.hear(0.0)
        proxy.until_taps(1)
        for _ in range(100):
            proxy.see(*["/" + "x" * 1_000] * 10)
        seen = skipped = more = 0
        while not skipped and more < 100:
            now = watch.hear(0.05)
            seen, skipped = seen + len(now.seen), skipped + now.skipped
            if not now.seen:
                # The count comes with the next request that is shown.
                more += 1
                proxy.see("/more")
        assert 0 < seen < 1_000
        for _ in range(int(PATIENCE / 0.05)):
            if seen + skipped == 1_000 + more:
                break
            now = watch.hear(0.05)
            seen, skipped = seen + len(now.seen), skipped + now.skipped
        assert seen + skipped == 1_000 + more


def test_a_wrong_filter_is_refused(proxy: Proxy) -> None:
    """What is no filter is told, and nobody looks on."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(PATIENCE)
        client.connect(proxy.record.socket)
        client.sendall(b"GET /v1/tap?filter=%7B%22slow%22%3A%22x%22%7D HTTP/1.1\r\nHost: x\r\n\r\n")
        assert client.recv(65536).startswith(b"HTTP/1.1 400 ")
    assert proxy.workers.taps.orders == ()
