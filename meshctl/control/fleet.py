"""The worker processes of one proxy: born by fork, given their orders, watched, and started again when they crash.

A worker that ends is known by its channel's end. The first crash is mended at once, more of them with growing pauses, and
the others go on meanwhile. Forks happen outside the running event loop (`fork_due`), so that a child starts clean.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import socket
from collections.abc import Callable
from typing import Final, NoReturn

from meshctl import clock
from meshctl.model.views import WorkerView
from meshctl.observe.log import Events
from meshctl.observe.sample import Sample
from meshctl.observe.sample import decode as decode_sample
from meshctl.observe.totals import Totals
from meshctl.proxy.messages import Abort, Answer, Ask, Channel, Commit, Drain, Message, Notice, Prepare, Prepared, Reopen

FIRST_PAUSE: Final = 0.1
LONGEST_PAUSE: Final = 10.0
STEADY: Final = 10.0
"""Seconds after which a worker counts as well started, and its next crash as the first."""
PATIENCE: Final = 15.0
"""Seconds a worker gets to compile a revision."""


class Slot:
    """One worker's place: who fills it now, and how often it had to be filled."""

    def __init__(self, index: int) -> None:
        self.index = index
        self.pid = 0
        self.channel: Channel | None = None
        self.born = 0.0
        self.restarts = 0
        self.crashes = 0
        self.state = "starting"
        self.prepared: asyncio.Future[str] | None = None

    def __repr__(self) -> str:
        return f"<Slot {self.index} process {self.pid} {self.state}, {self.restarts} restarts>"


class Fleet:
    """See the module. `order_for(index)` gives a new worker what it should serve; None while nothing is served yet."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        count: int,
        order_for: Callable[[int], tuple[Prepare, list[int]] | None],
    ) -> None:
        self.loop = loop
        self.slots = [Slot(index) for index in range(count)]
        self.totals = Totals()
        self.is_stopping = False
        self.empty: asyncio.Future[None] = loop.create_future()
        self._order_for = order_for
        self._due = list(self.slots)
        self._asked: dict[int, asyncio.Future[bytes]] = {}
        self._ask_id = 0
        self._events = Events("fleet")

    def __repr__(self) -> str:
        return f"<Fleet {self.slots}>"

    # births

    def fork_due(self) -> None:
        """Start the workers that are due; called while the loop does not run."""
        due, self._due = self._due, []
        for slot in due:
            self._fork(slot)
            order = self._order_for(slot.index)
            if order is not None:
                self._send(slot, order[0], order[1])

    def _fork(self, slot: Slot) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        # Pages that are never written stay shared: the collector would touch every object in them.
        gc.collect()
        gc.freeze()
        pid = os.fork()
        if pid == 0:
            be_worker(theirs, slot.index, len(self.slots))
        gc.unfreeze()
        theirs.close()
        slot.pid, slot.channel, slot.born, slot.state = pid, Channel(ours), clock.monotonic(), "starting"
        self.loop.add_reader(ours, self._on_message, slot)

    # orders

    async def change(self, orders: Callable[[int], tuple[Prepare, list[int]]]) -> str:
        """Have every worker compile a revision and then, if none refused, serve it: "" or the first refusal."""
        futures: list[asyncio.Future[str]] = []
        number = 0
        for slot in self.slots:
            order, sockets = orders(slot.index)
            number = order.number
            slot.prepared = self.loop.create_future()
            if slot.channel is None:
                # It is being started again, and will be given what is current by then.
                slot.prepared.set_result("")
            else:
                self._send(slot, order, sockets)
            futures.append(slot.prepared)
        try:
            async with asyncio.timeout(PATIENCE):
                refusals = [refusal for future in futures if (refusal := await future)]
        except TimeoutError:
            refusals = [f"a worker did not answer within {PATIENCE:g} s"]
        verdict: Message = Abort(number) if refusals else Commit(number)
        for slot in self.slots:
            slot.prepared = None
            self._send(slot, verdict)
            if not refusals and slot.channel is not None:
                slot.state = "ready"
        return refusals[0] if refusals else ""

    async def ask(self, what: str, timeout: float = 1.0) -> list[tuple[Slot, bytes]]:
        """The answers of the workers that give one in time."""
        waiting = []
        for slot in self.slots:
            if slot.channel is None:
                continue
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

    def tell(self, message: Reopen | Drain) -> None:
        """Send an order to every worker."""
        for slot in self.slots:
            self._send(slot, message)

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
                elif refusal:
                    self._events.error("worker_refused", worker=slot.pid, revision=number, reason=refusal)
                elif slot.state == "starting":
                    self._send(slot, Commit(number))
                    slot.state = "ready"
            case Answer(number, payload):
                future = self._asked.pop(number, None)
                if future is not None and not future.done():
                    future.set_result(payload)
            case Notice(event, fields):
                self._events.warning(event, worker=slot.pid, **fields)
            case _:
                pass

    def _on_end(self, slot: Slot) -> None:
        assert slot.channel is not None
        self.loop.remove_reader(slot.channel.socket)
        self.loop.remove_writer(slot.channel.socket)
        slot.channel.close()
        slot.channel = None
        status = _reap(slot.pid)
        self.totals.lost(slot.pid)
        if slot.prepared is not None and not slot.prepared.done():
            slot.prepared.set_result("a worker ended while it compiled the revision")
        if self.is_stopping:
            self._check_empty()
            return
        lived = clock.monotonic() - slot.born
        slot.crashes = 0 if lived > STEADY else slot.crashes + 1
        pause = 0.0 if slot.crashes <= 1 else min(FIRST_PAUSE * 2 ** (slot.crashes - 2), LONGEST_PAUSE)
        slot.restarts += 1
        slot.state = "restarting"
        self._events.error("worker_ended", worker=slot.pid, why=_why(status), restart_in=f"{pause:g}s")
        self.loop.call_later(pause, self._schedule, slot)

    def _schedule(self, slot: Slot) -> None:
        if not self.is_stopping:
            self._due.append(slot)
            self.loop.stop()

    def _check_empty(self) -> None:
        if not any(slot.channel for slot in self.slots) and not self.empty.done():
            self.empty.set_result(None)


def be_worker(end: socket.socket, index: int, count: int) -> NoReturn:
    """Be worker `index` of `count` in a forked child, which never comes back.

    The supervisor's sockets, database and locks are closed by number and not by object: the objects belong to a process
    that goes on using them, and end with this one without any of their clean-up (`os._exit`)."""
    status = 1
    try:
        signal.set_wakeup_fd(-1)
        handle = end.fileno()
        os.closerange(3, handle)
        os.closerange(handle + 1, os.sysconf("SC_OPEN_MAX"))
        from meshctl.proxy.worker import run

        status = run(end, index, count)
    except BaseException as error:
        Events("worker").error("worker_failed", error=error)
        logging.shutdown()
    finally:
        os._exit(status)


def _reap(pid: int) -> int:
    """The status of a worker that has closed its channel, which it does by ending and not before."""
    try:
        return os.waitpid(pid, 0)[1]
    except ChildProcessError:
        return 0


def _why(status: int) -> str:
    if os.WIFSIGNALED(status):
        return f"signal {signal.Signals(os.WTERMSIG(status)).name}"
    return f"exit status {os.waitstatus_to_exitcode(status)}"
