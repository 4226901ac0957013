"""A request that goes to its service and whose answer is kept as it passes, or an older one given in its place.

It stands in front of the client and before the exchange's own word on the answer:

    service ─▶ on_response ─▶ answer ─┬▶ 304: what is kept still holds and is given
                                      ├▶ 5xx, or none: what is kept is given, where it may be (RFC 5861)
                                      └▶ else to the client, piece by piece, and a copy of it here

Nothing waits for the copy, and one that becomes too long or is cut is dropped.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final

from meshctl import clock
from meshctl.core.caching import ERRORS, Keeping, Refusal, stands_in, varies_by
from meshctl.proxy.kept_answer import Heard, KeptAnswer, heard, keeping_of, made
from meshctl.proxy.through import Through
from meshctl.wire.fields import Fields, without
from meshctl.wire.message import UNTIL_CLOSE, Response

if TYPE_CHECKING:
    from meshctl.model.caching import Caching
    from meshctl.proxy.cached_request import CachedRequest
    from meshctl.proxy.caching import Herd, LiveCaching
    from meshctl.proxy.exchange import Exchange
    from meshctl.proxy.service import LiveVersion

_OWN: Final = ("on_response", "answer", "answer_with", "on_response_end", "on_client_full")
GRACE: Final = 0.5
"""Seconds for which others wait on when the client that an answer goes to cannot take it as fast as it comes."""
EXCUSED: Final = 5.0
"""Seconds for which a service that has failed is not asked again for an answer that may be given stale."""
_CONDITIONS: Final = frozenset((b"if-none-match", b"if-modified-since"))


class Filling(Through):
    """See the module. `stale` is what is kept and needs the service's word, `herd` who waits for that."""

    def __init__(
        self, exchange: Exchange, live: LiveCaching, config: Caching, request: CachedRequest, stale: KeptAnswer | None,
        herd: Herd | None,
    ) -> None:  # fmt: skip
        super().__init__(exchange.stream)
        self._exchange = exchange
        self._live = live
        self._config = config
        self._request = request
        self._stale = stale
        self._herd = herd
        self.label = ""
        """What the exchange is called in log and metrics whatever becomes of it."""
        current = live.worker.snapshot
        self._mark = live.mark(request.owner[0]) if exchange.snapshot is current else None
        self._since = clock.monotonic()
        self._fields = exchange.request.fields
        self._is_validating = False
        self._is_taken = False
        self._draft: tuple[Heard, Keeping] | None = None
        self._parts: list[bytes] = []
        self._held = 0

    def begin(self) -> None:
        """Take the place of the client, and ask whether what is kept still holds."""
        exchange: Any = self._exchange
        request = exchange.request
        exchange.stream = self
        exchange.cached = self.label or "miss"
        exchange.on_response = self.on_response
        exchange.answer = self.answer
        exchange.chosen = self._request.version
        if self._herd is not None:
            self._live.herds[self._herd.key] = self._herd
            exchange.on_client_full = self.on_client_full
        if self._stale is None:
            return
        exchange.answer_with = self.answer_with
        conditions = self._stale.validators
        self._is_validating = bool(conditions)
        request.fields = without(request.fields, _CONDITIONS) + conditions

    # in the place of the exchange's own

    def on_response(self, response: Response, body: bytes | memoryview | None, now: float) -> bool:
        """See `Answering`. False where another answer has been given."""
        exchange = self._exchange
        return type(exchange).on_response(exchange, response, body, now) and not self._is_taken

    def answer(self, response: Response, body: bytes | memoryview | None = None) -> None:
        """See `Answering`."""
        exchange, stale = self._exchange, self._stale
        if stale is not None and response.status == 304 and self._is_validating:
            self._confirm(stale, response)
            return
        if response.status in ERRORS and self._may_stand_in():
            self._give_stale(response.status)
            return
        self._judge(response, has_length=body is not None or response.length != UNTIL_CLOSE)
        exchange.say(b"Cache-Status: meshctl; " + self._status(response.status))
        type(exchange).answer(exchange, response, body)

    def answer_with(self, status: int, fields: Fields, body: bytes, reason: str) -> None:
        """See `Answering`."""
        exchange = self._exchange
        if status in ERRORS and self._may_stand_in():
            self._give_stale(0)
        else:
            self._unhook()
            exchange.answer_with(status, fields, body, reason)

    def on_response_end(self, _trailers: Fields, now: float) -> None:
        """See `Answering`. Of an answer that said no more than that another one holds."""
        exchange, stale = self._exchange, self._stale
        exchange.connection = None
        if exchange.finished or stale is None:
            return
        self._unhook()
        exchange.cached = self.label or "revalidated"
        stale.give(exchange, self._request.said, b"fwd=stale; fwd-status=304", now)

    def on_client_full(self) -> None:
        """See `Answering`. The answer now comes at this client's pace, for which nobody else waits for long: the next
        one asks in its place."""
        exchange = self._exchange
        del vars(exchange)["on_client_full"]
        exchange.on_client_full()
        self._live.worker.loop.call_later(GRACE, partial(self._end_herd, is_lost=False))

    # in the place of the client

    def send_whole(self, status: int, fields: Fields, body: bytes | memoryview) -> None:
        """See `stream.Stream`."""
        self._take(body)
        self.stream.send_whole(status, fields, body)
        self._keep()

    def send_body(self, data: bytes | memoryview) -> None:
        """See `stream.Stream`."""
        self._take(data)
        self.stream.send_body(data)

    def send_raw(self, data: bytes | memoryview) -> None:
        """See `stream.Stream`."""
        self._take(data)
        self.stream.send_raw(data)

    def send_end(self, trailers: Fields) -> None:
        """See `stream.Stream`."""
        self.stream.send_end(trailers)
        self._keep()

    def cut(self) -> None:
        """See `stream.Stream`."""
        self._draft = None
        self.stream.cut()

    def done(self, now: float) -> None:
        """See `stream.Stream`. Nothing may stay that refers to itself: it would hold a body until a collection."""
        exchange, herd = self._exchange, self._herd
        self._unhook()
        exchange.stream = self.stream
        # What is done with it later (`copying`) is about what the client asked; the conditions were ours.
        exchange.request.fields = self._fields
        self._give_back()
        self._live.note(self._request.owner[0], str(exchange.cached))
        if herd is not None:
            self._end_herd(is_lost=exchange.reason != "client_gone" and self._stale is None)
        self.stream.done(now)

    # the rest is private

    def _judge(self, response: Response, *, has_length: bool) -> None:
        """Whether the answer is kept; those who wait for one that is not need wait no longer."""
        said = heard(response.status, response.fields, response.named)
        keeping = self._keeping(said)
        is_whole = has_length or not response.has_body
        # What ends with its connection may have been cut, which nobody could tell.
        if not isinstance(keeping, Refusal) and is_whole and response.length <= self._config.largest:
            self._draft = said, keeping
            if keeping.is_shared:
                return
        else:
            self._live.pass_by(self._request)
        self._end_herd(is_lost=True)

    def _keeping(self, said: Heard) -> Keeping | Refusal:
        return keeping_of(said, self._config, is_authorized=self._request.is_authorized)

    def _take(self, data: bytes | memoryview) -> None:
        if self._draft is None:
            return
        size = len(data)
        if self._held + size <= self._config.largest and self._live.shelves.hold(size):
            self._held += size
            self._parts.append(bytes(data))
            return
        self._draft = None
        self._give_back()
        self._live.pass_by(self._request)
        self._end_herd(is_lost=True)

    def _keep(self) -> None:
        """The answer is whole."""
        draft, self._draft = self._draft, None
        exchange = self._exchange
        if draft is None or exchange.reason or exchange.version is None:
            return
        body = b"".join(self._parts)
        self._give_back()
        self._put(exchange.version, made(*draft, body, self._since))
        self._end_herd(is_lost=False)

    def _put(self, version: LiveVersion, answer: KeptAnswer) -> None:
        request = self._request
        names = varies_by(self._config, answer.head)
        self._live.keep(request, request.owned_by(version), self._mark, self._since, names, answer)

    def _give_back(self) -> None:
        self._live.shelves.let_go(self._held)
        self._held = 0
        self._parts = []

    def _confirm(self, stale: KeptAnswer, response: Response) -> None:
        """What is kept still holds: it is given when this answer is over, with what that says anew."""
        exchange: Any = self._exchange
        said = stale.confirmed(response)
        found = self._keeping(said)
        keeping = Keeping(0.0) if isinstance(found, Refusal) else found
        self._stale = made(said, keeping, stale.body, self._since)
        if isinstance(found, Refusal):
            self._live.shelves.forget(self._request.target)
        elif exchange.version is not None:
            self._put(exchange.version, self._stale)
        exchange.status = 0
        exchange.on_response_end = self.on_response_end
        self._end_herd(is_lost=not keeping.is_shared)

    def _may_stand_in(self) -> bool:
        stale = self._stale
        if stale is None:
            return False
        return stands_in(stale.keeping, stale.age + clock.monotonic() - stale.at, self._request.control)

    def _give_stale(self, status: int) -> None:
        exchange, stale = self._exchange, self._stale
        assert stale is not None
        self._is_taken = True
        self._unhook()
        if not exchange.finished:
            exchange.release()
        exchange.cached = self.label or "stale"
        stale.excused = clock.monotonic() + EXCUSED
        # Nobody waits for this client to take it.
        self._end_herd(is_lost=False)
        told = b"fwd=stale; fwd-status=%d" % status if status else b"fwd=stale"
        stale.give(exchange, self._request.said, told, clock.monotonic())

    def _status(self, status: int) -> bytes:
        why = b"fwd=uri-miss" if self._stale is None else b"fwd=stale; fwd-status=%d" % status
        return why + b"; stored" if self._draft is not None else why

    def _end_herd(self, *, is_lost: bool) -> None:
        """Have those who wait ask again, or with `is_lost` go on by themselves."""
        herd, self._herd = self._herd, None
        if herd is None:
            return
        self._live.herds.pop(herd.key, None)
        if is_lost:
            herd.disperse(self._live.worker.loop)
        else:
            herd.over(self._live.worker.loop)

    def _unhook(self) -> None:
        own = vars(self._exchange)
        for name in _OWN:
            own.pop(name, None)
