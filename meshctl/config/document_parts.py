"""The human shape of `[[routes.parts]]`: the requests of which a route's answer is made."""

from __future__ import annotations

import re
from typing import Annotated, Final, Literal

from pydantic import BeforeValidator, ConfigDict, Field

from meshctl.config.document_passing import JsonEditsTable, JsonValue
from meshctl.config.problems import Wrong, quoted
from meshctl.config.scalars import Duration, Label, checked, kind_of, string
from meshctl.config.scalars_http import HeaderName, url_path
from meshctl.config.table import ONE_KEY, Table, either, listed
from meshctl.core.part_target import Target, shown
from meshctl.core.template import PART
from meshctl.model.part import MOST_PARTS
from meshctl.wire.fields import REQUEST_READ

_WORDS: Final = ("required", "optional")
_QUERY: Final = re.compile(r"[\x21-\x7e]*")
# What the gateway says itself, and what would have a part answered with something else than its whole document.
_NOT_PASSED: Final = frozenset(name.decode() for name in REQUEST_READ) | {
    *("accept-encoding", "content-encoding", "content-type", "range"),
    *("if-match", "if-modified-since", "if-none-match", "if-range", "if-unmodified-since"),
}


def _path(value: object) -> str:
    def check(given: str) -> str:
        if not given.startswith("/"):
            raise ValueError('expected a path such as "/users/{path.id}", "/" first')
        query = given.partition("?")[2]
        target = Target(given)
        if "#" in given or not _QUERY.fullmatch(query) or url_path(target.written) != target.written:
            raise ValueError("expected a path as it is asked for, what is not ASCII percent-encoded, and no fragment")
        for each in target.variables:
            if each.kind == PART and "." not in each.name:
                raise Wrong(f"{shown(each)} is a whole answer", expected=f"a place in it: {{part.{each.name}.id}}")
        return given

    return str(checked(value, check))


def _need(value: object) -> object:
    expected = '"required", "optional" or { default = … }'
    if isinstance(value, str) and value in _WORDS:
        return {value: True}
    if isinstance(value, dict):
        return either(value, *_WORDS, "default")
    raise Wrong(f"{quoted(value) if isinstance(value, str) else kind_of(value)} is not valid here", expected=expected)


def _group(value: object) -> str:
    def check(given: str) -> str:
        if not given.isprintable() or len(given) > 128:
            raise ValueError('expected the name of a member, or "" for the result itself')
        return given

    return str(checked(value, check))


def _passed(value: object) -> str:
    def check(given: str) -> str:
        if given.lower() in _NOT_PASSED:
            raise Wrong(f"{quoted(given.lower())} is not the client's to say to a part")
        return given.lower()

    return str(checked(value, check))


PartPath = Annotated[
    str,
    BeforeValidator(
        _path, json_schema_input_type=string("/users/{path.id}", "/orders?user={part.user.id}", pattern="^/")
    ),
]
Group = Annotated[str, BeforeValidator(_group, json_schema_input_type=str)]
Passed = Annotated[HeaderName, BeforeValidator(_passed, json_schema_input_type=string("authorization"))]


class PartNeedTable(Table):
    """What a part's failure means: one of these."""

    model_config = ConfigDict(json_schema_extra=ONE_KEY)

    required: Literal[True] | None = Field(None, description="The whole fails.")
    optional: Literal[True] | None = Field(None, description="It is left out, and named.")
    default: JsonValue = Field(None, description="This stands in its place, and it is named.", examples=[[]])


class PartTable(Table):
    """A request that goes out for the route, and what becomes of its answer, which is JSON."""

    name: Label = Field(description="The part's name, by which it is told what failed.", examples=["user"])
    service: Label = Field(description="The service that is asked.", examples=["users"])
    version: Label | None = Field(
        None, description="The one version of the service that is meant, whatever the weights.", examples=["v2"]
    )
    path: PartPath = Field(
        description="What it is asked for, with GET; may have variables, also {part.NAME.PLACE} of other answers."
    )
    need: (
        Annotated[
            PartNeedTable,
            BeforeValidator(_need, json_schema_input_type=Literal["required", "optional"] | PartNeedTable),
        ]
        | None
    ) = Field(None, description="What its failure means; left out, it is required.", examples=["optional"])
    group: Group | None = Field(
        None, description='The member of the result that it becomes; left out, its name. "" merges it into the result.'
    )
    timeout: Duration | None = Field(None, description='For this part; left out, what its service says. "0" is none.')
    headers: list[Passed] | None = Field(
        None,
        description="The client's headers that it gets; left out, accept-language alone.",
        examples=[["accept-language", "authorization"]],
    )
    response_body: JsonEditsTable | None = Field(None, description="Edits to its answer, before it is merged.")


Parts = Annotated[
    Annotated[list[PartTable], Field(min_length=1, max_length=MOST_PARTS)],
    BeforeValidator(listed, json_schema_input_type=list[PartTable]),
]
