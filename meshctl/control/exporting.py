"""What workers tell of traces, on its way out: collected, told to a receiver in batches, and forgotten where that takes
too long. Nothing waits for it, and it takes no more memory than `MOST` spans. Nothing of it is loaded while no traces
are asked for.

    workers ──Traced──▶ waiting ──a second later, or a batch──▶ receiver
                          └──full, refused, away for too long──▶ counted
"""

from __future__ import annotations

import asyncio
import importlib
import os
import socket
from collections import deque
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Final

from meshctl import __version__
from meshctl.errors import install
from meshctl.model.tracing import Traced
from meshctl.observe.log import Events
from meshctl.observe.sample import Sample
from meshctl.proxy.tasks import rest, spawn

if TYPE_CHECKING:
    from meshctl.control.fleet import Fleet
    from meshctl.control.otlp import Receiver
    from meshctl.model.mesh import Mesh
    from meshctl.model.tracing import Span, Tracing
    from meshctl.model.views import ProxyRecord

EVERY: Final = 1.0
"""Seconds that spans wait for more of them."""
BATCH: Final = 512
"""Spans that are told of at once."""
MOST: Final = 8_192
"""Spans that may wait."""
TRIES: Final = 4
"""How often a batch is told, at most."""
FIRST_PAUSE: Final = 1.0
LONGEST_PAUSE: Final = 30.0
"""Seconds between two tries of a batch."""
AGAIN: Final = 10.0
"""Seconds until it is looked again whether what keeps anybody from being told has been put right."""
LAST_WORDS: Final = 2.0
"""Seconds for what is left when the proxy ends."""


class Exporting:
    """See the module. `record` says who this is."""

    def __init__(self, fleet: Fleet, record: ProxyRecord) -> None:
        self._fleet = fleet
        self._record = record
        self._config: Tracing | None = None
        self._task: asyncio.Task[None] | None = None
        self._again: asyncio.TimerHandle | None = None
        self._obstacle = ""
        self._waiting: deque[Span] = deque()
        self._some, self._many, self._ending = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._exported = self._dropped = 0
        self._is_down = False
        self._events = Events("traces")
        fleet.on[Traced] = self.take

    def __repr__(self) -> str:
        return f"<Exporting {len(self._waiting)} waiting, {self._exported} exported, {self._dropped} dropped>"

    def adopt(self, mesh: Mesh) -> None:
        """Tell whom a configuration names from now on."""
        if mesh.tracing == self._config:
            return
        self._config = mesh.tracing
        self._rest()
        if self._task is not None:
            self._task.cancel()
            self._task = None
        if mesh.tracing is not None:
            self._begin(mesh.tracing, mesh.name)
        else:
            self._forget()

    def take(self, told: Traced) -> None:
        """A worker has spans."""
        room = max(0, MOST - len(self._waiting)) if self._task is not None else 0
        self._waiting.extend(told.spans[:room])
        self._count(dropped=told.dropped + max(0, len(told.spans) - room))
        if self._waiting:
            self._some.set()
        if len(self._waiting) >= BATCH:
            self._many.set()

    async def close(self) -> None:
        """Tell what is left, if that can be done at once."""
        self._rest()
        if self._task is None:
            return
        self._ending.set()
        self._some.set()
        self._many.set()
        await asyncio.wait([self._task], timeout=LAST_WORDS)
        self._task.cancel()

    def _begin(self, config: Tracing, mesh: str) -> None:
        self._task = spawn(self._export(config, mesh), name="export traces")

    def _rest(self) -> None:
        if self._again is not None:
            self._again.cancel()
            self._again = None

    async def _export(self, config: Tracing, mesh: str) -> None:
        receiver = self._receiver(config, mesh)
        if receiver is None:
            self._task = None
            self._forget()
            self._again = asyncio.get_running_loop().call_later(AGAIN, self._begin, config, mesh)
            return
        self._obstacle = ""
        try:
            while self._waiting or not self._ending.is_set():
                await self._some.wait()
                if len(self._waiting) < BATCH:
                    await rest(self._many, EVERY)
                if self._waiting:
                    await self._deliver(receiver, list(islice(self._waiting, BATCH)))
                if not self._ending.is_set():
                    self._many.clear()
                    if not self._waiting:
                        self._some.clear()
        finally:
            await receiver.close()

    def _receiver(self, config: Tracing, mesh: str) -> Receiver | None:
        """Whom to tell; None where that is not possible, which is told instead."""
        from meshctl.config.build_tracing import read_fields

        # What was installed meanwhile is found.
        importlib.invalidate_caches()
        try:
            from meshctl.control.otlp import Receiver
        except ImportError as error:
            self._hindered("tracing_library_missing", module=error.name or "", hint=install("otlp"))
            return None
        try:
            file = config.headers_file
            fields = read_fields(Path(file).read_text(encoding="utf-8")) if file else []
        except (OSError, ValueError) as error:
            self._hindered("tracing_headers_unreadable", file=config.headers_file, error=error)
            return None
        return Receiver(f"{config.endpoint}/v1/traces", self._resource(config, mesh), fields)

    def _hindered(self, event: str, **facts: object) -> None:
        """Tell what keeps anybody from being told, once."""
        if self._obstacle != event:
            self._obstacle = event
            self._events.warning(event, **facts)

    def _resource(self, config: Tracing, mesh: str) -> dict[str, str | int]:
        record, host = self._record, socket.gethostname()
        return {
            "service.name": config.service_name or record.service,
            "service.namespace": mesh,
            "service.version": record.app_version or __version__,
            "service.instance.id": f"{record.id}@{host}",
            "host.name": host,
            "process.pid": record.pid,
            "meshctl.role": record.role,
        }

    async def _deliver(self, receiver: Receiver, batch: list[Span]) -> None:
        """Tell of one batch, again after a pause where the receiver may take it then. It stays in its place meanwhile,
        so that what waits is bounded as a whole."""
        from meshctl.control.otlp import Refused

        taken = 0
        for number in range(1, TRIES + 1):
            try:
                taken = len(batch) - await receiver.send(batch)
            except Refused as error:
                self._complain(receiver, error)
                if not error.may_retry or self._ending.is_set():
                    break
                if number < TRIES:
                    await rest(self._ending, min(max(error.pause, FIRST_PAUSE * 2.0 ** (number - 1)), LONGEST_PAUSE))
            else:
                self._found(receiver)
                break
        for _ in batch:
            self._waiting.popleft()
        self._count(exported=taken, dropped=len(batch) - taken)

    def _forget(self) -> None:
        self._count(dropped=len(self._waiting))
        self._waiting.clear()

    def _count(self, *, exported: int = 0, dropped: int = 0) -> None:
        if exported or dropped:
            self._exported += exported
            self._dropped += dropped
            # Beside the workers' own counts, as one of them.
            self._fleet.totals.update(os.getpid(), Sample(spans_exported=self._exported, spans_dropped=self._dropped))

    def _complain(self, receiver: Receiver, error: Exception) -> None:
        if not self._is_down:
            self._is_down = True
            self._events.warning(
                "traces_not_exported", receiver=receiver.url, error=error, hint="meshctl_spans_dropped_total counts"
            )

    def _found(self, receiver: Receiver) -> None:
        if self._is_down:
            self._is_down = False
            self._events.info("traces_exported_again", receiver=receiver.url)
