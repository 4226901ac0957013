"""The human shape of `[[allow]]`: who may call whom, how and where."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, Field

from meshctl.config.document_path import PathSpec
from meshctl.config.scalars import Member, RouteName
from meshctl.config.scalars_http import Method
from meshctl.config.table import Table, several

Members = Annotated[
    Annotated[list[Member], Field(min_length=1)],
    BeforeValidator(several, json_schema_input_type=Member | Annotated[list[Member], Field(min_length=1)]),
]


class AllowTable(Table):
    """One rule: these services may call those. A service that a rule is about takes no calls but those that some rule
    allows."""

    name: RouteName | None = Field(
        None, description='The rule\'s name in refusals and metrics; "web-to-orders" and the like where left out.'
    )
    # "from" is a word of Python's.
    sources: Members = Field(
        alias="from", description='Who calls: a service, "gateway", "*" for anyone, or a list.', examples=["web"]
    )
    targets: Members = Field(
        alias="to", description='Who is called: a service, "*" for any, or a list.', examples=["orders"]
    )
    methods: Annotated[list[Method], Field(min_length=1)] | None = Field(
        None, description="Methods; left out, every method.", examples=[["GET", "HEAD"]]
    )
    paths: Annotated[list[PathSpec], Field(min_length=1)] | None = Field(
        None,
        description="Paths, each a prefix on segment boundaries, { exact = … } or { regex = … }; left out, every path.",
        examples=[["/v1/orders"]],
    )
