"""The single values of mesh.toml: durations, sizes, names, hosts… as pydantic types with messages for people.

Each is a function from what the file says to what the model holds, which raises `Wrong` or ValueError. It knows nothing
of the tables the values stand in. What belongs to HTTP messages is next door in `scalars_http`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from ipaddress import ip_network
from typing import Annotated, Any, Final

from pydantic import BeforeValidator, Field

from meshctl.config.problems import Wrong, quoted
from meshctl.model import names, units
from meshctl.model.address import parse_address

_KINDS: Final = {
    bool: "a boolean",
    int: "an integer",
    float: "a number",
    str: "a string",
    list: "an array",
    dict: "a table",
}


def kind_of(value: object) -> str:
    """What TOML calls the value: "a string", "an array"…"""
    return _KINDS.get(type(value), "a date or time")


def text(value: object, expected: str = "a string", hint: str = "") -> str:
    """The value if it is a string."""
    if not isinstance(value, str):
        raise Wrong(f"{kind_of(value)} is not valid here", expected=expected, hint=hint)
    return value


def checked(value: object, check: Callable[[str], Any], expected: str = "a string", hint: str = "") -> Any:
    """`check` of a string, its "expected …" turned into a `Wrong` that quotes the value."""
    given = text(value, expected, hint)
    try:
        return check(given)
    except Wrong:
        raise
    except ValueError as error:
        raise Wrong(
            f"{quoted(given)} is not valid", expected=str(error).removeprefix("expected "), hint=hint
        ) from error


def duration(value: object) -> float:
    """Seconds in "250ms"; a bare number is refused with the likely unit."""
    hint = f'did you mean "{value}s"?' if isinstance(value, int | float) and not isinstance(value, bool) else ""
    return float(checked(value, units.parse_duration, 'a duration such as "250ms", "2s" or "1m30s"', hint))


def period(value: object) -> float:
    """A duration above zero."""
    seconds = duration(value)
    if seconds <= 0:
        raise Wrong(f"{quoted(value)} is not valid", expected="a duration above 0")
    return seconds


def size(value: object) -> int:
    """Bytes in "64KiB"; a bare number is refused with the likely unit."""
    hint = f'did you mean "{value}B"?' if isinstance(value, int) and not isinstance(value, bool) else ""
    return int(checked(value, units.parse_size, 'a size such as "64KiB", "10MB" or "512B"', hint))


def head_size(value: object) -> int:
    """A size that a request head can fit in."""
    found = size(value)
    if not 1024 <= found <= 16 * 1024**2:
        raise Wrong(f"{quoted(value)} is not valid", expected='a size from "1KiB" to "16MiB"')
    return found


def percent(value: object) -> float:
    """The fraction in "50%"."""
    return float(checked(value, units.parse_percent, 'a percentage such as "50%"'))


def rate(value: object) -> float:
    """Events per second."""
    return float(checked(value, units.parse_rate, 'a rate such as "10/s"'))


def label(value: object) -> str:
    """A DNS label: the name of a mesh, a service, a version."""
    given = text(value)
    better = re.sub(r"[^a-z0-9-]+", "-", given.lower()).strip("-")[:63]
    return str(checked(given, names.check_label, hint=f"did you mean {quoted(better)}?" if better else ""))


def member(value: object) -> str:
    """Who takes part in a call: a service's name, "gateway", or "*" for anyone."""
    if value == "*":
        return "*"
    try:
        return label(value)
    except Wrong as error:
        raise Wrong(error.message, expected=f'{error.expected}; "*" is anyone', hint=error.hint) from error


def command(value: object) -> str:
    """A command line for the shell, or several lines of one."""

    def check(given: str) -> str:
        if not given.strip() or not all(c.isprintable() or c in "\n\t" for c in given):
            raise ValueError('expected a command such as "python app.py"')
        return given

    return str(checked(value, check))


def route_name(value: object) -> str:
    """The name of a route."""
    return str(checked(value, names.check_route_name))


def host_pattern(value: object) -> str:
    """A host to match, in lower case: exact or "*." and a suffix."""
    return str(
        checked(value, names.check_host_pattern, hint='leave "hosts" out to match every host' if value == "*" else "")
    )


def plain_host(value: object) -> str:
    """A host name or address without wildcard, as in a Host header: a port may follow."""

    def check(given: str) -> str:
        if re.search(r":\d+$", given):
            host, port = parse_address(given)
            if not host or not port:
                raise ValueError('expected a host such as "api.example.com"')
            return given.lower()
        if "*" in given:
            raise ValueError('expected one host such as "api.example.com", without "*"')
        return names.check_host_pattern(given)

    return str(checked(value, check))


def trust_domain(value: object) -> str:
    """A trust domain: a host name in form, though nothing need answer to it."""
    found = plain_host(value)
    if ":" in found:
        raise Wrong(f"{quoted(value)} is not valid", expected='a name such as "shop.mesh", without port')
    return found


def network(value: object) -> str:
    """A network in CIDR form; one address is a network of one."""

    def check(given: str) -> str:
        try:
            return str(ip_network(given))
        except ValueError as error:
            wide = "host bits" in str(error)
            hint = f"did you mean {quoted(ip_network(given, strict=False))}?" if wide else ""
            expected = 'a network such as "10.0.0.0/8" or an address such as "192.168.1.1"'
            raise Wrong(f"{quoted(given)} is not a network", expected=expected, hint=hint) from error

    return str(checked(value, check))


def address(value: object) -> tuple[str, int]:
    """Host and port of a listener; port 0 lets the system choose."""
    given = str(value)
    hint = f'did you mean "127.0.0.1:{given}"?' if given.isdecimal() and len(given) < 6 else ""
    host, port = checked(value, parse_address, 'host:port such as "127.0.0.1:8080" or ":8080"', hint)
    return host, port


def plain_text(value: object) -> str:
    """A string that is not empty and has no control characters: a file path, a cookie's name, a media type."""

    def check(given: str) -> str:
        if not given or not given.isprintable():
            raise ValueError("expected a string that is not empty, without control characters")
        return given

    return str(checked(value, check))


def string(*examples: str, pattern: str | None = None) -> Any:
    """For the JSON schema: a string, with examples and the pattern of good ones."""
    return Annotated[str, Field(examples=list(examples), pattern=pattern)]


_DURATION_PATTERN = r"^(0|([0-9]+(\.[0-9]+)?(us|µs|ms|s|m|h|d))+)$"
_SIZE_PATTERN = r"^[0-9]+(\.[0-9]+)? ?([KMGT]i?B|B)$"
_LABEL_PATTERN = "[a-z0-9]([a-z0-9-]*[a-z0-9])?"
_TIME = string("250ms", "2s", "1m30s", pattern=_DURATION_PATTERN)
_BYTES = string("64KiB", "10MB", "512B", pattern=_SIZE_PATTERN)

Duration = Annotated[float, BeforeValidator(duration, json_schema_input_type=_TIME)]
Period = Annotated[float, BeforeValidator(period, json_schema_input_type=_TIME)]
Size = Annotated[int, BeforeValidator(size, json_schema_input_type=_BYTES)]
HeadSize = Annotated[int, BeforeValidator(head_size, json_schema_input_type=_BYTES)]
Percent = Annotated[float, BeforeValidator(percent, json_schema_input_type=string("50%", pattern=r"^[0-9.]+ ?%$"))]
Rate = Annotated[float, BeforeValidator(rate, json_schema_input_type=string("10/s", pattern=r"^[0-9.]+ ?/ ?[smhd]$"))]
Label = Annotated[str, BeforeValidator(label, json_schema_input_type=string("orders", pattern=f"^{_LABEL_PATTERN}$"))]
Member = Annotated[
    str,
    BeforeValidator(member, json_schema_input_type=string("web", "gateway", "*", pattern=rf"^(\*|{_LABEL_PATTERN})$")),
]
Command = Annotated[str, BeforeValidator(command, json_schema_input_type=string("python orders.py"))]
RouteName = Annotated[str, BeforeValidator(route_name, json_schema_input_type=string("orders"))]
HostPattern = Annotated[
    str, BeforeValidator(host_pattern, json_schema_input_type=string("api.example.com", "*.example.com"))
]
TrustDomain = Annotated[str, BeforeValidator(trust_domain, json_schema_input_type=string("shop.mesh"))]
PlainHost = Annotated[str, BeforeValidator(plain_host, json_schema_input_type=string("api.example.com"))]
Network = Annotated[str, BeforeValidator(network, json_schema_input_type=string("10.0.0.0/8", "::1/128"))]
Address = Annotated[tuple[str, int], BeforeValidator(address, json_schema_input_type=string("127.0.0.1:8080", ":8443"))]
PlainText = Annotated[str, BeforeValidator(plain_text, json_schema_input_type=str)]
