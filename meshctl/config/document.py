"""The human shape of mesh.toml: what the file may say, table by table, with a description of every key for editors.

Shorthands become their long form here (`path = "/x"` → `{ prefix = "/x" }`). Nothing has a default: those live in
`model/`. Only `config/` imports this, and late: pydantic costs 8 MB that no proxy should pay.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import BeforeValidator, Field

from meshctl.config.document_allow import AllowTable
from meshctl.config.document_api import ApiTable
from meshctl.config.document_auth import AuthTable
from meshctl.config.document_limits import Addresses, RateLimitingTable
from meshctl.config.document_route import RouteTable
from meshctl.config.document_service import ServiceTable
from meshctl.config.document_tracing import TracingTable
from meshctl.config.problems import Wrong
from meshctl.config.scalars import (
    Address,
    Duration,
    HeadSize,
    Label,
    Network,
    Period,
    PlainText,
    Size,
    TrustDomain,
    address,
    kind_of,
)
from meshctl.config.table import Table, listed
from meshctl.model.mesh import Listener

MESH: Final = "mesh"
"""The certificate that is no file: the mesh's CA issues it."""

Count = Annotated[int, Field(ge=1, le=1_000_000)]


def _workers(value: object) -> object:
    if isinstance(value, str) and value != "auto":
        raise Wrong(expected='a number of processes or "auto"')
    if isinstance(value, int) and not isinstance(value, bool) and value < 1:
        raise Wrong(f"{value} is not valid", expected='a number of processes or "auto"')
    return 0 if value == "auto" else value


def _listener(value: object) -> object:
    if isinstance(value, int):
        raise Wrong(f"{value} is not an address", expected="host:port", hint=f'did you mean "127.0.0.1:{value}"?')
    return {"address": value} if isinstance(value, str) else value


def _listener_tls(value: object) -> object:
    if value is True:
        raise Wrong(expected='false, { certificate = …, key = … } or { certificate = "mesh" }')
    return [] if value is False else listed(value)


def _admin(value: object) -> object:
    return value if value == "off" else Listener(*address(value)).address


def _access_log(value: object) -> object:
    if isinstance(value, bool):
        raise Wrong(f"{kind_of(value)} is not valid here", expected='"stdout", "off" or a file path')
    return {"path": value} if isinstance(value, str) else value


class MeshTable(Table):
    """The mesh: one trust domain, one state store, one file."""

    name: Label | None = Field(None, description="The mesh's name, a DNS label.", examples=["shop"])
    trust_domain: TrustDomain | None = Field(
        None,
        description='The trust domain of its identities; "NAME.mesh" where it is left out.',
        examples=["shop.mesh"],
    )
    default: Literal["allow", "deny"] | None = Field(
        None, description="Whether services may call a service that no [[allow]] is about."
    )
    policy: Literal["enforce", "shadow"] | None = Field(
        None, description='"shadow" refuses nothing and counts what [[allow]] and the default would refuse.'
    )
    egress: Literal["allow", "deny"] | None = Field(
        None, description="Whether sidecars let their app call hosts outside the mesh."
    )


class CertificateTable(Table):
    """A certificate and its key, whose DNS names choose it by SNI; or "mesh", one that the mesh's CA issues."""

    certificate: PlainText = Field(
        description="The certificate chain, a PEM file; relative to this file's folder. Or \"mesh\": the mesh's CA "
        "issues one for the hosts of the routes (localhost, 127.0.0.1 and ::1 where no route has any) and renews it.",
        examples=["gateway.pem", MESH],
    )
    key: PlainText | None = Field(
        None, description='The private key, a PEM file; relative to this file\'s folder. "mesh" has none.'
    )


Certificates = Annotated[
    list[CertificateTable], BeforeValidator(listed, json_schema_input_type=CertificateTable | list[CertificateTable])
]


class ListenerTable(Table):
    """An address to accept on, with certificates of its own."""

    address: Address = Field(description="host:port; no host is every interface, port 0 lets the system choose.")
    tls: (
        Annotated[
            list[CertificateTable],
            BeforeValidator(
                _listener_tls, json_schema_input_type=Literal[False] | CertificateTable | list[CertificateTable]
            ),
        ]
        | None
    ) = Field(None, description="Certificates of this listener; false is plain HTTP. Left out, gateway.tls holds.")
    connections_per_client: Count | None = Field(
        None,
        description="Connections that each worker takes here from one address (IPv6: from one /64), that of the "
        "socket: of a proxy in front of this one, not of its clients. Left out, no limit but "
        "gateway.limits.connections.",
    )


class AccessLogTable(Table):
    """Where each request's line goes and how it looks."""

    path: PlainText | None = Field(
        None, description='"stdout", "off" or a file.', examples=["stdout", "off", "access.log"]
    )
    format: Literal["json", "text"] | None = Field(None, description="One JSON object per line, or text.")
    redact: bool | None = Field(None, description="Whether query strings are left out.")


class DownstreamTimeoutsTable(Table):
    """How long a client may take."""

    head: Period | None = Field(None, description="From a request's first byte to the end of its head.")
    body: Period | None = Field(None, description="Between two pieces of a request body.")
    idle: Period | None = Field(None, description="Between two requests on a kept-alive connection.")
    write: Period | None = Field(None, description="While a client takes nothing of an answer that waits for it.")
    drain: Duration | None = Field(None, description="For what is in flight when the gateway stops.")
    handshake: Period | None = Field(None, description="For a TLS handshake.")


class LimitsTable(Table):
    """What the gateway accepts."""

    connections: Count | None = Field(None, description="Open client connections, over all workers.")
    head_bytes: HeadSize | None = Field(None, description="The longest request or response head.")
    header_count: Count | None = Field(None, description="The most headers in a message.")
    body_bytes: Size | None = Field(None, description='The longest request body; "0B" is no limit.')
    upstream_connections: Count | None = Field(None, description="Connections to one endpoint, from one worker.")


class OverloadTable(Table):
    """When a proxy refuses part of its requests, because it cannot keep up with all of them."""

    lag: Duration | None = Field(
        None, description='How far behind a worker may be for good; "0" is however far. Holds for sidecars too.'
    )


class GatewayTable(Table):
    """The entry for traffic from outside."""

    listen: (
        Annotated[
            list[Annotated[ListenerTable, BeforeValidator(_listener, json_schema_input_type=str | ListenerTable)]],
            Field(min_length=1),
        ]
        | None
    ) = Field(None, description="The addresses to accept on.", examples=[["127.0.0.1:8080"]])
    workers: (
        Annotated[
            Annotated[int, Field(ge=0, le=1024)],
            BeforeValidator(_workers, json_schema_input_type=Literal["auto"] | Annotated[int, Field(ge=1, le=1024)]),
        ]
        | None
    ) = Field(
        None, description='Worker processes; "auto" is one for each core. Takes effect when the gateway is started.'
    )
    admin: Annotated[str, BeforeValidator(_admin, json_schema_input_type=str)] | None = Field(
        None,
        description='Where the gateway serves /metrics, /healthz and /readyz, or "off"; sidecars take free ports. '
        "Takes effect when the gateway is started.",
        examples=["127.0.0.1:9901", "off"],
    )
    tls: Certificates | None = Field(
        None, description="Certificates of every listener that has none of its own, chosen by SNI."
    )
    trusted_proxies: list[Network] | None = Field(
        None,
        description="Networks whose X-Forwarded-* and Forwarded are believed.",
        examples=[["10.0.0.0/8"]],
    )
    access_log: (
        Annotated[AccessLogTable, BeforeValidator(_access_log, json_schema_input_type=str | AccessLogTable)] | None
    ) = Field(None, description='"stdout", "off", a file, or a table.', examples=["stdout", "off", "access.log"])
    forwarded: bool | None = Field(
        None, description="Whether requests also carry Forwarded (RFC 7239), beside X-Forwarded-*."
    )
    timeouts: DownstreamTimeoutsTable | None = Field(None, description="How long a client may take.")
    limits: LimitsTable | None = Field(None, description="What the gateway accepts.")
    overload: OverloadTable | None = Field(
        None, description="When requests are refused because a worker cannot keep up with all of them."
    )
    allow_addresses: Addresses | None = Field(
        None, description="Networks whose clients alone are served, whatever the route.", examples=[["10.0.0.0/8"]]
    )
    deny_addresses: Addresses | None = Field(None, description="Networks whose clients are not served at all.")
    rate_limit: RateLimitingTable | None = Field(None, description="How rate limits are kept.")
    cache_bytes: Size | None = Field(
        None, description="What each worker keeps of answers at most, of all routes with `cache`."
    )


class Document(Table):
    """A whole mesh.toml."""

    mesh: MeshTable | None = Field(None, description="The mesh.")
    gateway: GatewayTable | None = Field(None, description="The entry for traffic from outside.")
    routes: list[RouteTable] | None = Field(None, description="Which requests go where; the most specific route wins.")
    services: dict[Label, ServiceTable] | None = Field(None, description="Where requests go, by name.")
    auth: dict[Label, AuthTable] | None = Field(None, description="Ways to know who calls, by name.")
    api: dict[Label, ApiTable] | None = Field(None, description="APIs in several versions, by name.")
    allow: list[AllowTable] | None = Field(
        None,
        description="Which services may call which; a service that any rule is about takes no other calls.",
    )
    tracing: TracingTable | None = Field(None, description="Traces for OpenTelemetry; left out, there are none.")
