"""The worker processes of one proxy: born by fork, given their orders, watched, and started again when they crash.

A worker that ends is known by its channel's end. The first crash is mended at once, more of them with growing pauses,
and the others go on meanwhile. Forks happen outside the running event loop (`fork_due`), so that a child starts clean.
"""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Final

from meshctl import clock
from meshctl.control.slot import Slot, be_worker, reap, why
from meshctl.model.views import WorkerView
from meshctl.observe.log import Events
from meshctl.observe.sample import Sample
from meshctl.observe.sample import decode as decode_sample
from meshctl.observe.totals import Totals
from meshctl.proxy.messages import (
    Abort,
    Answer,
    Ask,
    Channel,
    Commit,
    Drain,
    Message,
    Notice,
    Prepare,
    Prepared,
)
from meshctl.proxy.meters import Meters

PATIENCE: Final = 15.0
"""Seconds a worker gets to compile a revision."""


class Fleet:
    """See the module."""

    def __init__(self, loop: asyncio.AbstractEventLoop, count: int) -> None:
        self.loop = loop
        self.slots = [Slot(index) for index in range(count)]
        self.meters, self.totals = Meters(), Totals()
        self.is_stopping = False
        self.empty: asyncio.Future[None] = loop.create_future()
        self.order_for: Callable[[int], tuple[Prepare, list[int]] | None] = lambda _index: None
        """What a worker that is started should serve, by its index; None while nothing is served yet."""
        self._caught_up = asyncio.Event()
        self._due = list(self.slots)
        self.on_absent: Callable[[int], None] = lambda _index: None
        """Called with a worker's index when it will be away for a while and others are not."""
        self.on: dict[type[Message], Callable[[Any], None]] = {}
        """Who is told of what else workers say."""
        self._asked: dict[int, asyncio.Future[bytes]] = {}
        self._ask_id = 0
        self._standing: dict[type[Message], tuple[Message, list[int]]] = {}
        self._events = Events("fleet")

    def __repr__(self) -> str:
        return f"<Fleet {self.slots}>"

    # births

    def fork_due(self) -> None:
        """Start the workers that are due; called while the loop does not run."""
        due, self._due = self._due, []
        for slot in due:
            self._fork(slot)
            self._order(slot)

    def _order(self, slot: Slot) -> None:
        for message, sockets in self._standing.values():
            self._send(slot, message, sockets)
        order = self.order_for(slot.index)
        if order is not None:
            slot.revision = order[0].number
            self._send(slot, order[0], order[1])

    def _fork(self, slot: Slot) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        # Pages that are never written stay shared: the collector would touch every object in them.
        gc.collect()
        gc.freeze()
        pid = os.fork()
        if pid == 0:
            be_worker(theirs, slot.index, len(self.slots), self.meters)
        gc.unfreeze()
        theirs.close()
        slot.pid, slot.channel, slot.born, slot.state = pid, Channel(ours), clock.monotonic(), "starting"
        slot.revision = 0
        self.loop.add_reader(ours, self._on_message, slot)

    # orders

    async def change(self, orders: Callable[[int], tuple[Prepare, list[int]]]) -> str:
        """Have every worker compile a revision and then, if none refused, serve it: "" or the first refusal.

        One that is being started again has no part in it: `catch_up` gives it what is served by then."""
        taking_part = await self._able()
        futures: list[asyncio.Future[str]] = []
        number = 0
        for slot in taking_part:
            order, sockets = orders(slot.index)
            number = order.number
            slot.prepared = self.loop.create_future()
            self._send(slot, order, sockets)
            futures.append(slot.prepared)
        try:
            async with asyncio.timeout(PATIENCE):
                refusals = [refusal for future in futures if (refusal := await future)]
        except TimeoutError:
            refusals = [f"a worker did not answer within {PATIENCE:g} s"]
        if not taking_part:
            refusals = ["no worker runs that could compile it"]
        verdict: Message = Abort(number) if refusals else Commit(number)
        for slot in taking_part:
            slot.prepared = None
            self._send(slot, verdict)
            if not refusals and slot.channel is not None:
                slot.state, slot.revision = "ready", number
        # Orders are obeyed one after another: whoever answers this has changed over.
        await self.ask("commit", PATIENCE)
        return refusals[0] if refusals else ""

    async def _able(self) -> list[Slot]:
        """The workers that can take part in a change; waits for one where all are being started again."""
        deadline = self.loop.time() + PATIENCE
        while True:
            found = [slot for slot in self.slots if slot.channel and (slot.state == "ready" or not slot.revision)]
            if found or self.loop.time() > deadline:
                return found
            self._caught_up.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout_at(deadline):
                    await self._caught_up.wait()

    def catch_up(self, number: int) -> None:
        """Give what is served now, which is revision `number`, to workers that were started during the change to it."""
        for slot in self.slots:
            if slot.revision != number and slot.channel is not None:
                slot.state = "starting"
                self._order(slot)

    async def ask(self, what: str, timeout: float = 1.0) -> list[tuple[Slot, bytes]]:
        """The answers of the workers that give one in time."""
        waiting = []
        for slot in [each for each in self.slots if each.channel is not None]:
            self._ask_id += 1
            future: asyncio.Future[bytes] = self.loop.create_future()
            self._asked[self._ask_id] = future
            waiting.append((self._ask_id, slot, future))
            self._send(slot, Ask(self._ask_id, what))
        if waiting:
            await asyncio.wait([future for _, _, future in waiting], timeout=timeout)
        for number, _, _ in waiting:
            self._asked.pop(number, None)
        return [(slot, future.result()) for _, slot, future in waiting if future.done() and not future.cancelled()]

    async def sample(self) -> Sample:
        """What the whole proxy has counted, the workers that ended included."""
        for slot, payload in await self.ask("sample"):
            self.totals.update(slot.pid, decode_sample(payload))
        return self.totals.merged()

    def tell(self, message: Message, *, standing: bool = False, sockets: Sequence[int] = ()) -> None:
        """Send an order to every worker, with `standing` also to those started later; `sockets` come with it."""
        if standing:
            self._standing[type(message)] = message, list(sockets)
        for slot in self.slots:
            self._send(slot, message, list(sockets))

    def stop(self, seconds: float) -> None:
        """Have every worker finish what is in flight within `seconds`; `empty` is done when the last one has ended."""
        self.is_stopping = True
        self._due.clear()
        for slot in self.slots:
            slot.state = "draining"
        self.tell(Drain(seconds))
        self._check_empty()

    def kill(self) -> None:
        """End every worker now."""
        for slot in self.slots:
            if slot.channel is not None:
                os.kill(slot.pid, signal.SIGKILL)

    # what is seen

    @property
    def restarts(self) -> int:
        """How often a worker had to be started again."""
        return sum(slot.restarts for slot in self.slots)

    @property
    def pids(self) -> tuple[int, ...]:
        """The living workers."""
        return tuple(slot.pid for slot in self.slots if slot.channel is not None)

    def views(self) -> tuple[WorkerView, ...]:
        """The workers as `gateway status` shows them."""
        views = []
        for slot in self.slots:
            sample = self.totals.worker(slot.pid)
            views.append(
                WorkerView(slot.pid, slot.state, slot.restarts, sample.connections, sample.in_flight, sample.requests)
            )
        return tuple(views)

    # the rest is private

    def _send(self, slot: Slot, message: Message, sockets: list[int] | None = None) -> None:
        channel = slot.channel
        if channel is None:
            return
        try:
            if not channel.send(message, sockets):
                self.loop.add_writer(channel.socket, self._on_writable, slot)
        except OSError:
            pass  # It has ended: its channel's end tells.

    def _on_writable(self, slot: Slot) -> None:
        channel = slot.channel
        if channel is None:
            return
        try:
            if channel.flush():
                self.loop.remove_writer(channel.socket)
        except OSError:
            self.loop.remove_writer(channel.socket)

    def _on_message(self, slot: Slot) -> None:
        assert slot.channel is not None
        try:
            for message in slot.channel.receive():
                self._take(slot, message)
        except EOFError:
            self._on_end(slot)

    def _take(self, slot: Slot, message: Message) -> None:
        match message:
            case Prepared(number, refusal):
                if slot.prepared is not None and not slot.prepared.done():
                    slot.prepared.set_result(refusal)
                elif slot.state == "starting" and slot.revision == number:
                    self._on_caught_up(slot, number, refusal)
            case Answer(number, payload):
                future = self._asked.pop(number, None)
                if future is not None and not future.done():
                    future.set_result(payload)
            case Notice(event, fields, is_trouble):
                tell = self._events.warning if is_trouble else self._events.info
                tell(event, worker=slot.pid, **fields)
            case _:
                self.on.get(type(message), lambda _message: None)(message)

    def _on_caught_up(self, slot: Slot, number: int, refusal: str) -> None:
        if not refusal:
            self._send(slot, Commit(number))
            slot.state = "ready"
            self._caught_up.set()
            return
        # Its siblings serve this: a file has gone since, or is broken. It may be back with the next try, after a pause.
        self._events.error("worker_refused", worker=slot.pid, revision=number, reason=refusal)
        self._send(slot, Drain(0.0))

    def _on_end(self, slot: Slot) -> None:
        assert slot.channel is not None
        self.loop.remove_reader(slot.channel.socket)
        self.loop.remove_writer(slot.channel.socket)
        slot.channel.close()
        slot.channel = None
        status = reap(slot.pid)
        self.totals.lost(slot.pid)
        if slot.prepared is not None and not slot.prepared.done():
            slot.prepared.set_result("a worker ended while it compiled the revision")
        if self.is_stopping:
            self._check_empty()
            return
        pause = slot.crash(clock.monotonic())
        # Before all else: whatever goes wrong with that, the worker comes back.
        self.loop.call_later(pause, self._schedule, slot)
        if pause and self.pids:
            # It will be away for a while: connections that would wait for it go to the others instead.
            self.on_absent(slot.index)
        self._events.error("worker_ended", worker=slot.pid, why=why(status), restart_in=f"{pause:g}s")

    def _schedule(self, slot: Slot) -> None:
        if not self.is_stopping:
            self._due.append(slot)
            self.loop.stop()

    def _check_empty(self) -> None:
        if not any(slot.channel for slot in self.slots) and not self.empty.done():
            self.empty.set_result(None)
