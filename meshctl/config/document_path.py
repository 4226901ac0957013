"""The human shape of a condition on the path, which routes and rules share."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, ConfigDict, Field

from meshctl.config.scalars_http import PathTemplate, PrefixPath, Regex, UrlPath
from meshctl.config.table import ONE_KEY, Table, either, shorthand


def _path(value: object) -> object:
    expected = '"/prefix", "/users/{id}", { exact = "/path" } or { regex = "…" }'
    kind = "template" if isinstance(value, str) and "{" in value else "prefix"
    return either(shorthand(value, kind, expected), "prefix", "exact", "regex", "template")


Prefix = Annotated[str, Field(pattern="^/")]


class PathTable(Table):
    """A condition on the path: one of prefix, exact, regex and template."""

    model_config = ConfigDict(json_schema_extra=ONE_KEY)

    prefix: PrefixPath | None = Field(None, description="The path begins with these segments.")
    exact: UrlPath | None = Field(None, description="The path is this.")
    regex: Regex | None = Field(None, description="The whole path matches this regular expression.")
    template: PathTemplate | None = Field(
        None,
        description="The whole path has these segments; names stand for one each, with a star for all that follow.",
        examples=["/users/{id}", "/files/{rest*}"],
    )


PathSpec = Annotated[PathTable, BeforeValidator(_path, json_schema_input_type=Prefix | PathTable)]
