"""What a route asks of requests, in the file's shape, and what its files say in a few words. The inverse of
`build_checked`."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

import msgspec

from meshctl.model.route import Route
from meshctl.model.units import format_size

Table = dict[str, Any]


def checked(value: Route) -> Table:
    """Its keys; those that it does not have are None."""
    found: Table = {"openapi": None, "request_schema": None}
    if value.openapi is not None:
        base = {} if value.openapi.base is None else {"base": value.openapi.base}
        found["openapi"] = {"document": value.openapi.document, **base, "limit": format_size(value.openapi.limit)}
    if value.request_schema is not None:
        found["request_schema"] = {
            "file": value.request_schema.file,
            "limit": format_size(value.request_schema.limit),
        }
    return found


def contents(value: Route) -> dict[str, str]:
    """What its files say, so briefly that another content is seen to be another."""
    found = {}
    if value.openapi is not None and value.openapi.operations:
        count = len(value.openapi.operations)
        digest = _digest(msgspec.json.encode(value.openapi.operations))
        found["openapi"] = f"{count} operation{'' if count == 1 else 's'} ({digest})"
    if value.request_schema is not None and value.request_schema.schema:
        found["request_schema"] = _digest(value.request_schema.schema.encode())
    return found


def _digest(data: bytes) -> str:
    return sha256(data).hexdigest()[:8]
