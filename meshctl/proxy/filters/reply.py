"""What a filter may say: nothing, so that the request goes on, or a reply that ends it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

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


Filter = Callable[["Exchange"], Reply | None]


def refusal(exchange: Exchange, reason: str, detail: str) -> Reply:
    """A reply that says why, as RFC 9457 has it."""
    body = problem(reason, detail=detail, request_id=exchange.request_id.decode(), instance=exchange.request.path)
    fields = make("Content-Type", "application/problem+json", "X-Meshctl-Reason", reason)
    return Reply(status_of(reason), fields, body, reason)
