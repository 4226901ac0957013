"""What passes a route, in the file's shape. The inverse of `build_passing`."""

from __future__ import annotations

import json
from typing import Any

import msgspec

from meshctl.config.render_checked import checked
from meshctl.model.caching import Caching
from meshctl.model.passing import Compression, Cors, JsonEdits, SecurityHeaders
from meshctl.model.route import Route
from meshctl.model.units import format_duration, format_size

Table = dict[str, Any]


def passing(value: Route) -> Table:
    """What a route says of it; keys that it does not have are None."""
    return {
        "api": value.api and value.api.api,
        "cors": value.cors and cors(value.cors),
        "security_headers": value.security_headers and security_headers(value.security_headers),
        "compression": value.compression and compression(value.compression),
        **checked(value),
        "cache": value.cache and caching(value.cache),
        "request_body": value.request_body and json_edits(value.request_body),
        "response_body": value.response_body and json_edits(value.response_body),
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


def caching(value: Caching) -> Table:
    """A route's `cache`."""
    table: Table = msgspec.structs.asdict(value) | {"largest": format_size(value.largest)}
    for key in ("default", "coalesce", "stale_while_revalidate", "stale_if_error"):
        table[key] = format_duration(table[key])
    vary = {"vary": list(value.vary)} if value.vary else {}
    return {key: each for key, each in table.items() if key != "vary"} | vary


def json_edits(value: JsonEdits) -> Table:
    """A route's `request_body` or `response_body`."""
    table: Table = {"keep": list(value.keep), "remove": list(value.remove), "rename": dict(value.rename)}
    table |= {"move": dict(value.move), "set": {path: json.loads(said) for path, said in value.set}}
    return {key: each for key, each in table.items() if each} | {"limit": format_size(value.limit)}
