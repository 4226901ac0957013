"""What a filter may say: nothing, so that the request goes on, or a reply that ends it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final

import msgspec

from meshctl.wire.fields import Fields, make
from meshctl.wire.reasons import problem, status_of

if TYPE_CHECKING:
    from meshctl.proxy.exchange import Exchange


class Reply(msgspec.Struct, frozen=True):
    """An answer without any endpoint. `reason` is empty where the answer is what the user configured."""

    status: int
    fields: Fields
    body: bytes = b""
    reason: str = ""


LATER: Final = Reply(0, [])
"""Said by a filter that has to wait for what it needs to know: it is asked again then (`filtering.Waiting`)."""

Filter = Callable[["Exchange"], Reply | None]


def refusal(
    exchange: Exchange,
    reason: str,
    detail: str,
    *challenges: str,
    status: int = 0,
    more: Mapping[str, object] | None = None,
) -> Reply:
    """A reply that says why, as RFC 9457 has it, and how the client may prove who it is. `status` and `more` as
    `problem` takes them."""
    request_id, instance = exchange.request_id.decode(), exchange.request.path
    body = problem(reason, detail=detail, request_id=request_id, instance=instance, status=status, more=more)
    fields = make("Content-Type", "application/problem+json", "X-Meshctl-Reason", reason)
    for each in challenges:
        fields += make("WWW-Authenticate", each)
    return Reply(status or status_of(reason), fields, body, reason)
