"""A question about a request, or about a credential that many show, on its way to another server. Requests wait for its
answer, up to its time; each remembers what was asked on its behalf, so that nothing is asked twice where its guard has
more to wait for. Must not know who is asked, nor how.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from meshctl.core.principal import Principal, Refused
from meshctl.proxy.filtering import Waiting

if TYPE_CHECKING:
    import asyncio

    from meshctl.proxy.exchange import Exchange
    from meshctl.proxy.ways import Way

_SPARE: Final = 10.0
"""Seconds beyond a question's own time, in which it begins: it tells why there is no answer, this does not."""


class Asking(Waiting):
    """See the module. `reason` is that of a refusal while there is no answer."""

    def __init__(self, reason: str, timeout: float) -> None:
        super().__init__(reason, timeout + _SPARE)
        self._found: Principal | Refused | None = None

    @property
    def outcome(self) -> Principal | Refused | Waiting:
        """Who calls, or why that is not known; the question itself while there is no answer."""
        return self._found or self

    def answered(self, found: Principal | Refused, loop: asyncio.AbstractEventLoop) -> None:
        """This is the answer; all who wait go on."""
        self._found = found
        self.over(loop)


def asked(exchange: Exchange, way: Way) -> Asking | None:
    """What was asked for a request on behalf of a way, if anything was."""
    return None if exchange.questions is None else exchange.questions.get(way)


def note(exchange: Exchange, way: Way, asking: Asking) -> Asking:
    """Have a request remember what was asked for it."""
    if exchange.questions is None:
        exchange.questions = {}
    exchange.questions[way] = asking
    return asking
