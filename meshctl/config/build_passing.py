"""What passes a route, as the model has it."""

from __future__ import annotations

import json
from typing import Any

from meshctl.config.build_checked import checked
from meshctl.config.document_passing import JsonEditsTable
from meshctl.config.document_route import RouteTable
from meshctl.model.api import ApiRoute
from meshctl.model.caching import Caching
from meshctl.model.passing import Compression, Cors, JsonEdits, SecurityHeaders


def passing(table: RouteTable) -> dict[str, Any]:
    """The fields of a route that its tables of this kind fill."""
    found: dict[str, Any] = {}
    if table.api is not None:
        found["api"] = ApiRoute(table.api)
    found |= checked(table)
    if table.cors is not None:
        found["cors"] = Cors(**{key: _frozen(value) for key, value in table.cors.given().items()})
    if table.security_headers is not None:
        found["security_headers"] = SecurityHeaders(**table.security_headers.given())
    if table.compression is not None:
        found["compression"] = Compression(**{key: _frozen(value) for key, value in table.compression.given().items()})
    if table.cache is not None:
        found["cache"] = Caching(**{key: _frozen(value) for key, value in table.cache.given().items()})
    for key, edits in (("request_body", table.request_body), ("response_body", table.response_body)):
        if edits is not None:
            found[key] = json_edits(edits)
    return found


def json_edits(table: JsonEditsTable) -> JsonEdits:
    """Edits to bodies of JSON."""
    given = {key: _frozen(value) for key, value in table.given().items()}
    for key in ("rename", "move", "set"):
        if key in given:
            given[key] = tuple(sorted(given[key].items()))
    if table.set is not None:
        given["set"] = tuple((path, json.dumps(value, sort_keys=True)) for path, value in given["set"])
    return JsonEdits(**given)


def _frozen(value: Any) -> Any:
    return tuple(dict.fromkeys(value)) if isinstance(value, list) else value
