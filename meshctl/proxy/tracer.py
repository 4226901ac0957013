"""Which trace a request belongs to, and whether that is recorded; and what was recorded, on its way to the supervisor.

Only a worker whose configuration asks for traces has one of these. A trace that begins here is recorded by the number
it gets, so that every proxy decides alike; of others whoever began them has decided. Spans leave in batches, a little
later; those that the supervisor does not take in time are counted and forgotten.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from meshctl.model.tracing import Span, Tracing
from meshctl.model.tracing import Traced as Told
from meshctl.proxy.span_words import spans
from meshctl.proxy.trail import Trail
from meshctl.wire.trace_fields import B3, Said, is_silent, read
from meshctl.wire.tracing import SAMPLED, trace_and_flags, valid_traceparent

if TYPE_CHECKING:
    from meshctl.proxy.exchange import Exchange
    from meshctl.proxy.worker import Worker
    from meshctl.wire.fields import Fields

FLUSH_AFTER: Final = 0.25
"""Seconds that spans wait for more of them."""
BATCH: Final = 32
"""Exchanges whose spans are made and told of at once: enough to find the processor's caches warm, and done before
anybody notices that requests wait."""
MOST: Final = 2_048
"""Spans that may wait for a supervisor that is behind."""

_MOST_HEADS: Final = 256
_UNRECORDED: Final = b"00"


class Tracer:
    """See the module."""

    def __init__(self, worker: Worker, config: Tracing) -> None:
        self.config = config
        self._worker = worker
        # Below it lie the lower halves of the traces that are recorded.
        self._share = b"g" if config.sample >= 1 else b"%016x" % int(config.sample * 2**64)
        self.bound = worker.identifiers.prefix + self._share
        """The same for whole traceparents that this worker made."""
        # Connections show the very same fields again and again: those that say nothing of traces, beside traceparent.
        # They are kept so that nobody else has their ids.
        self.silent: dict[int, Fields] = {}
        self._recorded: list[Exchange] = []
        """Those under way, and those that have ended since the last flush."""
        self._most = BATCH
        """So many of them are a reason to look who has ended."""
        self._spans: list[Span] = []
        self._dropped = 0
        self._is_due = False

    def __repr__(self) -> str:
        return f"<Tracer {self.config.sample:%}, {len(self._recorded)} exchanges and {len(self._spans)} spans waiting>"

    # the exchange calls this

    def identify(self, exchange: Exchange) -> None:
        """Go on with the trace that a request says it belongs to, or with the one that `exchange.traceparent` begins,
        with a span of its own for each hop whether or not it is recorded. Need not be asked about requests that say
        nothing (`silent`) and begin a trace beyond the `bound`."""
        fresh, value = exchange.traceparent, exchange.request.traceparent
        if id(exchange.request.fields) in self.silent or self._is_silent(exchange):
            if value is None:
                if fresh < self.bound:
                    self._record(exchange, fresh[3:35], fresh[36:52], b"", SAMPLED, b"")
                return
            if value[53:] == _UNRECORDED and valid_traceparent(value):
                exchange.traceparent = b"".join((b"00-", value[3:35], fresh[35:]))
                return
        self._identify(exchange, value, fresh, read(exchange.request.fields))

    def _identify(self, exchange: Exchange, value: bytes | None, fresh: bytes, said: Said) -> None:
        if value is not None:
            if self._follow(exchange, value, fresh, said):
                return
        elif said.b3 is not None and self._follow_b3(exchange, said.b3, fresh, said):
            return
        exchange.request.fields = said.bare
        asked = said.b3.is_sampled if said.b3 is not None and value is None else None
        if fresh < self.bound if asked is None else asked:
            self._record(exchange, fresh[3:35], fresh[36:52], b"", SAMPLED, b"")
        else:
            exchange.traceparent = fresh

    def _is_silent(self, exchange: Exchange) -> bool:
        fields = exchange.request.fields
        if not is_silent(fields):
            return False
        # One that came a second time will come again; to keep others would only fill the processor's caches.
        if exchange.stream.forwarding.fields is fields:
            if len(self.silent) >= _MOST_HEADS:
                self.silent.clear()
            self.silent[id(fields)] = fields
        return True

    def _follow(self, exchange: Exchange, value: bytes, fresh: bytes, said: Said) -> bool:
        """Go on with the trace of a traceparent; False where that is none."""
        found = trace_and_flags(value)
        if found is None:
            return False
        trace, parent, flags = found
        exchange.request.fields = said.fields
        if flags & SAMPLED:
            self._record(exchange, trace, fresh[36:52], parent, flags, said.state)
        else:
            exchange.traceparent = b"-".join((b"00", trace, fresh[36:52], b"%02x" % flags))
        return True

    def _follow_b3(self, exchange: Exchange, b3: B3, fresh: bytes, said: Said) -> bool:
        """Go on with a trace in B3; False where there is no more than whether to record one."""
        if not b3.trace:
            return False
        is_sampled = b3.is_sampled if b3.is_sampled is not None else b3.trace[16:] < self._share
        exchange.request.fields = said.bare
        if is_sampled:
            self._record(exchange, b3.trace, fresh[36:52], b3.span, SAMPLED, b"")
        else:
            exchange.traceparent = b"-".join((b"00", b3.trace, fresh[36:52], _UNRECORDED))
        return True

    def _record(self, exchange: Exchange, trace: bytes, span: bytes, parent: bytes, flags: int, state: bytes) -> None:
        if not exchange.is_usual:
            # Nothing is told of it: whoever comes next is part of the span before it, or begins a trace that is not
            # recorded either.
            exchange.traceparent = b"-".join((b"00", trace, parent or span, b"%02x" % (flags if parent else 0)))
            return
        trail = exchange.trail = Trail(trace, span, parent, flags, state)
        trail.begin(exchange, exchange.started)
        self._recorded.append(exchange)
        if len(self._recorded) >= self._most:
            self.flush()
        if not self._is_due:
            self._is_due = True
            self._worker.loop.call_later(FLUSH_AFTER, self._on_due)

    def _on_due(self) -> None:
        self._is_due = False
        self.flush()
        if self._recorded or self._spans:
            self._is_due = True
            self._worker.loop.call_later(FLUSH_AFTER, self._on_due)

    def _collect(self) -> None:
        """Make the spans of those that have ended, of all at once: by itself each would take four times as long, since
        what makes them is in no cache of the processor when it is rare."""
        recorded, self._recorded = self._recorded, []
        for exchange in recorded:
            trail = exchange.trail
            if not exchange.finished or trail is None:
                self._recorded.append(exchange)
                continue
            made = spans(exchange, trail)
            if len(self._spans) < MOST:
                self._spans += made
            else:
                self._dropped += len(made)
        # Those that take long are looked at no more often than others come.
        self._most = 2 * len(self._recorded) + BATCH

    def flush(self, *, last: bool = False) -> None:
        """Tell what waits, where the supervisor listens; or in any case, where nothing will come after."""
        self._collect()
        orders = self._worker.orders
        if (orders.channel.is_behind and not last) or not (self._spans or self._dropped):
            return
        waiting, self._spans = self._spans, []
        dropped, self._dropped = self._dropped, 0
        orders.send(Told(tuple(waiting), dropped))


def tracer_for(worker: Worker, config: Tracing | None) -> Tracer | None:
    """The tracer that a configuration asks for: the one there is, where nothing changes about it."""
    before = worker.tracer
    if before is not None:
        if before.config == config:
            return before
        before.flush()
    return Tracer(worker, config) if config is not None else None
