"""The human shape of a route's `rate_limits` and `quotas`, of address lists, and of `[gateway.rate_limit]`."""

from __future__ import annotations

import re
from typing import Annotated, Final, Literal
from urllib.parse import urlsplit

from pydantic import BeforeValidator, ConfigDict, Field

from meshctl.config.problems import Wrong, quoted
from meshctl.config.scalars import Network, PlainText, checked, kind_of, size, string
from meshctl.config.scalars_http import HeaderName
from meshctl.config.table import ONE_KEY, Table, either, listed
from meshctl.model.units import parse_count_per

_WORDS: Final = ("client_ip", "route", "key", "identity")
_NAMED: Final = ("header", "claim", "cookie", "query")
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}", re.ASCII)


def _rate(value: object) -> tuple[int, float]:
    count, window = checked(value, parse_count_per, 'a rate such as "100/s", "1000/m" or "20/10s"')
    return count, window


def _by(value: object) -> object:
    words, tables = ", ".join(map(quoted, _WORDS)), [f'{{ {name} = "…" }}' for name in _NAMED]
    expected = f"{words}, {', '.join(tables[:-1])} or {tables[-1]}"
    if isinstance(value, str) and value in _WORDS:
        return {value: True}
    if isinstance(value, dict):
        return either(value, *_WORDS, *_NAMED)
    shown = quoted(value) if isinstance(value, str) else kind_of(value)
    raise Wrong(f"{shown} is not valid here", expected=expected)


def _limit_name(value: object) -> str:
    def check(given: str) -> str:
        if not _NAME.fullmatch(given):
            raise ValueError('expected a name such as "per-client": letters, digits, ".", "_" and "-"')
        return given

    return str(checked(value, check))


def _bandwidth(value: object) -> int:
    expected = 'a rate such as "64KiB/s"'

    def check(given: str) -> int:
        if not given.endswith("/s"):
            raise Wrong(f"{quoted(given)} is not valid", expected=expected)
        return size(given[:-2].rstrip())

    found = int(checked(value, check, expected))
    if found < 1024:
        raise Wrong(f"{quoted(value)} is not valid", expected='at least "1KiB/s"')
    return found


def _redis(value: object) -> str:
    def check(given: str) -> str:
        parts = urlsplit(given)
        if parts.scheme not in ("redis", "rediss", "unix") or not (parts.hostname or parts.scheme == "unix"):
            raise ValueError('expected a URL such as "redis://127.0.0.1:6379/0"')
        if parts.password is not None:
            raise Wrong(
                "a URL with a password in it ends up in logs",
                expected="a URL without it",
                hint="the gateway reads it from $MESHCTL_REDIS_PASSWORD",
            )
        _ = parts.port  # raises ValueError where it is none
        return given

    return str(checked(value, check))


RateText = Annotated[
    tuple[int, float],
    BeforeValidator(
        _rate,
        json_schema_input_type=string("100/s", "1000/m", "20/10s", pattern=r"^[0-9]+ ?/ ?[0-9]*(s|m|h|d)$"),
    ),
]
LimitName = Annotated[str, BeforeValidator(_limit_name, json_schema_input_type=string("per-client"))]
Bandwidth = Annotated[
    int,
    BeforeValidator(
        _bandwidth, json_schema_input_type=string("64KiB/s", pattern=r"^[0-9]+(\.[0-9]+)? ?([KMGT]i?B|B)/s$")
    ),
]
RedisUrl = Annotated[str, BeforeValidator(_redis, json_schema_input_type=string("redis://127.0.0.1:6379/0"))]
Addresses = Annotated[list[Network], Field(min_length=1)]


class ByTable(Table):
    """Whose requests are counted together: one of these."""

    model_config = ConfigDict(json_schema_extra=ONE_KEY)

    client_ip: Literal[True] | None = Field(None, description="Each client address, behind trusted proxies.")
    route: Literal[True] | None = Field(None, description="All requests of the route together.")
    key: Literal[True] | None = Field(None, description="Each API key, or whoever else calls, on routes with auth.")
    identity: Literal[True] | None = Field(None, description="Each member of the mesh.")
    header: HeaderName | None = Field(None, description="Each value of a header.")
    claim: PlainText | None = Field(None, description="Each value of a claim, on routes with auth.", examples=["sub"])
    cookie: PlainText | None = Field(None, description="Each value of a cookie.")
    query: PlainText | None = Field(None, description="Each value of a query parameter.")


BySpec = Annotated[
    ByTable,
    BeforeValidator(_by, json_schema_input_type=Literal["client_ip", "route", "key", "identity"] | ByTable),
]


class RateLimitTable(Table):
    """At most so many requests in a time, evenly; what is beyond is answered 429."""

    name: LimitName | None = Field(None, description="The limit's name in answers; made from `by` where left out.")
    limit: RateText = Field(description="Requests in a time.", examples=["100/s", "1000/m", "20/10s"])
    by: BySpec | None = Field(
        None, description='Whose requests are counted together; left out, those of one client address ("client_ip").'
    )
    burst: Annotated[int, Field(ge=1, le=1_000_000)] | None = Field(
        None, description="How many may come at once after a rest; left out, as many as in the limit."
    )


class QuotaTable(Table):
    """At most so many requests in a day or a month of UTC; what is beyond is answered 429."""

    name: LimitName | None = Field(None, description="The quota's name in answers; made from `by` where left out.")
    limit: Annotated[int, Field(ge=1, le=1_000_000_000_000)] = Field(description="Requests.", examples=[10_000])
    per: Literal["day", "month"] | None = Field(None, description="In which time; it begins anew at midnight UTC.")
    by: BySpec | None = Field(None, description='As in rate_limits; left out, "client_ip".')


class RateLimitingTable(Table):
    """How all rate limits are kept."""

    headers: bool | None = Field(None, description="Whether answers tell what is left (RateLimit, RateLimit-Policy).")
    backend: RedisUrl | None = Field(
        None,
        description="A Redis that several gateways share their limits in; needs pip install '.[redis]'.",
        examples=["redis://127.0.0.1:6379/0"],
    )


RateLimits = Annotated[
    list[RateLimitTable], BeforeValidator(listed, json_schema_input_type=RateLimitTable | list[RateLimitTable])
]
Quotas = Annotated[list[QuotaTable], BeforeValidator(listed, json_schema_input_type=QuotaTable | list[QuotaTable])]
