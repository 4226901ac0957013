"""What passes a route, in the file's shape. The inverse of `build_passing`."""

from __future__ import annotations

from typing import Any

import msgspec

from meshctl.model.passing import Compression, Cors, SecurityHeaders
from meshctl.model.route import Route
from meshctl.model.units import format_duration, format_size

Table = dict[str, Any]


def passing(value: Route) -> Table:
    """What a route says of it; keys that it does not have are None."""
    return {
        "cors": value.cors and cors(value.cors),
        "security_headers": value.security_headers and security_headers(value.security_headers),
        "compression": value.compression and compression(value.compression),
    }


def cors(value: Cors) -> Table:
    """A route's `cors`."""
    table: Table = {"origins": list(value.origins)}
    for key, each in (("methods", value.methods), ("headers", value.headers), ("expose", value.expose)):
        if each:
            table[key] = list(each)
    table["credentials"] = value.credentials
    return table if value.max_age is None else table | {"max_age": format_duration(value.max_age)}


def security_headers(value: SecurityHeaders) -> Table:
    """A route's `security_headers`."""
    table = {key: False if each == "" else each for key, each in msgspec.structs.asdict(value).items()}
    return table | {"hsts": format_duration(value.hsts) if value.hsts else False}


def compression(value: Compression) -> Table:
    """A route's `compression`."""
    return {"codings": list(value.codings), "minimum": format_size(value.minimum), "types": list(value.types)}
