"""Cross-checks of who calls and who may: kinds that exclude each other, names that nothing has, rules that nobody could
meet, and whatever would let anybody in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from urllib.parse import urlsplit

from meshctl.config import checks_asking, checks_oidc
from meshctl.config.decode import Decoded
from meshctl.config.document_auth import AuthTable, RequireTable
from meshctl.config.document_route import RouteTable
from meshctl.config.problems import Finding, Path, did_you_mean, one_of, quoted
from meshctl.model.auth import KINDS, Auth, ClientCertificate, Jwt
from meshctl.model.mesh import Mesh
from meshctl.model.names import LOOPBACK_HOSTS

_ASKED = ("scopes", "roles", "claims", "subjects", "owners", "identities", "addresses")
# What is known of a caller whom nobody asks.
_FOR_ANYBODY = frozenset(("identities", "addresses"))


def check(
    decoded: Decoded, ways: Mapping[str, AuthTable], routes: Sequence[RouteTable], mesh: Mesh
) -> Iterator[Finding]:
    """What is wrong with the ways to know callers and with what routes ask."""
    for way in mesh.auth:
        yield from _way(("auth", way.name), ways[way.name], way)
    yield from checks_asking.check(decoded, mesh)
    yield from checks_oidc.check(mesh)
    for number, table in enumerate(routes):
        path: Path = ("routes", number)
        yield from _need(decoded, path, table, mesh)
        yield from _rules(path, table)
    if not decoded.is_damaged(("routes",)):
        yield from _claimless(mesh)
    used = {name for route in mesh.routes if route.auth for name in route.auth.names}
    for way in mesh.auth:
        if way.name not in used and not decoded.is_damaged(("routes",)):
            yield Finding(("auth", way.name), "no route asks for it", severity="warning")
        elif way.certificate is not None and not decoded.is_damaged(("gateway",)):
            yield from _unasked(way.name, way.certificate, mesh)


def _unasked(name: str, asked: ClientCertificate, mesh: Mesh) -> Iterator[Finding]:
    """Certificates that nobody is asked for."""
    listeners = mesh.gateway.listeners
    path: Path = ("auth", name, "certificate")
    if asked.ca and not any(each.tls or each.mesh == "edge" for each in listeners):
        message, hint = "no listener speaks TLS, where clients show certificates", "gateway.tls has them do so"
        yield Finding(path, message, hint=hint, severity="warning")
    elif not asked.ca and not any(each.mesh == "edge" for each in listeners):
        message, hint = "no listener asks for certificates of the mesh", 'tls = { certificate = "mesh" } does'
        yield Finding(path, message, hint=hint, severity="warning")


def _claimless(mesh: Mesh) -> Iterator[Finding]:
    """Services that keep callers apart by a claim which nobody has who comes to them."""
    known = {name for route in mesh.routes if route.auth is not None for name in route.services}
    known |= mesh.led_to_by_version
    for service in mesh.services:
        path: Path = ("services", service.name)
        for where, key in (((*path, "sticky"), service.sticky), ((*path, "balance", "hash"), service.balance.key)):
            if key is not None and key.kind == "claim" and service.name not in known:
                message, hint = "no caller has claims: no route to it asks who calls", "auth, on a route"
                yield Finding(where, message, hint=hint, severity="warning")


def _way(path: Path, table: AuthTable, way: Auth) -> Iterator[Finding]:
    given = [kind for kind in KINDS if kind in table.model_fields_set]
    if not given:
        yield Finding(path, "does not say how callers are known", one_of(KINDS))
    for extra in given[1:]:
        yield Finding((*path, extra), f"{quoted(given[0])} is given too", f"one of {', '.join(KINDS)}")
    if way.jwt is not None:
        yield from _jwt((*path, "jwt"), way.jwt)
    key = way.api_key
    if key is not None and not (key.header or key.query or key.bearer):
        yield Finding((*path, "api_key"), "is looked for nowhere", "header, query or bearer")
    names: dict[str, str] = {}
    for name, _ in way.headers:
        first = names.setdefault(name.replace("_", "-"), name)
        if first != name:
            yield Finding((*path, "headers", name), f"many servers take it for {quoted(first)}", "one of the two")


def _jwt(path: Path, jwt: Jwt) -> Iterator[Finding]:
    if jwt.keys and jwt.jwks:
        yield Finding((*path, "jwks"), '"keys" is given too', "keys or jwks")
    if not (jwt.keys or jwt.jwks or jwt.issuer):
        yield Finding(path, "does not say where keys are", "keys, jwks or issuer")
    secret = [name for name in jwt.algorithms if name.startswith("HS")]
    if secret and len(secret) < len(jwt.algorithms):
        message = f"{quoted(secret[0])} signs with a secret, others with a key that everybody may see"
        yield Finding((*path, "algorithms"), message, "one kind of algorithms")
    if secret and not jwt.keys:
        yield Finding((*path, "algorithms"), f"{quoted(secret[0])} needs a secret, which no URL may tell", "keys")
    source = jwt.jwks or ("" if jwt.keys else jwt.issuer)
    parts = urlsplit(source)
    key = "jwks" if jwt.jwks else "issuer"
    if source and (parts.scheme not in ("https", "http") or not parts.hostname):
        yield Finding((*path, key), f"{quoted(source)} is no URL, so its keys are not known", "keys or jwks")
    elif parts.scheme == "http" and parts.hostname not in LOOPBACK_HOSTS:
        message = "keys that come in the clear can be replaced on their way"
        yield Finding((*path, key), message, 'a URL with "https://"', severity="warning")
    if not jwt.audience:
        message = "a token that the issuer made for anybody else is accepted, too: no audience is asked"
        yield Finding(path, message, hint='name yours: audience = "api"', severity="warning")
    if not jwt.issuer:
        yield Finding(path, "whoever issued a token is accepted: no issuer is asked", severity="warning")


def _need(decoded: Decoded, path: Path, table: RouteTable, mesh: Mesh) -> Iterator[Finding]:
    if table.auth is None:
        return
    known = [way.name for way in mesh.auth]
    key = "any" if table.auth.any is not None else "all"
    for index, name in enumerate(getattr(table.auth, key) or ()):
        if name not in known and not decoded.is_lost(("auth", name)):
            expected = one_of(known) or f"a table [auth.{name}]"
            message = f"{quoted(name)} is no way to know who calls"
            yield Finding((*path, "auth", key, index), message, expected, did_you_mean(name, known))


def _rules(path: Path, table: RouteTable) -> Iterator[Finding]:
    first: dict[str, int] = {}
    for number, rule in enumerate(table.require or ()):
        where = (*path, "require", number)
        yield from _rule(where, rule, is_known=table.auth is not None)
        if rule.name is None:
            continue
        if rule.name in first:
            message = f"{quoted(rule.name)} is already the name of require[{first[rule.name]}]"
            yield Finding((*where, "name"), message, "a name that no other rule of the route has")
        first.setdefault(rule.name, number)


def _rule(path: Path, rule: RequireTable, *, is_known: bool) -> Iterator[Finding]:
    asked = [key for key in _ASKED if key in rule.model_fields_set]
    if not asked:
        yield Finding(path, "asks nothing of the caller", one_of(_ASKED))
    for key in asked:
        if key not in _FOR_ANYBODY and not is_known:
            message = "nobody could meet it: the route does not ask who calls"
            yield Finding((*path, key), message, "auth, beside require")
