"""The human shape of a condition on the path, which routes and rules share."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, ConfigDict, Field

from meshctl.config.scalars_http import PrefixPath, Regex, UrlPath
from meshctl.config.table import ONE_KEY, Table, either, shorthand


def _path(value: object) -> object:
    expected = '"/prefix", { exact = "/path" } or { regex = "…" }'
    return either(shorthand(value, "prefix", expected), "prefix", "exact", "regex")


Prefix = Annotated[str, Field(pattern="^/")]


class PathTable(Table):
    """A condition on the path: one of prefix, exact and regex."""

    model_config = ConfigDict(json_schema_extra=ONE_KEY)

    prefix: PrefixPath | None = Field(None, description="The path begins with these segments.")
    exact: UrlPath | None = Field(None, description="The path is this.")
    regex: Regex | None = Field(None, description="The whole path matches this regular expression.")


PathSpec = Annotated[PathTable, BeforeValidator(_path, json_schema_input_type=Prefix | PathTable)]
