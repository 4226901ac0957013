"""What a route asks of requests, as the model has it: which files say it. What they say is `described`."""

from __future__ import annotations

from typing import Any

from meshctl.config.document import Document
from meshctl.config.document_route import RouteTable
from meshctl.model.checked import BodySchema, OpenApi


def checked(table: RouteTable) -> dict[str, Any]:
    """The fields of a route that its keys of this kind fill, with files as the configuration names them."""
    found: dict[str, Any] = {}
    if table.openapi is not None:
        found["openapi"] = OpenApi(**table.openapi.given())
    if table.request_schema is not None:
        found["request_schema"] = BodySchema(**table.request_schema.given())
    return found


def is_described(document: Document) -> bool:
    """Whether any route has files that say what it asks of requests."""
    return any(table.openapi or table.request_schema for table in document.routes or ())
