"""The phase `filter` of an exchange: all filters of its route continue, or one replies, or one has to wait for what it
needs to know and is asked again when that has come.

    filter ──▶ each says None ─────────────────────────────▶ split …
          ├──▶ one replies ──▶ answered
          └──▶ one says LATER ──▶ Waiting ──▶ ask_again ──▶ the same one, and those after it
                                         └──▶ the wait was too long, or the client has left

While an exchange waits no more of its body is read. It does not know what is waited for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import UNSET, UnsetType

from meshctl.proxy.answering import Answering
from meshctl.proxy.filters.reply import LATER, Reply
from meshctl.proxy.timers import NEVER
from meshctl.wire.fields import without
from meshctl.wire.message import NO_FIELDS

if TYPE_CHECKING:
    import asyncio

    from meshctl.core.principal import Principal
    from meshctl.proxy.asking import Asking
    from meshctl.proxy.filters.reply import Filter
    from meshctl.proxy.ways import Way
    from meshctl.wire.fields import Fields


class Filtering(Answering):
    """See the module."""

    __slots__ = ("filters",)

    filters: tuple[Filter, ...]
    principal: Principal | None = None
    """Who calls, where the route asks for that."""
    user: str | UnsetType = UNSET
    """The same in a word, for the access log."""
    made_of: dict[str, str] | UnsetType = UNSET
    """What came of the parts of the answer, where it has any, for the access log too."""
    pending: Waiting | None = None
    """What a filter waits for."""
    is_late = False
    """Whether it has waited since it came, so that when it did is not now."""
    waits = 0
    """How often it has waited for the answer to another request."""
    cached: str | UnsetType = UNSET
    """What the cache did, where the route has one, for the access log."""
    questions: dict[Way, Asking] | None = None
    """What other servers were asked about the request, by who asked."""

    def filter(self) -> bool:
        """What the route's filters say: all continue, or one replies. A redirect or fixed answer is the last of
        them."""
        for apply in self.filters:
            answer = apply(self)  # type: ignore[arg-type]
            if answer is not None:
                return self._filtered(apply, answer)
        return True

    def ask_again(self) -> None:
        """What a filter waited for has come, or will not: ask it again and go on from there."""
        if self.finished or self.pending is None:
            return
        self.pending = None
        self.is_late = True
        self.deadline = self.total_deadline
        if self.filter():
            self.proceed()

    def on_deadline(self, now: float) -> None:
        if self.pending is not None and now < self.total_deadline:
            self.deadline = NEVER
            self.pending.give_up(self, now)
        else:
            super().on_deadline(now)

    def passing_trailers(self, trailers: Fields) -> Fields:
        """The trailers that may pass: nobody says in one who they are, nor what the route edits."""
        route = self.route
        if not trailers or route is None:
            return NO_FIELDS
        found = super().passing_trailers(trailers)
        if route.request_untold:
            found = without(found, route.request_untold)
        return found if route.guard is None else route.guard.visible(found)

    def proceed(self) -> None:
        """Go on with the next phase."""
        raise NotImplementedError  # pragma: no cover - an interface

    def _filtered(self, apply: Filter, answer: Reply) -> bool:
        if answer is LATER:
            # Those before it have had their say.
            self.filters = self.filters[self.filters.index(apply) :]
        else:
            self.reply_with(answer)
        return False

    def reply_with(self, answer: Reply) -> None:
        """Answer with a reply, in the place of an endpoint."""
        self.answer_with(answer.status, answer.fields, answer.body, answer.reason)


class Waiting:
    """Something that filters wait for, up to `patience` seconds, after which requests are refused with `reason`."""

    def __init__(self, reason: str, patience: float) -> None:
        self._reason = reason
        self._patience = patience
        self._exchanges: list[Filtering] = []

    def __repr__(self) -> str:
        return f"<Waiting {self._reason}, {len(self._exchanges)} exchanges>"

    def hold(self, exchange: Filtering) -> Reply:
        """Have `exchange` wait; what its filter answers."""
        self._exchanges = [each for each in self._exchanges if not each.finished]
        return self.take(exchange)

    def take(self, exchange: Filtering) -> Reply:
        """The same, without a look at who has gone meanwhile."""
        self._exchanges.append(exchange)
        exchange.pending = self
        exchange.wait(self._patience, self._reason)
        exchange.worker.exchanges.watch(exchange)  # type: ignore[arg-type]
        return LATER

    @property
    def waiting(self) -> list[Filtering]:
        """Who waits, and some who have gone."""
        return self._exchanges

    def give_up(self, exchange: Filtering, now: float) -> None:
        """It has not come in time."""
        exchange.fail(self._reason, f"waited {now - exchange.started:.3g}s for what a filter needs to know")

    def over(self, loop: asyncio.AbstractEventLoop) -> None:
        """Have all who wait ask again, each in a turn of the loop of its own."""
        exchanges, self._exchanges = self._exchanges, []
        for each in exchanges:
            loop.call_soon(each.ask_again)
