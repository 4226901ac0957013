"""The human shape of a route's `cache`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from meshctl.config.document_passing import or_true
from meshctl.config.scalars import Duration, Size
from meshctl.config.scalars_http import HeaderName
from meshctl.config.table import Table


class CacheTable(Table):
    """Which answers are kept, by what they say themselves (Cache-Control) and this. true takes the defaults."""

    callers: Literal["anonymous", "each", "all"] | None = Field(
        None,
        description="Whose requests are answered from it: of those without Authorization and Cookie; of each caller "
        "with what was kept for that one; or of all who may call, alike.",
    )
    default: Duration | None = Field(
        None, description='How long an answer is fresh that does not say; "0" keeps none of those.', examples=["60s"]
    )
    largest: Size | None = Field(None, description="The longest body that is kept.")
    vary: list[HeaderName] | None = Field(
        None,
        description="Request headers by which answers differ, beside those they name themselves.",
        examples=[["accept-language"]],
    )
    coalesce: Duration | None = Field(
        None, description='How long requests wait for the answer to another one for the same; "0" sends each on.'
    )
    stale_while_revalidate: Duration | None = Field(
        None,
        description="How long past its time an answer that does not say is given while a new one is fetched.",
        examples=["30s"],
    )
    stale_if_error: Duration | None = Field(
        None, description="The same, where the service fails or cannot be reached.", examples=["10m"]
    )
    set_cookie: bool | None = Field(None, description="Whether answers that set cookies are kept, without those.")
    reload: bool | None = Field(
        None, description="Whether clients may ask for a new answer, by Cache-Control in their requests."
    )


CacheSpec = Annotated[
    CacheTable,
    BeforeValidator(or_true('{ default = "60s" }'), json_schema_input_type=Literal[True] | CacheTable),
]
