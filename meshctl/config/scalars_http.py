"""The single values of mesh.toml that belong to HTTP messages: headers, methods, paths, conditions, as pydantic types.

It knows the grammar of RFC 9110 and nothing of the tables the values stand in.
"""

from __future__ import annotations

import re
import warnings
from typing import Annotated, Final

from pydantic import BeforeValidator

from meshctl.config.problems import Wrong, did_you_mean, quoted
from meshctl.config.scalars import checked, string, text
from meshctl.core.path_template import names as path_template_names
from meshctl.core.paths import normalise
from meshctl.core.template import parse, variables

_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", re.ASCII)
_FIELD_VALUE: Final = re.compile(r"[\x20-\x7e\t]*", re.ASCII)
_LONGEST_REGEX: Final = 4096
_BRACED: Final = re.compile(r"\{[^{}]*\}")
# Per connection or framing (RFC 9110 §7.6.1): the proxy alone may write them.
_PROXY_OWNED: Final = frozenset(
    ["connection", "content-length", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"]
)


def header_name(value: object) -> str:
    """A header's name in lower case (RFC 9110 §5.1)."""

    def check(given: str) -> str:
        if not _TOKEN.fullmatch(given):
            raise ValueError('expected a header name such as "x-user": letters, digits and hyphens')
        return given.lower()

    return str(checked(value, check))


def editable_header(value: object) -> str:
    """The name of a header that a configuration may change."""
    name = header_name(value)
    if name == "host":
        raise Wrong('"host" is not changed as a header', hint="use rewrite.host")
    if name in _PROXY_OWNED:
        raise Wrong(f"{quoted(name)} belongs to the connection: the proxy alone writes it")
    return name


def header_value(value: object) -> str:
    """A header's value: visible ASCII, spaces and tabs inside (RFC 9110 §5.5)."""

    def check(given: str) -> str:
        if not _FIELD_VALUE.fullmatch(given) or given != given.strip():
            raise ValueError("expected visible ASCII characters, without control characters or space around them")
        return given

    return str(checked(value, check))


def header_text(value: object) -> str:
    """A header's value, in which there may be variables."""
    return str(checked(header_value(value), _with_variables))


def query_text(value: object) -> str:
    """A query parameter's value, in which there may be variables."""
    return str(checked(value, _with_variables))


def path_template(value: object) -> str:
    """A path with names for some of its segments."""

    def check(given: str) -> str:
        path_template_names(given)
        if (matched := _as_matched(given)) != given:
            raise ValueError(f"expected the path as it is matched: {quoted(matched)}")
        return given

    return str(checked(value, check))


def rewritten_path(value: object) -> str:
    """A path, in which there may be what the names in the route's path stand for."""

    def check(given: str) -> str:
        if "{" not in given:
            return url_path(given)
        if any(each.kind != "path" or not each.name for each in variables(given)):
            raise ValueError('expected nothing but what the route\'s path has names for, as in "/users/{path.id}"')
        if _as_matched(given) != given:
            raise ValueError("expected a normal path around the variables")
        return given

    return str(checked(value, check))


def _as_matched(given: str) -> str:
    """A path as requests are matched, what stands in braces left as it is."""
    normal = url_path(given)
    for name in _BRACED.findall(given):
        normal = normal.replace(f"%7B{name[1:-1]}%7D", name)
    return normal


def _with_variables(given: str) -> str:
    parse(given)
    return given


def method(value: object) -> str:
    """A request method, in capitals."""

    def check(given: str) -> str:
        if not _TOKEN.fullmatch(given) or given != given.upper():
            hint = f"did you mean {quoted(given.upper())}?" if _TOKEN.fullmatch(given) else ""
            raise Wrong(f"{quoted(given)} is not a method", expected='a method in capitals such as "GET"', hint=hint)
        return given

    return str(checked(value, check))


def url_path(value: object) -> str:
    """A path as requests are matched: absolute and normalised (RFC 3986 §6.2.2), what is not ASCII percent-encoded."""

    def check(given: str) -> str:
        if given and not given.startswith("/"):
            raise Wrong(
                f"{quoted(given)} is not a path", expected='"/" first', hint=f"did you mean {quoted('/' + given)}?"
            )
        if not given or not given.isprintable() or any(c in given for c in "?# "):
            raise ValueError('expected a path such as "/v1/orders", without "?", "#", spaces or control characters')
        if any(part in (".", "..") for part in given.split("/")):
            raise ValueError('expected a path without "." and ".." segments')
        return normalise(given)

    return str(checked(value, check))


def prefix_path(value: object) -> str:
    """A path prefix: "/v1/" and "/v1" are the same, for prefixes end on segment boundaries."""
    return url_path(value).removesuffix("/") or "/"


def regex(value: object) -> str:
    """A regular expression that compiles."""

    def check(given: str) -> str:
        if len(given) > _LONGEST_REGEX:
            raise ValueError(f"expected at most {_LONGEST_REGEX} characters")
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")  # what Python will soon read differently is refused today
                re.compile(given)
        except (re.error, OverflowError, RecursionError, Warning) as error:
            raise Wrong(
                f"{quoted(given)} does not compile: {str(error).lower()}", expected="a regular expression"
            ) from error
        return given

    return str(checked(value, check))


def retry_condition(value: object) -> str:
    """ "connect", "reset", "refused", "timeout" or a status."""
    words = ("connect", "reset", "refused", "timeout")
    expected = '"connect", "reset", "refused", "timeout" or a status such as "503"'
    if isinstance(value, int) and not isinstance(value, bool):
        raise Wrong(f"{value} is not a string", expected=expected, hint=f'did you mean "{value}"?')
    given = text(value, expected)
    if given not in words and not re.fullmatch(r"[45][0-9]{2}", given, re.ASCII):
        raise Wrong(f"{quoted(given)} is not valid", expected=expected, hint=did_you_mean(given, words))
    return given


HeaderName = Annotated[str, BeforeValidator(header_name, json_schema_input_type=string("x-user"))]
EditableHeader = Annotated[str, BeforeValidator(editable_header, json_schema_input_type=string("x-user"))]
HeaderValue = Annotated[str, BeforeValidator(header_value, json_schema_input_type=str)]
HeaderText = Annotated[str, BeforeValidator(header_text, json_schema_input_type=string("on", "{client_ip}"))]
Text = Annotated[str, BeforeValidator(query_text, json_schema_input_type=string("on", "{path.id}"))]
PathTemplate = Annotated[
    str, BeforeValidator(path_template, json_schema_input_type=string("/users/{id}", pattern="^/"))
]
RewrittenPath = Annotated[
    str, BeforeValidator(rewritten_path, json_schema_input_type=string("/v1/orders", "/users/{path.id}", pattern="^/"))
]
Method = Annotated[str, BeforeValidator(method, json_schema_input_type=string("GET", "POST"))]
UrlPath = Annotated[str, BeforeValidator(url_path, json_schema_input_type=string("/v1/orders", pattern="^/"))]
PrefixPath = Annotated[str, BeforeValidator(prefix_path, json_schema_input_type=string("/v1/orders", pattern="^/"))]
Regex = Annotated[str, BeforeValidator(regex, json_schema_input_type=string("v[0-9]+"))]
RetryCondition = Annotated[
    str,
    BeforeValidator(retry_condition, json_schema_input_type=string("connect", "reset", "refused", "timeout", "503")),
]
