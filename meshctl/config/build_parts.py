"""The parts of a route, as the model has them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from meshctl.config.build_passing import json_edits
from meshctl.config.document_parts import PartNeedTable, PartTable
from meshctl.config.document_route import RouteTable
from meshctl.model.part import Part
from meshctl.model.service import Service

METHODS = ("GET", "HEAD")
"""What a route with parts takes: its parts are asked for with GET."""


def parts(table: RouteTable, services: Mapping[str, Service]) -> dict[str, Any]:
    """The fields of a route that its parts fill."""
    if table.parts is None:
        return {}
    return {"parts": tuple(_part(each, services.get(each.service)) for each in table.parts)}


def _part(table: PartTable, service: Service | None) -> Part:
    given = table.given()
    edits = given.pop("response_body", None)
    need = _need(given.pop("need", None))
    if "headers" in given:
        given["headers"] = tuple(dict.fromkeys(given["headers"]))
    if edits is not None:
        given["edits"] = json_edits(edits)
    usual: dict[str, Any] = {"group": table.name}
    if service is not None:
        usual["timeout"] = service.timeout
    return Part(**usual | given | need)


def _need(table: PartNeedTable | None) -> dict[str, Any]:
    if table is None:
        return {}
    ((word, value),) = table.given().items()
    return {"need": word} | ({"default": json.dumps(value, sort_keys=True)} if word == "default" else {})
