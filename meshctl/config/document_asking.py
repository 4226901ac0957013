"""The human shape of the ways to know who calls for which another server is asked: `introspection`, `forward_auth`."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import BeforeValidator, Field

from meshctl.config.scalars import Duration, Label, Period, PlainText
from meshctl.config.scalars_auth import Audience, Url
from meshctl.config.scalars_http import EditableHeader, UrlPath
from meshctl.config.table import Table, several

_CA: Final = "A PEM file of authorities; left out, the system's."

Headers = Annotated[
    Annotated[list[EditableHeader], Field(min_length=1)],
    BeforeValidator(several, json_schema_input_type=str | list[str]),
]


class IntrospectionTable(Table):
    """A token in `Authorization: Bearer` that a server is asked about (RFC 7662)."""

    url: Url = Field(
        description="The server's introspection endpoint.", examples=["https://id.example.com/oauth2/introspect"]
    )
    client_id: PlainText = Field(description="By which name the server knows this gateway.", examples=["gateway"])
    client_secret_file: PlainText = Field(
        description="A file with its secret, nobody else's to read; relative to this file's folder.",
        examples=["introspection.secret"],
    )
    token_type_hint: PlainText | None = Field(
        None, description="What the server is told to look for first.", examples=["access_token"]
    )
    issuer: PlainText | None = Field(
        None, description="What `iss` must be in the answer.", examples=["https://id.example.com"]
    )
    audience: Audience | None = Field(
        None, description="One of these must be in `aud` of the answer.", examples=[["api"]]
    )
    cache: Duration | None = Field(
        None, description="For how long an answer holds, at most; 0 asks for each request.", examples=["60s"]
    )
    timeout: Period | None = Field(None, description="Up to this the server's answer is waited for.", examples=["5s"])
    ca: PlainText | None = Field(None, description=_CA)
    scopes: PlainText | None = Field(None, description="The claim that scopes stand in.", examples=["scope"])
    roles: PlainText | None = Field(
        None, description="The claim that roles stand in.", examples=["roles", "realm_access.roles"]
    )


class ForwardAuthTable(Table):
    """Another HTTP server says whether a request may go on."""

    url: Url | None = Field(
        None,
        description="What is asked, with GET: 2xx lets the request go on, anything else is the client's answer.",
        examples=["http://127.0.0.1:9091/api/verify"],
    )
    service: Label | None = Field(
        None, description="In the place of url: the service of the mesh that is asked.", examples=["auth"]
    )
    path: UrlPath | None = Field(None, description="What the service is asked for.", examples=["/verify"])
    send_headers: Headers | None = Field(
        None, description="The request's headers that it is shown; left out, all of them.", examples=[["cookie"]]
    )
    copy_headers: Headers | None = Field(
        None,
        description="Headers of its answer that the service gets; what clients send of them never passes. The first"
        " of them names the caller.",
        examples=[["x-user", "x-groups"]],
    )
    timeout: Period | None = Field(None, description="Up to this its answer is waited for.", examples=["5s"])
    ca: PlainText | None = Field(None, description=_CA)
