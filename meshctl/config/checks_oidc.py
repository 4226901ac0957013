"""Cross-checks of logins: a provider that can be trusted, paths and cookies that are not each other's."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final
from urllib.parse import urlsplit

from meshctl.config.problems import Finding, Path, quoted
from meshctl.model.auth import Auth, Oidc
from meshctl.model.mesh import Mesh
from meshctl.model.names import LOOPBACK_HOSTS

LONGEST_SESSION: Final = 30 * 86_400.0


def check(mesh: Mesh) -> Iterator[Finding]:
    """What is wrong with the ways that are logins, each for itself and beside the others."""
    ways = [each for each in mesh.auth if each.oidc is not None]
    for number, way in enumerate(ways):
        if way.oidc is not None:
            yield from _login(("auth", way.name, "oidc"), way.oidc)
        for other in ways[:number]:
            yield from _pair(mesh, way, other)
        yield from _taken(mesh, way)


def _login(path: Path, oidc: Oidc) -> Iterator[Finding]:
    parts = urlsplit(oidc.issuer)
    if parts.query:
        yield Finding((*path, "issuer"), f"{quoted(oidc.issuer)} has a query", "the issuer as the provider names it")
    if parts.scheme == "http" and parts.hostname not in LOOPBACK_HOSTS:
        message = "whoever stands in between can sign in as anybody"
        yield Finding((*path, "issuer"), message, 'a URL with "https://"', severity="warning")
    if not oidc.client_id:
        yield Finding((*path, "client_id"), "is empty", "the name under which the provider knows the gateway")
    if "openid" not in oidc.scopes:
        yield Finding((*path, "scopes"), "without it there is no ID token", '"openid" among them')
    if any(name.startswith("HS") for name in oidc.algorithms):
        message = "an ID token is verified with a key that the provider tells everybody, which is no secret"
        yield Finding((*path, "algorithms"), message, 'such as "ES256"')
    for key in ("callback", "logout"):
        if set(getattr(oidc, key)) & set(";,"):
            yield Finding((*path, key), "cannot be the path of a cookie", 'a path without ";" and ","')
    if oidc.callback == oidc.logout:
        yield Finding((*path, "logout"), f"{quoted(oidc.logout)} is the callback, too", "another path")
    if oidc.after_logout in (oidc.logout, oidc.callback):
        yield Finding((*path, "after_logout"), "leads nowhere", "another path")
    if not 60 <= oidc.session <= LONGEST_SESSION:
        yield Finding((*path, "session"), "is too short or too long", "between a minute and 30 days")


def _pair(mesh: Mesh, way: Auth, other: Auth) -> Iterator[Finding]:
    """Two ways that the same browser may meet."""
    one, two = way.oidc, other.oidc
    if one is None or two is None or not _meet(_hosts(mesh, way.name), _hosts(mesh, other.name)):
        return
    taken = {two.callback: "callback", two.logout: "logout"}
    for key in ("callback", "logout"):
        path = getattr(one, key)
        if path in taken:
            message = f"{quoted(path)} is already the {taken[path]} of {other.name}"
            yield Finding(("auth", way.name, "oidc", key), message, "a path of its own")
    if way.cookie == other.cookie:
        message = f"{quoted(way.cookie)} is already the cookie of {other.name}"
        yield Finding(("auth", way.name, "oidc", "cookie"), message, "a name of its own")


def _taken(mesh: Mesh, way: Auth) -> Iterator[Finding]:
    """Routes that nothing comes to, as the login has their path."""
    hosts = _hosts(mesh, way.name)
    for number, route in enumerate(mesh.routes):
        path = route.match.path
        own = {way.oidc.callback: "begin", way.oidc.logout: "end"} if way.oidc is not None else {}
        if path.kind == "exact" and path.value in own and _meet(hosts, set(route.match.hosts or ("",))):
            message = f"this is where sessions of {way.name} {own[path.value]}"
            yield Finding(("routes", number, "path"), message, "another path, there or here", severity="warning")


def _hosts(mesh: Mesh, name: str) -> set[str]:
    """The hosts on which a way is asked for; "" is every host."""
    routes = [route for route in mesh.routes if route.auth is not None and name in route.auth.names]
    return {host for route in routes for host in route.match.hosts or ("",)}


def _meet(some: set[str], others: set[str]) -> bool:
    return bool(some and others) and ("" in some or "" in others or bool(some & others))
