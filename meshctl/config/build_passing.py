"""What passes a route, as the model has it."""

from __future__ import annotations

from typing import Any

from meshctl.config.document_route import RouteTable
from meshctl.model.passing import Compression, Cors, SecurityHeaders


def passing(table: RouteTable) -> dict[str, Any]:
    """The fields of a route that its tables of this kind fill."""
    found: dict[str, Any] = {}
    if table.cors is not None:
        found["cors"] = Cors(**{key: _frozen(value) for key, value in table.cors.given().items()})
    if table.security_headers is not None:
        found["security_headers"] = SecurityHeaders(**table.security_headers.given())
    if table.compression is not None:
        found["compression"] = Compression(**{key: _frozen(value) for key, value in table.compression.given().items()})
    return found


def _frozen(value: Any) -> Any:
    return tuple(dict.fromkeys(value)) if isinstance(value, list) else value
