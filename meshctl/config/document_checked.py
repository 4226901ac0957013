"""The human shape of what a route asks of requests: an OpenAPI document, or a JSON Schema for bodies."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, Field

from meshctl.config.scalars import PlainText, Size
from meshctl.config.scalars_http import PrefixPath
from meshctl.config.table import Table, shorthand

_LIMIT = "The longest body that is looked at, which is held while it comes; longer are refused."


def _document(value: object) -> object:
    return shorthand(value, "document", 'a file such as "api.yaml" or { document = "api.yaml" }')


def _file(value: object) -> object:
    return shorthand(value, "file", 'a file such as "order.schema.json" or { file = "order.schema.json" }')


class OpenApiTable(Table):
    """An OpenAPI 3.0 or 3.1 document, whose paths are all that the route knows."""

    document: PlainText = Field(description="The file, YAML or JSON.", examples=["api.yaml"])
    base: PrefixPath | None = Field(
        None,
        description="The path under which those of the document stand; left out, what its servers say, or the route's.",
        examples=["/v1"],
    )
    limit: Size | None = Field(None, description=_LIMIT)


class BodySchemaTable(Table):
    """A JSON Schema (2020-12 or draft 7) that bodies must meet."""

    file: PlainText = Field(description="The file, JSON or YAML.", examples=["order.schema.json"])
    limit: Size | None = Field(None, description=_LIMIT)


OpenApiSpec = Annotated[OpenApiTable, BeforeValidator(_document, json_schema_input_type=str | OpenApiTable)]
BodySchemaSpec = Annotated[BodySchemaTable, BeforeValidator(_file, json_schema_input_type=str | BodySchemaTable)]
