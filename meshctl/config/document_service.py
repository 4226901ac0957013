"""The human shape of `[services.NAME]`: balancing, health, versions and endpoints."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, ConfigDict, Field, field_validator

from meshctl.config.document_route import Condition, Headers, RetryTable
from meshctl.config.endpoints import parse_endpoint
from meshctl.config.problems import Wrong, did_you_mean, quoted
from meshctl.config.scalars import Command, Duration, Label, Percent, Period, PlainHost, PlainText, Rate, kind_of, text
from meshctl.config.scalars_http import HeaderName, UrlPath
from meshctl.config.table import ONE_KEY, Table, either, several

Weight = Annotated[float, Field(ge=0, le=1_000_000, allow_inf_nan=False)]
Threshold = Annotated[int, Field(ge=1, le=1_000_000)]
Port = Annotated[int, Field(ge=1, le=65535)]
Status = Annotated[int, Field(ge=100, le=599)]

_POLICIES = ("least_load", "round_robin", "random")


def _key(value: object) -> object:
    expected = '"client_ip", "identity", { header = "…" }, { cookie = "…" }, { query = "…" } or { claim = "…" }'
    if value in ("client_ip", "identity"):
        return {value: True}
    if isinstance(value, dict):
        return either(value, "header", "cookie", "query", "claim", "client_ip", "identity")
    shown = quoted(value) if isinstance(value, str) else kind_of(value)
    raise Wrong(f"{shown} is not valid here", expected=expected)


def _balance(value: object) -> object:
    if value == "hash":
        raise Wrong("hash needs a key", expected='{ hash = { header = "x-user" } } or { hash = "client_ip" }')
    if isinstance(value, dict):
        return value
    given = text(value, "a policy")
    if given not in _POLICIES:
        expected = 'one of "least_load", "round_robin", "random" or { hash = … }'
        raise Wrong(f"{quoted(given)} is no policy", expected=expected, hint=did_you_mean(given, _POLICIES))
    return {"policy": given}


def _ejection(value: object) -> object:
    return {"enabled": value} if isinstance(value, bool) else value


def _intercept(value: object) -> object:
    if not isinstance(value, bool) and value != "auto":
        raise Wrong(expected='true, false or "auto"')
    return value


def _endpoint(value: object) -> object:
    return {"address": value} if isinstance(value, str) else value


class KeyTable(Table):
    """What of a request is hashed: one of these."""

    model_config = ConfigDict(json_schema_extra=ONE_KEY)

    header: HeaderName | None = Field(None, description="A header's name.")
    cookie: PlainText | None = Field(None, description="A cookie's name.")
    query: PlainText | None = Field(None, description="A query parameter's name.")
    claim: PlainText | None = Field(None, description="A claim of the caller, on routes with auth.", examples=["sub"])
    client_ip: Literal[True] | None = Field(None, description="The client's address, behind trusted proxies.")
    identity: Literal[True] | None = Field(None, description="The service of the mesh that calls.")


KeySpec = Annotated[KeyTable, BeforeValidator(_key, json_schema_input_type=Literal["client_ip", "identity"] | KeyTable)]


class BalanceTable(Table):
    """Consistent hashing on a key of the request."""

    policy: Literal["least_load", "round_robin", "random"] | None = Field(
        None, description="How an endpoint is chosen."
    )
    hash: KeySpec | None = Field(
        None, description='The key: "client_ip", "identity" or a header, cookie, query parameter or claim.'
    )


class HealthTable(Table):
    """An active check: HTTP GET where a path is given, else a TCP connection."""

    path: UrlPath | None = Field(
        None, description="The path to get; left out, a TCP connection is enough.", examples=["/healthz"]
    )
    host: PlainHost | None = Field(None, description="The Host header of the check.")
    interval: Period | None = Field(None, description="Between two checks.")
    timeout: Period | None = Field(None, description="For one check.")
    healthy: Threshold | None = Field(None, description="Successes in a row that make an endpoint healthy.")
    unhealthy: Threshold | None = Field(None, description="Failures in a row that make it unhealthy.")
    statuses: Annotated[list[Status], Field(min_length=2, max_length=2)] | None = Field(
        None, description="The lowest and the highest status that passes.", examples=[[200, 399]]
    )

    @field_validator("statuses")
    @classmethod
    def _ascending(cls, value: list[int] | None) -> list[int] | None:
        if value and value[0] > value[1]:
            raise Wrong(
                f"{value} is not valid", expected="the lowest status first", hint=f"did you mean {value[::-1]}?"
            )
        return value


class EjectionTable(Table):
    """Passive ejection: endpoints that fail rest for a while."""

    enabled: bool | None = Field(None, description="Whether endpoints are ejected at all.")
    failures: Threshold | None = Field(None, description="Failures in a row that eject an endpoint.")
    rate: Percent | None = Field(
        None, description='The share of failures that ejects one, too; "0%" is none.', examples=["50%"]
    )
    minimum: Threshold | None = Field(None, description="Requests within the window before that share counts.")
    window: Period | None = Field(None, description="The time over which it is counted.")
    base: Period | None = Field(None, description="The first rest; doubled with each ejection.")
    longest: Period | None = Field(None, description="The longest rest.")
    share: Percent | None = Field(
        None, description="The most of a version's endpoints that rest at a time.", examples=["50%"]
    )
    ramp: Duration | None = Field(
        None, description="Over which the share of an endpoint that is back grows from 10 % to its whole."
    )


class BreakerTable(Table):
    """Circuit breaker: a service that fails is not asked for a while."""

    failures: Annotated[int, Field(ge=0, le=1_000_000)] | None = Field(
        None, description="Failures in a row that open it; 0 is any number."
    )
    rate: Percent | None = Field(None, description='The share of failures that opens it; "0%" is none.')
    minimum: Threshold | None = Field(None, description="Requests within the window before that share counts.")
    window: Period | None = Field(None, description="The time over which it is counted.")
    open: Period | None = Field(
        None, description="How long nothing is sent; doubled each time it opens soon again, up to ten times that."
    )
    probes: Threshold | None = Field(
        None, description="Requests that are then sent at a time, and that must succeed to close it."
    )
    ramp: Duration | None = Field(
        None, description="Over which the share that is let through then grows from 10 % to all."
    )


class LimitTable(Table):
    """How much of the service's traffic one proxy has under way at a time; {} takes the defaults."""

    requests: Threshold | None = Field(None, description="Requests under way at a time, over all workers of a proxy.")
    queue: Annotated[int, Field(ge=0, le=1_000_000)] | None = Field(
        None, description="Requests that may wait for their turn; 0 is none."
    )
    wait: Period | None = Field(None, description="The longest wait.")
    adaptive: bool | None = Field(
        None, description='Whether the limit follows the service\'s latency; "requests" is then the most.'
    )


class RetryBudgetTable(Table):
    """How much of the service's traffic each worker may send again, over ten seconds."""

    ratio: Percent | None = Field(None, description="A share of its requests.", examples=["20%"])
    floor: Rate | None = Field(None, description="So many besides.", examples=["10/s"])


class UpstreamTlsTable(Table):
    """How https endpoints are verified."""

    ca: PlainText | None = Field(
        None, description="A PEM file of authorities, read again when it changes; left out, the system's."
    )
    server_name: PlainHost | None = Field(None, description="The name to verify; left out, the endpoint's host.")
    verify: bool | None = Field(None, description="false accepts any certificate: for experiments only.")


class UpstreamTimeoutsTable(Table):
    """How long a service may take."""

    connect: Period | None = Field(None, description="To a connection, TLS handshake included.")
    response: Period | None = Field(None, description="From the request's last byte to the response's head.")
    stream: Period | None = Field(None, description="Without a byte in either direction of a body or tunnel.")
    idle: Period | None = Field(None, description="A kept connection unused.")


class EndpointTable(Table):
    """Where a service listens."""

    address: str = Field(description='"host:port", "https://host:port" or "unix:/run/app.sock".')
    weight: Weight | None = Field(None, description="Its share among the version's endpoints; the default is 1.")

    @field_validator("address")
    @classmethod
    def _is_endpoint(cls, value: str) -> str:
        parse_endpoint(value)
        return value


Endpoints = list[Annotated[EndpointTable, BeforeValidator(_endpoint, json_schema_input_type=str | EndpointTable)]]


class VersionMatchTable(Table):
    """What makes a request one for this version, whatever the weights; all of it must hold."""

    headers: Headers | None = Field(None, description="Conditions on headers.", examples=[{"x-tester": "yes"}])
    cookies: dict[str, Condition] | None = Field(None, description="Conditions on cookies.")
    query: dict[str, Condition] | None = Field(None, description="Conditions on query parameters.")


class VersionTable(Table):
    """One version of a service and its share of the traffic."""

    endpoints: Endpoints | None = Field(None, description="Where the version listens.", examples=[["127.0.0.1:9001"]])
    weight: Weight | None = Field(None, description="Its share among the service's versions.", examples=[90])
    match: VersionMatchTable | None = Field(
        None, description="Requests that are for this version, whatever the weights."
    )
    command: Command | None = Field(
        None, description="What meshctl up runs for this version; left out, the service's command."
    )
    port: Port | None = Field(None, description="The port that command listens on; left out, the service's.")


class ServiceTable(Table):
    """A service: endpoints directly, or versions that have them; sidecars add theirs, so there may be none."""

    balance: (
        Annotated[
            BalanceTable,
            BeforeValidator(
                _balance, json_schema_input_type=Literal["least_load", "round_robin", "random"] | BalanceTable
            ),
        ]
        | None
    ) = Field(None, description="How an endpoint is chosen.", examples=["least_load"])
    sticky: KeySpec | None = Field(
        None, description="The key that keeps a user on one version.", examples=["client_ip"]
    )
    health: HealthTable | None = Field(
        None, description="The active check; {} is a TCP connection, left out there is none."
    )
    ejection: (
        Annotated[EjectionTable, BeforeValidator(_ejection, json_schema_input_type=bool | EjectionTable)] | None
    ) = Field(None, description="Passive ejection of endpoints that fail; false is none.")
    breaker: BreakerTable | None = Field(
        None, description="Circuit breaker for the whole service; {} takes the defaults, left out there is none."
    )
    limit: LimitTable | None = Field(
        None, description="How much of its traffic a proxy has under way; {} takes the defaults, left out it is all."
    )
    slow_start: Duration | None = Field(
        None, description="Over which a new endpoint's share grows from 10 % to its whole."
    )
    tls: UpstreamTlsTable | None = Field(None, description="How https endpoints are verified.")
    timeouts: UpstreamTimeoutsTable | None = Field(None, description="How long the service may take.")
    timeout: Duration | None = Field(
        None, description='For a whole exchange, on routes without their own and from within the mesh; "0" is none.'
    )
    retry: RetryTable | None = Field(None, description="When a request may be sent again, for the same.")
    retry_budget: RetryBudgetTable | None = Field(None, description="How much of its traffic may be sent again.")
    protocol: Literal["http", "tcp"] | None = Field(
        None, description='What the service speaks; "tcp" is bytes that nobody reads, from sidecar to sidecar only.'
    )
    mtls: Literal["strict", "permissive"] | None = Field(
        None,
        description='Whether its sidecars take mutual TLS alone; "permissive" takes plain calls too, and counts them.',
    )
    command: Command | None = Field(
        None,
        description="What meshctl up runs in this file's folder, wrapped: once for each version that has no command "
        "of its own.",
        examples=["python orders.py"],
    )
    port: Port | None = Field(None, description="The port the command listens on; left out, a free one in $PORT.")
    after: Annotated[list[Label], BeforeValidator(several, json_schema_input_type=Label | list[Label])] | None = Field(
        None, description="Services that meshctl up starts before this one and ends after it.", examples=[["db"]]
    )
    restart: Literal["no", "on-failure", "always"] | None = Field(
        None, description="When a command that ended is started again."
    )
    intercept: (
        Annotated[Literal["auto"] | bool, BeforeValidator(_intercept, json_schema_input_type=Literal["auto"] | bool)]
        | None
    ) = Field(
        None,
        description="Whether the command gets a network of its own, where all its connections go through its sidecar "
        '(Linux); "auto" is only where the machine allows it.',
    )
    trace_hook: bool | None = Field(
        None, description="Whether calls of its wrapped Python apps join the traces of their requests by themselves."
    )
    endpoints: Endpoints | None = Field(
        None, description="Where the service listens, without versions; beside sidecars, which announce themselves."
    )
    versions: dict[Label, VersionTable] | None = Field(None, description="The service's versions by name.")
