"""The human shape of what passes a route: CORS and what browsers are told to be strict about."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Annotated, Any, Final, Literal
from urllib.parse import urlsplit

from pydantic import BeforeValidator, Field

from meshctl.config.problems import Wrong, quoted
from meshctl.config.scalars import PlainText, Size, checked, duration, kind_of, string
from meshctl.config.scalars_http import HeaderName, HeaderValue, Method
from meshctl.config.table import Table
from meshctl.core.json_path import parse

_ORIGIN: Final = re.compile(r"https?://(\*\.)?[a-z0-9_.-]+(:[0-9]{1,5})?|https?://\[[0-9a-f:]+\](:[0-9]{1,5})?")
_MEDIA: Final = re.compile(r"[A-Za-z0-9!#$&^_.+*-]+/[A-Za-z0-9!#$&^_.+*-]+")
_YEARS: Final = re.compile(r"([0-9]{1,2})y", re.ASCII)
_YEAR: Final = 365 * 86_400.0
_PORTS: Final = {"http": ":80", "https": ":443"}


def _origin(value: object) -> str:
    expected = 'an origin such as "https://app.example.com", "https://*.example.com", or "*" for all'

    def check(given: str) -> str:
        if given == "*":
            return given
        if given == "null":
            hint = "every sandboxed page of anybody has it"
            raise Wrong('"null" is the origin of nobody in particular', expected=expected, hint=hint)
        low = given.lower()
        better = _better(low)
        if not _ORIGIN.fullmatch(low) or better != low:
            hint = f"did you mean {quoted(better)}?" if _ORIGIN.fullmatch(better) else ""
            raise Wrong(f"{quoted(given)} is not as browsers write an origin", expected=expected, hint=hint)
        return low

    return str(checked(value, check, expected))


def _better(given: str) -> str:
    """The origin of a URL, as a browser writes it: without path and without the port that goes without saying."""
    try:
        parts = urlsplit(given if "://" in given else f"https://{given}")
    except ValueError:
        return ""
    return f"{parts.scheme}://{parts.netloc.removesuffix(_PORTS.get(parts.scheme, '-'))}"


def _hsts(value: object) -> float:
    if value is False:
        return 0.0
    years = _YEARS.fullmatch(value) if isinstance(value, str) else None
    if years is not None:
        return int(years[1]) * _YEAR
    seconds = duration(value)
    if seconds and seconds < 1:
        raise Wrong(f"{quoted(value)} is not valid", expected='a time such as "1y" or "180d", or false')
    return seconds


def _or_nothing(value: object) -> object:
    """false says nothing."""
    return "" if value is False else value


def _frame(value: object) -> object:
    """Who may show a page in a frame, or false."""
    expected = '"deny", "sameorigin" or false'

    def check(given: str) -> str:
        if given not in ("deny", "sameorigin"):
            raise ValueError(expected)
        return given

    return "" if value is False else checked(value, check, expected)


def or_true(example: str) -> Callable[[object], object]:
    """A reader of a table, of which `true` is the one with all defaults."""

    def read(value: object) -> object:
        if value is True:
            return {}
        if not isinstance(value, dict):
            shown = "false" if value is False else kind_of(value)
            raise Wrong(f"{shown} is not valid here", expected=f"true or a table such as {example}")
        return value

    return read


def _media_range(value: object) -> str:
    def check(given: str) -> str:
        if not _MEDIA.fullmatch(given):
            raise ValueError('expected a media type such as "application/json", "application/*+json" or "text/*"')
        return given.lower()

    return str(checked(value, check))


def _place(value: object) -> str:
    def check(given: str) -> str:
        if given == "$":
            raise Wrong('"$" is the whole document', expected='a place in it, such as "$.items[*].id"')
        parse(given)
        return given

    return str(checked(value, check))


def _json_value(value: object) -> object:
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError):
        what = "what is in it" if isinstance(value, dict | list) else f"{kind_of(value)} like this"
        raise Wrong(f"{what} is nothing that JSON has", expected="a string, number, boolean, array or table") from None
    return value


def _plain_place(value: object) -> str:
    def check(given: str) -> str:
        if any(each.kind != "name" or each.is_deep for each in parse(given)):
            raise ValueError('expected one place by names alone, such as "$.user.id"')
        return given

    return str(checked(value, check))


Origin = Annotated[str, BeforeValidator(_origin, json_schema_input_type=string("https://app.example.com", "*"))]
Place = Annotated[str, BeforeValidator(_place, json_schema_input_type=string("$.a.b", "$.items[*].id", pattern=r"^\$"))]
JsonValue = Annotated[Any, BeforeValidator(_json_value)]
PlainPlace = Annotated[str, BeforeValidator(_plain_place, json_schema_input_type=string("$.a.b", pattern=r"^\$"))]
MediaRange = Annotated[str, BeforeValidator(_media_range, json_schema_input_type=string("application/json", "text/*"))]
Asked = Annotated[list[Method], Field(min_length=1)]
Words = Annotated[HeaderValue, BeforeValidator(_or_nothing, json_schema_input_type=str | Literal[False])]


class CorsTable(Table):
    """Which pages of other origins may read the answers. Preflights are answered here."""

    origins: Annotated[list[Origin], Field(min_length=1)] = Field(
        description='Origins whose pages may, also "https://*.example.com"; "*" is every one.',
        examples=[["https://app.example.com"]],
    )
    methods: Asked | None = Field(
        None, description="Methods they may use; left out, the route's own, or the usual ones.", examples=[["GET"]]
    )
    headers: Annotated[list[HeaderName], Field(min_length=1)] | None = Field(
        None, description="Headers they may send; left out, those they ask for.", examples=[["authorization"]]
    )
    expose: list[HeaderName] | None = Field(
        None, description="Headers of answers that they may read.", examples=[["x-request-id"]]
    )
    credentials: bool | None = Field(None, description="Whether they may ask with cookies.")
    max_age: Annotated[float, BeforeValidator(duration, json_schema_input_type=string("10m"))] | None = Field(
        None, description="How long a browser need not ask again; left out, as it likes.", examples=["10m"]
    )


class CompressionTable(Table):
    """How answers are compressed for clients that take it. true takes the defaults."""

    codings: Annotated[list[Literal["zstd", "br", "gzip"]], Field(min_length=1)] | None = Field(
        None, description="The codings, best first; zstd and br need pip install '.[compression]'."
    )
    minimum: Size | None = Field(None, description="The shortest body that is compressed.")
    types: Annotated[list[MediaRange], Field(min_length=1)] | None = Field(
        None, description="Media types that are compressed; event streams never are."
    )


class JsonEditsTable(Table):
    """Edits to bodies of JSON, in this order: keep, remove, rename, move, set. Places are JSONPaths."""

    keep: list[Place] | None = Field(None, description="What alone stays.", examples=[["$.id", "$.items[*].name"]])
    remove: list[Place] | None = Field(None, description="What is taken out.", examples=[["$..password"]])
    rename: dict[Place, PlainText] | None = Field(
        None, description="Places of members with their new names.", examples=[{"$.user": "customer"}]
    )
    move: dict[PlainPlace, PlainPlace] | None = Field(
        None, description="Old places with the new ones.", examples=[{"$.user.id": "$.owner"}]
    )
    set: dict[PlainPlace, JsonValue] | None = Field(
        None, description="Places with the values they get, whatever they had.", examples=[{"$.source": "web"}]
    )
    limit: Size | None = Field(None, description="The longest body, which is held while it comes; longer are refused.")


class SecurityHeadersTable(Table):
    """What browsers are told with every answer, in the place of what the service says. true takes the defaults."""

    hsts: Annotated[float, BeforeValidator(_hsts, json_schema_input_type=str | Literal[False])] | None = Field(
        None, description="Come by HTTPS alone for so long; said over HTTPS alone. false is not.", examples=["1y"]
    )
    subdomains: bool | None = Field(None, description="Whether hsts is for the hosts below, too.")
    frame: (
        Annotated[
            Literal["deny", "sameorigin", ""],
            BeforeValidator(_frame, json_schema_input_type=Literal["deny", "sameorigin", False]),
        ]
        | None
    ) = Field(None, description="Who may show the page in a frame: nobody or the same origin; false says nothing.")
    nosniff: bool | None = Field(None, description="Whether the media type is what the answer says it is.")
    referrer: Words | None = Field(None, description="Referrer-Policy, or false.")
    content: Words | None = Field(
        None, description="Content-Security-Policy.", examples=["default-src 'self'; frame-ancestors 'none'"]
    )
    permissions: Words | None = Field(None, description="Permissions-Policy.", examples=["camera=(), microphone=()"])
    opener: Words | None = Field(None, description="Cross-Origin-Opener-Policy.", examples=["same-origin"])


CompressionSpec = Annotated[
    CompressionTable,
    BeforeValidator(or_true('{ codings = ["gzip"] }'), json_schema_input_type=Literal[True] | CompressionTable),
]
SecuritySpec = Annotated[
    SecurityHeadersTable,
    BeforeValidator(
        or_true('{ hsts = "1y", frame = "deny" }'), json_schema_input_type=Literal[True] | SecurityHeadersTable
    ),
]
