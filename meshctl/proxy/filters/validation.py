"""Requests as an OpenAPI document or a JSON Schema has them: others go no further."""

from __future__ import annotations

from typing import TYPE_CHECKING

from meshctl.proxy.filters.reply import Filter

if TYPE_CHECKING:
    from meshctl.model.route import Route
    from meshctl.model.service import Service


def compile_filter(route: Route, _service: Service | None, _guard: Filter | None) -> Filter | None:
    """The filter of a route with `openapi` or `request_schema`."""
    if route.openapi is not None:
        from meshctl.proxy.judging import by_document

        return by_document(route.openapi, route.body_bytes, has_cors=route.cors is not None)
    if route.request_schema is not None:
        from meshctl.proxy.judging import by_schema

        return by_schema(route.request_schema, route.body_bytes)
    return None
