"""Requests as an OpenAPI document or a JSON Schema has them: others go no further."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from meshctl.proxy.filters.reply import Filter, Reply

if TYPE_CHECKING:
    from meshctl.core.checking import Checked
    from meshctl.model.checked import BodySchema, OpenApi
    from meshctl.model.route import Route
    from meshctl.model.service import Service
    from meshctl.proxy.exchange import Exchange

_WITH_BODY: Final = frozenset(("POST", "PUT", "PATCH"))
"""Methods whose requests are about their body: without one there is nothing to look at."""


def compile_filter(route: Route, _service: Service | None, _guard: Filter | None) -> Filter | None:
    """The filter of a route with `openapi` or `request_schema`."""
    if route.openapi is not None:
        return _of_document(route.openapi, route.body_bytes, has_cors=route.cors is not None)
    return _of_schema(route.request_schema, route.body_bytes) if route.request_schema is not None else None


def _of_document(api: OpenApi, body_bytes: int, *, has_cors: bool) -> Filter:
    from meshctl.core.checking import operations
    from meshctl.proxy.judging import MISSING, invalid, refused

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
            allowed = item.allowed
            return refused(exchange, "method_not_allowed", f"the path is for {allowed}", "Allow", allowed)
        faults = operation.faults(request, item.names, values)
        if not request.length and operation.operation.needs_body:
            faults.append(MISSING)
        if faults:
            return invalid(exchange, faults)
        return _body(exchange, operation, limit) if request.length and operation.body is not None else None

    return check


def _body(exchange: Exchange, operation: Checked, limit: int) -> Reply | None:
    from meshctl.core.checking import Unacceptable, media_type
    from meshctl.proxy.judging import judge_body, refused

    assert operation.body is not None
    try:
        schema = operation.body.schema(media_type(exchange.request.header("content-type")))
    except Unacceptable as error:
        return refused(exchange, "unsupported_media_type", str(error), "Accept", error.accepted)
    return (
        None
        if schema is None or exchange.request.upgrade
        else judge_body(exchange, schema, limit, is_needed=operation.operation.needs_body)
    )


def _of_schema(settings: BodySchema, body_bytes: int) -> Filter:
    from meshctl.core.checking import JSON, fits, media_type
    from meshctl.core.instances import Schema
    from meshctl.proxy.judging import MISSING, invalid, judge_body, refused

    schema = Schema(settings.schema or "{}")
    limit = min(settings.limit, body_bytes or settings.limit)

    def check(exchange: Exchange) -> Reply | None:
        request = exchange.request
        if not request.length:
            return invalid(exchange, [MISSING]) if request.method in _WITH_BODY else None
        if request.upgrade:
            return None
        media = media_type(request.header("content-type"))
        if not any(fits(media, each) for each in JSON):
            said = f"the body is {media}" if media else "the request does not say what its body is"
            return refused(exchange, "unsupported_media_type", said, "Accept", "application/json")
        return judge_body(exchange, schema, limit, is_needed=request.method in _WITH_BODY)

    return check
