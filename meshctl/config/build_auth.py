"""`[auth.NAME]` tables, and a route's `auth` and `require`, as the model has them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from meshctl.config.document_asking import ForwardAuthTable, IntrospectionTable
from meshctl.config.document_auth import ApiKeyTable, AuthTable, JwtTable, NeedTable, RequireTable
from meshctl.config.document_oidc import OidcTable
from meshctl.config.document_path import PathTable
from meshctl.config.endpoints import resolve
from meshctl.config.naming import Names
from meshctl.config.table import Table
from meshctl.model.auth import (
    FORWARDED,
    ApiKey,
    Auth,
    Basic,
    ClientCertificate,
    ForwardAuth,
    Introspection,
    Jwt,
    Need,
    Oidc,
)
from meshctl.model.route import PathMatch, Require


def auth(name: str, table: AuthTable, folder: str) -> Auth:
    """A way to know who calls; relative file paths stand in `folder`."""
    found: dict[str, Any] = {}
    if table.jwt is not None:
        found["jwt"] = _jwt(table.jwt, folder)
    if table.api_key is not None:
        found["api_key"] = _api_key(table.api_key)
    if table.basic is not None:
        found["basic"] = Basic(resolve(table.basic.users, folder), table.basic.realm or "")
    if table.certificate is not None:
        found["certificate"] = ClientCertificate(**_given(table.certificate, folder, "ca"))
    if table.introspection is not None:
        found["introspection"] = _introspection(table.introspection, folder)
    if table.forward_auth is not None:
        found["forward_auth"] = _forward_auth(table.forward_auth, folder)
    if table.oidc is not None:
        found["oidc"] = _oidc(table.oidc, folder)
    headers = tuple(sorted((table.headers or {}).items()))
    # A token is made for services to read, and whoever else is asked has seen what it lets pass; keys and passwords are
    # the gateway's business alone.
    forward = not FORWARDED.isdisjoint(found) if table.forward is None else table.forward
    return Auth(name, headers=headers, forward=forward, **found)


def need(table: NeedTable) -> Need:
    """Which ways a route asks for."""
    if table.all is not None:
        return Need(tuple(dict.fromkeys(table.all)), every=True)
    return Need(tuple(dict.fromkeys(table.any or ())))


def rules(tables: Sequence[RequireTable]) -> tuple[Require, ...]:
    """The rules of a route."""
    names = Names(table.name for table in tables if table.name)
    return tuple(_rule(table, names) for table in tables)


def path_match(table: PathTable) -> PathMatch:
    """A condition on the path."""
    if table.exact is not None:
        return PathMatch("exact", table.exact)
    if table.regex is not None:
        return PathMatch("regex", table.regex)
    if table.template is not None:
        return PathMatch("template", table.template)
    return PathMatch("prefix", table.prefix) if table.prefix is not None else PathMatch()


def _jwt(table: JwtTable, folder: str) -> Jwt:
    return Jwt(**_given(table, folder, "keys"))


def _introspection(table: IntrospectionTable, folder: str) -> Introspection:
    return Introspection(**_given(table, folder, "client_secret_file", "ca"))


def _forward_auth(table: ForwardAuthTable, folder: str) -> ForwardAuth:
    return ForwardAuth(**_given(table, folder, "ca"))


def _oidc(table: OidcTable, folder: str) -> Oidc:
    return Oidc(**_given(table, folder, "client_secret_file"))


def _given(table: Table, folder: str, *files: str) -> dict[str, Any]:
    """What is said, each word of a list once, and `files` from where the file stands."""
    given = table.given()
    lists = {key: tuple(dict.fromkeys(each)) for key, each in given.items() if isinstance(each, list)}
    return given | lists | {key: resolve(given[key], folder) for key in files if key in given}


def _api_key(table: ApiKeyTable) -> ApiKey:
    return ApiKey(**table.given())


def _rule(table: RequireTable, names: Names) -> Require:
    given = table.given()
    claims = {name: tuple(dict.fromkeys(values)) for name, values in sorted(given.pop("claims", {}).items())}
    lists = {key: tuple(dict.fromkeys(value)) for key, value in given.items() if isinstance(value, list)}
    if table.paths is not None:
        lists["paths"] = tuple(dict.fromkeys(map(path_match, table.paths)))
    return Require(table.name or names.free(_made(table)), claims=tuple(claims.items()), **lists)


def _made(table: RequireTable) -> str:
    """A name out of what is asked first."""
    asked = ("scopes", "roles", "claims", "subjects", "owners", "identities", "addresses")
    return next((key for key in asked if getattr(table, key)), "nobody")
