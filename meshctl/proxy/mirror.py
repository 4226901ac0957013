"""Copies of a service's requests for one of its versions: which are due, how many at once, and what became of them.

    request ─▶ watch ─▶ the original, as ever, seen by a `Recorder` ─▶ copy ─▶ an exchange without a client (`copying`)

The copy begins when the original is over, so it can neither slow nor fail it; a copy's answer goes nowhere. With diff
both answers go to the supervisor, which compares them (`control.comparing`), unless they are the same byte for byte.
Loaded with the first mirror only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from meshctl import clock
from meshctl.model.steering import Mirror, MirrorCount, Shown
from meshctl.proxy.attempt import REPLAY_LIMIT
from meshctl.proxy.copying import Copy, Recorder
from meshctl.proxy.exchange import Exchange
from meshctl.proxy.messages import Answered
from meshctl.wire.fields import MIRROR, pairs

if TYPE_CHECKING:
    from meshctl.proxy.copying import Record
    from meshctl.proxy.service import LiveVersion
    from meshctl.proxy.worker import Worker

MOST_AT_ONCE: Final = 64
"""Copies in flight in one worker; what is due beyond is dropped."""
BODY_LIMIT: Final = 262_144
"""Bytes of a body that is compared."""
SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
"""Methods that change nothing (RFC 9110 §9.2.1)."""


class LiveMirror:
    """One mirror in one worker."""

    def __init__(self, worker: Worker, config: Mirror) -> None:
        self.config = config
        self._worker = worker
        self._copied = 0
        self._failed = 0
        self._dropped = 0
        self._compared = 0
        self._uncompared = 0
        self._names = frozenset(name.encode("latin-1") for name in ("content-type", *config.headers))

    def __repr__(self) -> str:
        return f"<LiveMirror {self.config.service} to {self.config.to}, {self._copied} copied>"

    def count(self) -> MirrorCount:
        """What became of the requests so far."""
        return MirrorCount(
            self.config.service, self.config.at, self._copied, self._failed, self._dropped, self._compared,
            self._uncompared,
        )  # fmt: skip

    # the original

    def watch(self, exchange: Exchange) -> None:
        """Have a request copied once it is over, where it is due."""
        config, request = self.config, exchange.request
        if not exchange.is_usual or request.upgrade or not (config.all_methods or request.method in SAFE):
            return
        if config.share < 1 and clock.draw() >= config.share:
            return
        stream = exchange.stream
        if MIRROR in request.special and (stream.is_outgoing or stream.identity):
            return
        exchange.stream = Recorder(exchange.stream, self, exchange, BODY_LIMIT if config.diff else 0)

    def on_answered(self, exchange: Exchange, answer: Record) -> None:
        """The original is over."""
        if exchange.reason or not exchange.body_ended:
            return  # Nobody answered it, or not all of it was heard.
        target = self._target()
        is_whole = exchange.replayable and exchange.parts_size <= REPLAY_LIMIT
        if target is None or not is_whole or self._worker.steering.copies >= MOST_AT_ONCE:
            self._dropped += 1
            self._note("dropped")
            return
        self._worker.steering.copies += 1
        self._copied += 1
        # Not from within the end of the original: its connection is to serve its next request first.
        self._worker.loop.call_soon(Copy(self, exchange, answer, target, BODY_LIMIT if self.config.diff else 0).begin)

    # the copy

    def on_copied(self, copy: Copy, answer: Record | None) -> None:
        """A copy is over; `answer` is None where it got no whole one."""
        self._worker.steering.copies -= 1
        if answer is None:
            self._failed += 1
        self._note("failed" if answer is None else "answered")
        if answer is not None and self.config.diff:
            self._compare(copy, copy.original, answer)

    def _compare(self, copy: Copy, original: Record, answer: Record) -> None:
        if not original.is_whole or not answer.is_whole:
            self._uncompared += 1
            return
        ours, theirs = self._shown(original), self._shown(answer)
        channel = self._worker.orders.channel
        if ours == theirs:
            self._compared += 1
        elif channel.is_behind:
            # The supervisor has more to compare than it can.
            self._uncompared += 1
        else:
            config, request = self.config, copy.request
            # A query may hold what nobody else should see.
            self._worker.orders.send(Answered(config.service, config.at, request.method, copy.path, ours, theirs))

    def _shown(self, answer: Record) -> Shown:
        fields: dict[str, str] = {}
        for name, value in pairs(answer.fields):
            low = name.lower()
            if low in self._names:
                key, text = low.decode("latin-1"), value.decode("latin-1")
                fields[key] = f"{fields[key]}, {text}" if key in fields else text
        return Shown(answer.status, fields, b"".join(answer.body))

    def _target(self) -> LiveVersion | None:
        service = self._worker.snapshot.services.get(self.config.service)
        versions = service.versions if service is not None else ()
        return next((each for each in versions if each.name == self.config.to), None)

    def _note(self, result: str) -> None:
        self._worker.counters.service(self.config.service).mirror(result)
