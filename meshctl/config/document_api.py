"""The human shape of `[api]`: versions of an API, how a request says which one it means, and until when each lives."""

from __future__ import annotations

import re
from typing import Annotated, Any, Final
from urllib.parse import urlsplit

from pydantic import BeforeValidator, ConfigDict, Field

from meshctl.config.problems import Wrong, quoted
from meshctl.config.scalars import Label, PlainText, checked, kind_of, string
from meshctl.config.scalars_http import HeaderName, PrefixPath, url_path
from meshctl.config.table import ONE_KEY, Table, either
from meshctl.core.api_version import VERSION, form
from meshctl.core.calendar import midnight

_SPELLING: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}", re.ASCII)
_MOMENT: Final = "a date such as 2026-06-30, or a time with its zone such as 2026-06-30T12:00:00Z"
_FORM: Final = re.compile(
    r"(?P<year>[0-9]{4})-(?P<month>[0-9]{2})-(?P<day>[0-9]{2})"
    r"(?:[T ](?P<hour>[0-9]{2}):(?P<minute>[0-9]{2})(?::(?P<second>[0-9]{2})(?:\.[0-9]+)?)?"
    r"(?P<zone>Z|[+-](?P<hours>[0-9]{2}):(?P<minutes>[0-9]{2}))?)?",
    re.ASCII,
)
_NUMBERS: Final = ("year", "month", "day", "hour", "minute", "second", "hours", "minutes")
_LAST: Final = 253_370_764_800.0
"""The first second of 9999."""


def _spelling(value: object) -> str:
    def check(given: str) -> str:
        if not _SPELLING.fullmatch(given):
            raise ValueError('expected a version such as "v2", "2" or "2026-01-01"')
        return given

    hint = f'did you mean "{value}"?' if isinstance(value, int | float) and not isinstance(value, bool) else ""
    return str(checked(value, check, hint=hint))


def moment(value: object) -> float:
    """Seconds since the epoch of a date, which begins in UTC, or of a time with its zone."""
    given = value if isinstance(value, str) else _written(value)
    found = _FORM.fullmatch(given)
    if found is None:
        raise Wrong(f"{quoted(given)} is not valid", expected=_MOMENT)
    if found["hour"] and not found["zone"]:
        raise Wrong(f"{quoted(given)} is not one moment: its zone is missing", expected=_MOMENT)
    year, month, which, hour, minute, second, hours, minutes = (int(each or 0) for each in found.group(*_NUMBERS))
    if hour > 23 or minute > 59 or second > 59 or hours > 23 or minutes > 59:
        raise Wrong(f"{quoted(given)} is not valid", expected=_MOMENT)
    try:
        begins = midnight(year, month, which)
    except ValueError as error:
        raise Wrong(f"{quoted(given)} is not valid", expected=_MOMENT) from error
    ahead = (hours * 60 + minutes) * (-60 if (found["zone"] or "").startswith("-") else 60)
    # The fields that tell it have whole seconds (RFC 9110 §5.6.7, RFC 9651 §3.3.7).
    seconds = begins + hour * 3600 + minute * 60 + second - ahead
    if not 0 <= seconds < _LAST:
        raise Wrong(f"{quoted(given)} is not valid", expected="a moment from 1970 to 9998")
    return seconds


def _written(value: object) -> str:
    """A date or time of TOML as it is written."""
    if kind_of(value) != kind_of(None):
        raise Wrong(f"{kind_of(value)} is not valid here", expected=_MOMENT)
    said: Any = value
    return str(said.isoformat())


def _by(value: object) -> object:
    if value == "path":
        return {"path": f"/{VERSION}"}
    if isinstance(value, str):
        raise Wrong(f"{quoted(value)} is not valid", expected='"path", { header = "x-api-version" } or the like')
    if not isinstance(value, dict):
        raise Wrong(f"{kind_of(value)} is not valid here", expected='"path" or a table')
    return either(value, "path", "header", "query", "media_type")


def _path_form(value: object) -> str:
    def check(given: str) -> str:
        before, mark, after = given.rpartition(f"/{VERSION}")
        if not mark or after or "{" in before or (before and url_path(before) != before) or before.endswith("/"):
            raise ValueError(f'expected a path that ends with the version, such as "/{VERSION}" or "/api/{VERSION}"')
        return given

    return str(checked(value, check))


def _media_form(value: object) -> str:
    def check(given: str) -> str:
        form(given)
        return given

    return str(checked(value, check))


def _link(value: object) -> str:
    def check(given: str) -> str:
        try:
            parts = urlsplit(given)
        except ValueError as error:
            raise ValueError("expected a URL") from error
        is_plain = given.isascii() and given.isprintable() and not set(given) & set(' <>"\\^`{|}')
        if parts.scheme not in ("https", "http") or not parts.hostname or not is_plain:
            raise ValueError('expected a URL such as "https://example.com/docs/v1-ends"')
        return given

    return str(checked(value, check))


Spelling = Annotated[
    str, BeforeValidator(_spelling, json_schema_input_type=string("v2", "2026-01-01", pattern=f"^{_SPELLING.pattern}$"))
]
Moment = Annotated[float, BeforeValidator(moment, json_schema_input_type=string("2026-06-30", "2026-06-30T12:00:00Z"))]
PathForm = Annotated[
    str, BeforeValidator(_path_form, json_schema_input_type=string("/{version}", pattern=r"/\{version\}$"))
]
MediaForm = Annotated[
    str, BeforeValidator(_media_form, json_schema_input_type=string("application/vnd.shop.{version}+json"))
]
Link = Annotated[str, BeforeValidator(_link, json_schema_input_type=string("https://example.com/docs/v1-ends"))]


class ToldTable(Table):
    """How a request says which version it means: one of path, header, query and media_type."""

    model_config = ConfigDict(json_schema_extra=ONE_KEY)

    path: PathForm | None = Field(
        None, description="Its path begins so, and goes on with the route's.", examples=["/{version}", "/api/{version}"]
    )
    header: HeaderName | None = Field(None, description="This header's value.", examples=["x-api-version"])
    query: PlainText | None = Field(None, description="This query parameter's value.", examples=["api-version"])
    media_type: MediaForm | None = Field(
        None,
        description="A media type in Accept, or where that names no version in Content-Type.",
        examples=["application/vnd.shop.{version}+json", "application/json;version={version}"],
    )


class ApiVersionTable(Table):
    """One version of an API. What it does not say of where it leads, the routes do."""

    aliases: list[Spelling] | None = Field(
        None, description="What requests may call it, too; not in paths.", examples=[["2", "latest"]]
    )
    service: Label | None = Field(None, description="The service that takes its requests.", examples=["orders"])
    version: Label | None = Field(None, description="The one version of the service that is meant.", examples=["v2"])
    prefix: PrefixPath | None = Field(
        None, description="Takes the matched prefix's place in what is forwarded.", examples=["/orders"]
    )
    deprecated: Moment | None = Field(
        None, description="From when on it should not be used; answers tell (RFC 9745).", examples=["2026-01-01"]
    )
    sunset: Moment | None = Field(
        None, description="When it is expected to be gone; answers tell (RFC 8594).", examples=["2026-06-30"]
    )
    link: Link | None = Field(
        None, description="Where people read about that; answers tell.", examples=["https://example.com/v1-ends"]
    )


class ApiTable(Table):
    """An API in several versions. Routes belong to it by `api`."""

    by: Annotated[ToldTable, BeforeValidator(_by, json_schema_input_type=ToldTable | str)] | None = Field(
        None, description='How a request says which version it means; "path" is /VERSION before the route\'s path.'
    )
    default: Spelling | None = Field(
        None, description="The version of requests that say none; left out, those are refused.", examples=["v2"]
    )
    strip: bool | None = Field(None, description="Whether the version is taken out of the path before it is forwarded.")
    enforce_sunset: bool | None = Field(
        None, description="Whether a version is refused from its sunset on: 410 api_version_gone."
    )
    versions: Annotated[dict[Spelling, ApiVersionTable], Field(min_length=1)] = Field(
        description="The versions by name."
    )
