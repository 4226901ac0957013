"""The human shape of `[[routes]]`: conditions, the action, rewriting, header edits and policies."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from pydantic import BeforeValidator, ConfigDict, Field

from meshctl.config.document_auth import NeedSpec, Rules
from meshctl.config.document_caching import CacheSpec
from meshctl.config.document_checked import BodySchemaSpec, OpenApiSpec
from meshctl.config.document_limits import Addresses, Bandwidth, Quotas, RateLimits
from meshctl.config.document_parts import Parts
from meshctl.config.document_passing import CompressionSpec, CorsTable, JsonEditsTable, SecuritySpec
from meshctl.config.document_path import PathSpec
from meshctl.config.scalars import Duration, HostPattern, Label, PlainHost, PlainText, RouteName, Size
from meshctl.config.scalars_http import (
    EditableHeader,
    HeaderName,
    HeaderText,
    HeaderValue,
    Method,
    PrefixPath,
    Regex,
    RetryCondition,
    RewrittenPath,
    Text,
    UrlPath,
)
from meshctl.config.table import ONE_KEY, Table, distinct_keys, either, shorthand


def _value(value: object) -> object:
    expected = '"value", { regex = "…" } or { present = true }'
    return either(shorthand(value, "exact", expected), "exact", "regex", "present")


def _values(value: object) -> object:
    return [value] if isinstance(value, str) else value


class ValueTable(Table):
    """A condition on a header's, cookie's or query parameter's value: one of exact, regex and present."""

    model_config = ConfigDict(json_schema_extra=ONE_KEY)

    exact: str | None = Field(None, description="The value is this.")
    regex: Regex | None = Field(None, description="The whole value matches this regular expression.")
    present: Literal[True] | None = Field(None, description="It is there, with any value.")


class RedirectTable(Table):
    """An answer with a Location; what is left out stays as in the request."""

    scheme: Literal["http", "https"] | None = Field(None, description="The scheme of the Location.")
    host: PlainHost | None = Field(None, description="The host of the Location.")
    port: Annotated[int, Field(ge=1, le=65535)] | None = Field(None, description="The port of the Location.")
    path: UrlPath | None = Field(None, description="The path of the Location.")
    prefix: PrefixPath | None = Field(None, description="Takes the matched prefix's place.")
    status: Literal[301, 302, 303, 307, 308] | None = Field(None, description="The status of the answer.")


class RespondTable(Table):
    """A fixed answer."""

    status: Annotated[int, Field(ge=200, le=599)] | None = Field(None, description="The status of the answer.")
    body: str | None = Field(None, description="The body of the answer.")
    content_type: HeaderValue | None = Field(None, description="The body's media type.", examples=["application/json"])


class RewriteTable(Table):
    """Changes to what is forwarded."""

    prefix: PrefixPath | None = Field(None, description="Takes the matched prefix's place.")
    path: RewrittenPath | None = Field(
        None, description="Takes the whole path's place.", examples=["/v2/users/{path.id}"]
    )
    host: PlainHost | None = Field(None, description="Takes the Host header's place.")


Edited = Annotated[
    dict[EditableHeader, HeaderText], BeforeValidator(distinct_keys, json_schema_input_type=dict[str, str])
]
Renamed = Annotated[
    dict[EditableHeader, EditableHeader], BeforeValidator(distinct_keys, json_schema_input_type=dict[str, str])
]
Added = Annotated[
    dict[
        EditableHeader,
        Annotated[list[HeaderText], BeforeValidator(_values, json_schema_input_type=str | list[str])],
    ],
    BeforeValidator(distinct_keys, json_schema_input_type=dict[str, str | list[str]]),
]


class HeaderEditsTable(Table):
    """Edits to a message's headers, in this order: rename, remove, set, add. Values may have variables."""

    rename: Renamed | None = Field(None, description="Old names with the new ones, which they take the place of.")
    set: Edited | None = Field(None, description="Headers that get this value, whatever they had.")
    add: Added | None = Field(
        None, description="Values that are added to what is there: one or a list for each header."
    )
    remove: list[EditableHeader] | None = Field(None, description="Headers that are taken out.")


class QueryEditsTable(Table):
    """Edits to the query that is forwarded, in this order: rename, remove, set, add. Values may have variables."""

    rename: dict[PlainText, PlainText] | None = Field(
        None, description="Old names with the new ones, which they take the place of."
    )
    set: dict[PlainText, Text] | None = Field(None, description="Parameters that get this value, whatever they had.")
    add: (
        dict[PlainText, Annotated[list[Text], BeforeValidator(_values, json_schema_input_type=str | list[str])]] | None
    ) = Field(None, description="Values that are added to what is there: one or a list for each parameter.")
    remove: list[PlainText] | None = Field(None, description="Parameters that are taken out.")


class RetryTable(Table):
    """When a request may be sent again."""

    attempts: Annotated[int, Field(ge=0, le=10)] | None = Field(None, description="Extra attempts; 0 is none.")
    on: list[RetryCondition] | None = Field(
        None,
        description='"connect", "reset", "refused" (by a proxy of the mesh), "timeout" or a status such as "503".',
        examples=[["connect", "reset", "refused", "503"]],
    )
    per_try: Duration | None = Field(
        None, description='For one attempt, up to the answer\'s head; it adds "timeout" to "on". "0" is no such limit.'
    )


Condition = Annotated[ValueTable, BeforeValidator(_value, json_schema_input_type=str | ValueTable)]
Headers = Annotated[
    dict[HeaderName, Condition], BeforeValidator(distinct_keys, json_schema_input_type=dict[str, str | ValueTable])
]

_ACTIONS: Final[list[Any]] = [{"required": [action]} for action in ("service", "redirect", "respond", "parts")]


class RouteTable(Table):
    """One rule: which requests are meant, and what is done with them. One of service, redirect, respond and parts is
    given."""

    model_config = ConfigDict(
        # What belongs to an API may leave it to the versions where they lead.
        json_schema_extra={"oneOf": [*_ACTIONS, {"required": ["api"], "not": {"anyOf": [*_ACTIONS]}}]}
    )

    name: RouteName | None = Field(
        None, description="The route's name in metrics and logs; made from the path where left out."
    )
    hosts: Annotated[list[HostPattern], Field(min_length=1)] | None = Field(
        None, description='Hosts, exact or "*.example.com"; left out, every host.', examples=[["api.example.com"]]
    )
    path: PathSpec | None = Field(
        None, description="A prefix on segment boundaries, { exact = … } or { regex = … }.", examples=["/v1/orders"]
    )
    methods: Annotated[list[Method], Field(min_length=1)] | None = Field(
        None, description="Methods; left out, every method.", examples=[["GET", "POST"]]
    )
    headers: Headers | None = Field(None, description="Conditions on headers, all of which must hold.")
    cookies: dict[str, Condition] | None = Field(None, description="Conditions on cookies, all of which must hold.")
    query: dict[str, Condition] | None = Field(
        None, description="Conditions on query parameters, all of which must hold."
    )
    service: Label | None = Field(None, description="The service that takes the request.", examples=["orders"])
    version: Label | None = Field(
        None, description="The one version of the service that is meant, whatever the weights.", examples=["v2"]
    )
    api: Label | None = Field(
        None, description="The [api] table it belongs to: it stands for a route to each version.", examples=["orders"]
    )
    redirect: RedirectTable | None = Field(None, description="Answer with a Location.")
    respond: RespondTable | None = Field(None, description="Answer with a fixed text.")
    parts: Parts | None = Field(None, description="Answer with one JSON document, made of what these are answered.")
    rewrite: RewriteTable | None = Field(None, description="Changes to what is forwarded.")
    request_headers: HeaderEditsTable | None = Field(None, description="Edits to the forwarded request's headers.")
    response_headers: HeaderEditsTable | None = Field(None, description="Edits to the answer's headers.")
    request_query: QueryEditsTable | None = Field(None, description="Edits to the forwarded request's query.")
    timeout: Duration | None = Field(None, description='For the whole exchange; "0" is none, so that streams live.')
    retry: RetryTable | None = Field(
        None, description="When a request may be sent again; left out, what the service says."
    )
    priority: Literal["high", "normal", "low"] | None = Field(
        None, description="Who waits first for a limited service, and is refused last by a proxy that cannot keep up."
    )
    auth: NeedSpec | None = Field(
        None, description="How callers must be known: the name of an [auth] table, { any = […] } or { all = […] }."
    )
    require: Rules | None = Field(None, description="What callers must have; the first rule that is not met refuses.")
    body_bytes: Size | None = Field(None, description='The longest request body; "0B" takes the gateway\'s limit.')
    rate_limits: RateLimits | None = Field(None, description="Rates that requests must keep, all of them.")
    quotas: Quotas | None = Field(None, description="How many requests there may be in a day or a month.")
    allow_addresses: Addresses | None = Field(
        None,
        description="Networks from which alone it may be asked, behind trusted proxies.",
        examples=[["10.0.0.0/8"]],
    )
    deny_addresses: Addresses | None = Field(
        None, description="Networks from which it may not be asked.", examples=[["192.0.2.0/24"]]
    )
    cors: CorsTable | None = Field(
        None, description="Which pages of other origins may read the answers; left out, what the service says."
    )
    security_headers: SecuritySpec | None = Field(
        None, description="What browsers are told to be strict about; true takes the defaults.", examples=[True]
    )
    compression: CompressionSpec | None = Field(
        None, description="Compresses answers for clients that take it; true takes the defaults.", examples=[True]
    )
    openapi: OpenApiSpec | None = Field(
        None,
        description="An OpenAPI document: its paths alone are known, and requests must be as it says.",
        examples=["api.yaml"],
    )
    request_schema: BodySchemaSpec | None = Field(
        None, description="A JSON Schema that bodies must meet.", examples=["order.schema.json"]
    )
    request_body: JsonEditsTable | None = Field(None, description="Edits to bodies of JSON that go to the service.")
    response_body: JsonEditsTable | None = Field(None, description="Edits to bodies of JSON that come back.")
    cache: CacheSpec | None = Field(
        None, description="Keeps answers in memory, in each worker; true takes the defaults.", examples=[True]
    )
    response_bytes: Size | None = Field(None, description='The longest body of an answer; "0B" is any.')
    bandwidth: Bandwidth | None = Field(
        None, description="How fast the body of an answer goes out at most.", examples=["64KiB/s"]
    )
