"""Whether a request is as its API has it, told to the client where it is not. A body waits here until it is whole.

It asks `core.checking` and knows no schema itself; what was sent is never repeated in an answer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from meshctl.core.checking import body_faults
from meshctl.core.instances import Fault
from meshctl.model.units import format_size
from meshctl.proxy.editing import Gathering, coding
from meshctl.proxy.filters.reply import LATER, Reply
from meshctl.wire.fields import make
from meshctl.wire.reasons import problem, status_of

if TYPE_CHECKING:
    from meshctl.core.instances import Schema
    from meshctl.proxy.exchange import Exchange

MISSING: Final = Fault("body", "is missing")
_PLACES: Final = {"path": "path parameter", "query": "query parameter", "header": "header", "cookie": "cookie"}


class Judging(Gathering):
    """The body of a request that is looked at before it goes on, as it came."""

    purpose = "looked at"

    def __init__(self, exchange: Exchange, schema: Schema, limit: int, *, is_needed: bool) -> None:
        super().__init__(exchange, None, limit)
        self._schema = schema
        self._is_needed = is_needed

    def made(self, body: bytes) -> bytes | None:
        """The same body, unless it is refused."""
        faults = body_faults(self._schema, body) if body else [MISSING] if self._is_needed else []
        if not faults:
            return body
        refusal = invalid(self._exchange, faults)
        self._exchange.answer_with(refusal.status, refusal.fields, refusal.body, refusal.reason)
        return None


def judge_body(exchange: Exchange, schema: Schema, limit: int, *, is_needed: bool) -> Reply | None:
    """Have a body of JSON looked at: now, or when it is whole."""
    request = exchange.request
    if coding(request.fields):
        return refused(
            exchange, "unsupported_media_type", "the body is in a content coding", "Accept-Encoding", "identity"
        )
    if request.length > limit:
        detail = f"the body may have at most {format_size(limit)} to be looked at"
        return refused(exchange, "body_too_large", detail)
    judging = Judging(exchange, schema, limit, is_needed=is_needed)
    if not judging.begin():
        return LATER
    # One that is refused here has had its answer.
    return None if judging.edit() else LATER


def invalid(exchange: Exchange, faults: list[Fault]) -> Reply:
    """The answer to a request of which this is wrong."""
    more = "" if len(faults) == 1 else f" ({len(faults)} things are wrong)"
    detail = said(faults[0]) + more
    return refused(exchange, "invalid_request", detail, errors=faults)


def refused(
    exchange: Exchange, reason: str, detail: str, field: str = "", value: str = "", errors: list[Fault] | None = None
) -> Reply:
    """A refusal with a field that says what would do, or a list of what is wrong."""
    more = None if errors is None else {"errors": msgspec.to_builtins(errors)}
    request_id = exchange.request_id.decode()
    body = problem(reason, detail=detail, request_id=request_id, instance=exchange.request.path, more=more)
    fields = make("Content-Type", "application/problem+json", "X-Meshctl-Reason", reason)
    if field:
        fields += make(field, value)
    return Reply(status_of(reason), fields, body, reason)


def said(fault: Fault) -> str:
    """What is wrong, in a line."""
    what = f'{_PLACES[fault.place]} "{fault.name}"' if fault.place in _PLACES else "the body"
    where = f" at {fault.pointer}" if fault.pointer else ""
    return f"{what}{where} {fault.detail}"
