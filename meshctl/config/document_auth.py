"""The human shape of `[auth.NAME]` and of a route's `auth` and `require`: who calls, and who may."""

from __future__ import annotations

import re
from typing import Annotated, Final, Literal

from pydantic import BeforeValidator, Field

from meshctl.config.document_asking import ForwardAuthTable, IntrospectionTable
from meshctl.config.document_oidc import OidcTable
from meshctl.config.document_path import PathSpec
from meshctl.config.problems import Wrong
from meshctl.config.scalars import Duration, Label, Network, PlainText, RouteName, checked, kind_of, string
from meshctl.config.scalars_auth import Algorithm, Audience, Scopes, Some, Url
from meshctl.config.scalars_http import EditableHeader, HeaderValue, Method, header_name
from meshctl.config.table import Table, distinct_keys, either

_SPIFFE: Final = re.compile(r"spiffe://[a-z0-9._-]+/[A-Za-z0-9._/-]+")


def _caller(value: object) -> str:
    def check(given: str) -> str:
        if given.startswith("spiffe:") and not _SPIFFE.fullmatch(given):
            raise ValueError('expected a SPIFFE ID such as "spiffe://shop.mesh/service/web"')
        return given

    return str(checked(value, check))


def _header(value: object) -> str:
    return "" if value is False else header_name(value)


def _values(value: object) -> object:
    if not isinstance(value, str | list):
        raise Wrong(f"{kind_of(value)} is not valid here", expected="a value or an array of values")
    return [value] if isinstance(value, str) else value


def _need(value: object) -> object:
    expected = '"users", { any = ["users", "partners"] } or { all = […] }'
    if isinstance(value, str):
        return {"any": [value]}
    if not isinstance(value, dict):
        raise Wrong(f"{kind_of(value)} is not valid here", expected=expected)
    return either(value, "any", "all")


def _rules(value: object) -> object:
    return [value] if isinstance(value, dict) else value


Caller = Annotated[
    str, BeforeValidator(_caller, json_schema_input_type=string("web", "spiffe://shop.mesh/service/web"))
]
Values = Annotated[Some, BeforeValidator(_values, json_schema_input_type=str | Some)]
ClaimHeaders = Annotated[
    dict[EditableHeader, PlainText], BeforeValidator(distinct_keys, json_schema_input_type=dict[str, str])
]


class JwtTable(Table):
    """A signed token in `Authorization: Bearer`."""

    issuer: PlainText | None = Field(
        None,
        description="What `iss` must be; without keys and jwks its OpenID configuration says where keys are.",
        examples=["https://id.example.com"],
    )
    audience: Audience | None = Field(None, description="One of these must be in `aud`.", examples=[["api"]])
    algorithms: Annotated[list[Algorithm], Field(min_length=1)] | None = Field(
        None, description="The algorithms that are accepted; nothing else ever is.", examples=[["ES256"]]
    )
    keys: PlainText | None = Field(
        None, description="A JWK Set or a PEM public key; relative to this file's folder.", examples=["jwks.json"]
    )
    jwks: Url | None = Field(None, description="The URL of a JWK Set.")
    leeway: Duration | None = Field(None, description="By how much clocks may differ.", examples=["30s"])
    scopes: PlainText | None = Field(None, description="The claim that scopes stand in.", examples=["scope"])
    roles: PlainText | None = Field(
        None, description="The claim that roles stand in.", examples=["roles", "realm_access.roles"]
    )


class ApiKeyTable(Table):
    """A key made by `meshctl keys create`, and where it is looked for."""

    header: Annotated[str, BeforeValidator(_header, json_schema_input_type=Literal[False] | str)] | None = Field(
        None, description="A header's name; false is none.", examples=["x-api-key"]
    )
    query: PlainText | None = Field(None, description="A query parameter's name; it never reaches the service.")
    bearer: bool | None = Field(None, description="Whether `Authorization: Bearer` may have it.")


class BasicTable(Table):
    """A name and a password."""

    users: PlainText = Field(
        description="A file of name:hash lines with argon2 or bcrypt hashes; relative to this file's folder.",
        examples=["users.htpasswd"],
    )
    realm: HeaderValue | None = Field(None, description="What people are told they sign in to.")


class CertificateSourceTable(Table):
    """The caller's certificate, of the mesh or of another authority."""

    ca: PlainText | None = Field(
        None,
        description="Whose certificates are believed, a PEM file relative to this file's folder; left out, the mesh's.",
        examples=["clients-ca.pem"],
    )


class AuthTable(Table):
    """A way to know who calls: one of jwt, api_key, basic, certificate, oidc, introspection and forward_auth."""

    jwt: JwtTable | None = Field(None, description="A signed token.")
    api_key: ApiKeyTable | None = Field(None, description="A key that `meshctl keys create` made.")
    basic: BasicTable | None = Field(None, description="A name and a password.")
    certificate: CertificateSourceTable | None = Field(None, description="The caller's certificate.")
    oidc: OidcTable | None = Field(None, description="A login at an OpenID provider, for people with browsers.")
    introspection: IntrospectionTable | None = Field(None, description="A token that a server is asked about.")
    forward_auth: ForwardAuthTable | None = Field(
        None, description="An HTTP server that is asked whether a request may go on."
    )
    headers: ClaimHeaders | None = Field(
        None,
        description="Headers that tell the service a claim; what a client sends of them never passes.",
        examples=[{"x-user": "sub"}],
    )
    forward: bool | None = Field(
        None,
        description="Whether the service gets the credential, too; left out, a token does, and what forward_auth saw.",
    )


class NeedTable(Table):
    """Which ways a route asks for: one of any and all."""

    any: Annotated[list[Label], Field(min_length=1)] | None = Field(None, description="One of these is enough.")
    all: Annotated[list[Label], Field(min_length=1)] | None = Field(None, description="Every one of these.")


NeedSpec = Annotated[NeedTable, BeforeValidator(_need, json_schema_input_type=str | NeedTable)]


class RequireTable(Table):
    """A rule: requests of these methods and paths need all that is asked."""

    name: RouteName | None = Field(None, description="The rule's name in refusals; made from what it asks if left out.")
    methods: Annotated[list[Method], Field(min_length=1)] | None = Field(
        None, description="Methods it is about, GET with HEAD; left out, every method.", examples=[["POST"]]
    )
    paths: Annotated[list[PathSpec], Field(min_length=1)] | None = Field(
        None, description="Paths it is about; left out, every path.", examples=[["/v1/orders"]]
    )
    scopes: Scopes | None = Field(None, description="Scopes, all of which the caller must have.")
    roles: Values | None = Field(None, description="Roles, one of which the caller must have.")
    claims: dict[PlainText, Values] | None = Field(
        None, description="Claims, all of which the caller must have with one of the values."
    )
    subjects: Values | None = Field(None, description="Who may, by name (`sub`).")
    owners: Values | None = Field(None, description="Whose API keys may.")
    identities: Annotated[list[Caller], Field(min_length=1)] | None = Field(
        None, description="Which members of the mesh may: SPIFFE IDs or services."
    )
    addresses: Annotated[list[Network], Field(min_length=1)] | None = Field(
        None, description="Networks from which it may be asked, behind trusted proxies.", examples=[["10.0.0.0/8"]]
    )


Rules = Annotated[list[RequireTable], BeforeValidator(_rules, json_schema_input_type=RequireTable | list[RequireTable])]
