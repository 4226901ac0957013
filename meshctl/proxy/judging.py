"""Whether a request is as its API has it, told to the client where it is not. A body waits here until it is whole.

It asks `core.checking` and knows no schema itself; what was sent is never repeated in an answer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from meshctl.core.checking import Body, Unacceptable, body_faults, media_type, operations
from meshctl.core.instances import Fault
from meshctl.core.json_edits import MEDIA
from meshctl.model.checked import Content
from meshctl.model.units import format_size
from meshctl.proxy.editing import Gathering
from meshctl.proxy.filters.reply import LATER, Filter, Reply, refusal
from meshctl.wire.fields import Fields, make

if TYPE_CHECKING:
    from meshctl.core.instances import Schema
    from meshctl.model.checked import BodySchema, OpenApi
    from meshctl.proxy.exchange import Exchange

MISSING: Final = Fault("body", "is missing")
_WITH_BODY: Final = frozenset(("POST", "PUT", "PATCH"))
"""Methods whose requests are about their body: without one there is nothing to look at."""
_PLAIN: Final = (b"", b"identity")
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
        self._exchange.reply_with(invalid(self._exchange, faults))
        return None


def by_document(api: OpenApi, body_bytes: int, *, has_cors: bool) -> Filter:
    """The filter of a route that knows a document. Bodies beyond `body_bytes` do not come, where that is not 0."""
    known = operations(api)
    limit = min(api.limit, body_bytes or api.limit)

    def check(exchange: Exchange) -> Reply | None:
        request = exchange.request
        found = known.find(exchange.path)
        if found is None:
            return refused(exchange, "unknown_operation", "the API has no such path")
        item, values = found
        operation = item.find(request.method)
        if operation is None:
            if not has_cors and request.method == "OPTIONS" and request.header("access-control-request-method"):
                return None  # A page asks what it may, which the service knows.
            return refused(exchange, "method_not_allowed", f"the path is for {item.allowed}", "Allow", item.allowed)
        faults = operation.faults(request, item.names, values)
        if not request.length and operation.operation.needs_body:
            faults = [*faults, MISSING]
        if faults:
            return invalid(exchange, faults)
        if not request.length or operation.body is None or request.upgrade:
            return None
        return _judge(exchange, operation.body, limit, is_needed=operation.operation.needs_body)

    return check


def by_schema(settings: BodySchema, body_bytes: int) -> Filter:
    """The filter of a route whose bodies meet a schema."""
    body = Body(tuple(Content(each, settings.schema or "{}") for each in MEDIA))
    limit = min(settings.limit, body_bytes or settings.limit)

    def check(exchange: Exchange) -> Reply | None:
        request = exchange.request
        is_needed = request.method in _WITH_BODY
        if not request.length:
            return invalid(exchange, [MISSING]) if is_needed else None
        return None if request.upgrade else _judge(exchange, body, limit, is_needed=is_needed)

    return check


def _judge(exchange: Exchange, body: Body, limit: int, *, is_needed: bool) -> Reply | None:
    """Have a body of JSON looked at: now, or when it is whole."""
    request = exchange.request
    media, coding = _about(request.fields)
    try:
        schema = body.schema(media)
    except Unacceptable as error:
        return refused(exchange, "unsupported_media_type", str(error), "Accept", error.accepted)
    if schema is None:
        return None
    if coding not in _PLAIN:
        detail = "the body is in a content coding"
        return refused(exchange, "unsupported_media_type", detail, "Accept-Encoding", "identity")
    if request.length > limit:
        detail = f"the body may have at most {format_size(limit)} to be looked at"
        return refused(exchange, "body_too_large", detail)
    judging = Judging(exchange, schema, limit, is_needed=is_needed)
    if not judging.begin():
        return LATER
    # One that is refused here has had its answer.
    return None if judging.edit() else LATER


def _about(fields: Fields) -> tuple[str, bytes]:
    """The media type of a body, and its content coding."""
    media: str | None = None
    coding = b""
    for line in fields:
        if line[0] in b"cC" and line[7:8] == b"-":
            name, _, value = line.partition(b":")
            name = name.lower()
            if name == b"content-type":
                # Of two nobody knows which one the service goes by.
                media = media_type(value.decode("latin-1")) if media is None else ""
            elif name == b"content-encoding" and coding in _PLAIN:
                coding = value.strip().lower()
    return media or "", coding


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
    reply = refusal(exchange, reason, detail, more=more)
    if field:
        reply.fields.extend(make(field, value))
    return reply


def said(fault: Fault) -> str:
    """What is wrong, in a line."""
    what = f'{_PLACES[fault.place]} "{fault.name}"' if fault.name else f"the {fault.place}"
    where = f" at {fault.pointer}" if fault.pointer else ""
    return f"{what}{where} {fault.detail}"
