"""Ways to know who calls, and what routes ask of them, in the file's shape. The inverse of `build_auth`."""

from __future__ import annotations

from typing import Any

import msgspec

from meshctl.model.auth import Auth, Basic, ForwardAuth, Introspection, Jwt, Need, Oidc
from meshctl.model.route import PathMatch, Require
from meshctl.model.units import format_duration

Table = dict[str, Any]


def auth(value: Auth) -> Table:
    """One [auth.NAME] table."""
    table: Table = {}
    if value.jwt is not None:
        table["jwt"] = _said(value.jwt, "leeway")
    if value.api_key is not None:
        table["api_key"] = msgspec.structs.asdict(value.api_key) | {"header": value.api_key.header or False}
        if not value.api_key.query:
            del table["api_key"]["query"]
    if value.basic is not None:
        table["basic"] = _basic(value.basic)
    if value.certificate is not None:
        table["certificate"] = {"ca": value.certificate.ca} if value.certificate.ca else {}
    if value.introspection is not None:
        table["introspection"] = introspection(value.introspection)
    if value.forward_auth is not None:
        table["forward_auth"] = forward_auth(value.forward_auth)
    if value.oidc is not None:
        table["oidc"] = _said(value.oidc, "leeway", "session")
    if value.headers:
        table["headers"] = dict(value.headers)
    return table | {"forward": value.forward}


def need(value: Need) -> Any:
    """A route's `auth`."""
    if value.every:
        return {"all": list(value.names)}
    return value.names[0] if len(value.names) == 1 else {"any": list(value.names)}


def rule(value: Require) -> Table:
    """One of a route's `require`."""
    table: Table = {
        "name": value.name,
        "methods": list(value.methods),
        "paths": [path(each) for each in value.paths],
        "scopes": list(value.scopes),
        "roles": list(value.roles),
        "claims": {name: list(values) for name, values in value.claims},
        "subjects": list(value.subjects),
        "owners": list(value.owners),
        "identities": list(value.identities),
        "addresses": list(value.addresses),
    }
    return {key: each for key, each in table.items() if each}


def path(value: PathMatch) -> Any:
    """A condition on the path."""
    return value.value if value.kind == "prefix" else {value.kind: value.value}


def introspection(value: Introspection) -> Table:
    """A way's `introspection`."""
    return _said(value, "cache", "timeout")


def forward_auth(value: ForwardAuth) -> Table:
    """A way's `forward_auth`."""
    table = _said(value, "timeout")
    if not value.service:
        table.pop("path", None)
    return table


def _said(value: Jwt | Oidc | Introspection | ForwardAuth, *durations: str) -> Table:
    """All that is not empty, with lists for tuples."""
    table = msgspec.structs.asdict(value)
    for key, each in table.items():
        if isinstance(each, tuple):
            table[key] = list(each)
        elif key in durations:
            table[key] = format_duration(each)
    return {key: each for key, each in table.items() if each not in ("", [])}


def _basic(value: Basic) -> Table:
    return {key: each for key, each in msgspec.structs.asdict(value).items() if each}
