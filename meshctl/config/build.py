"""`Document` → `Mesh`: the file's shape becomes the model's, with the model's defaults where the file is silent.

It never fails: what is wrong in a document is said by `decode` before it and by `checks` after it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeVar

from meshctl.config.build_api import apis
from meshctl.config.build_auth import auth, need, path_match, rules
from meshctl.config.build_limits import addresses, limits
from meshctl.config.build_parts import METHODS, parts
from meshctl.config.build_passing import passing
from meshctl.config.build_tracing import tracing
from meshctl.config.document import MESH, AccessLogTable, CertificateTable, Document, GatewayTable, ListenerTable
from meshctl.config.document_allow import AllowTable
from meshctl.config.document_route import HeaderEditsTable, QueryEditsTable, RetryTable, RouteTable, ValueTable
from meshctl.config.document_service import (
    BalanceTable,
    EndpointTable,
    HealthTable,
    KeyTable,
    ServiceTable,
    VersionMatchTable,
    VersionTable,
)
from meshctl.config.endpoints import parse_endpoint, resolve
from meshctl.config.naming import Names, made_name, made_rule_name
from meshctl.model.limits import RateLimiting
from meshctl.model.mesh import Access, AccessLog, Allow, Certificate, Gateway, Listener, Mesh
from meshctl.model.policy import (
    Balance,
    Breaker,
    DownstreamTimeouts,
    Ejection,
    HealthCheck,
    Key,
    Limit,
    Limits,
    Overload,
    Retry,
    RetryBudget,
    UpstreamTimeouts,
)
from meshctl.model.route import HeaderEdits, Match, PathMatch, QueryEdits, Redirect, Respond, Rewrite, Route, ValueMatch
from meshctl.model.service import DIRECT, Endpoint, Service, UpstreamTls, Version

Edits = TypeVar("Edits", HeaderEdits, QueryEdits)

TCP_STREAM: Final = 3600.0
"""Seconds without a byte for services of raw bytes: pools of database connections rest for longer than any request."""


def build(document: Document, folder: str) -> Mesh:
    """The mesh that the document describes; relative file paths stand in `folder`."""
    basics = document.mesh.given() if document.mesh else {}
    if "name" in basics and "trust_domain" not in basics:
        basics["trust_domain"] = f"{basics['name']}.mesh"
    access = {"default": basics.pop("default")} if "default" in basics else {}
    shadow = basics.pop("policy", "") == "shadow"
    routes = document.routes or []
    names = _names(routes)
    services = {name: _service(name, table, folder) for name, table in (document.services or {}).items()}
    return Mesh(
        **basics,
        gateway=_gateway(document.gateway, folder) if document.gateway else Gateway(),
        routes=tuple(route(table, name, services) for table, name in zip(routes, names, strict=True)),
        services=tuple(services.values()),
        auth=tuple(auth(name, table, folder) for name, table in (document.auth or {}).items()),
        apis=apis(document.api or {}),
        access=Access(**access, shadow=shadow, rules=_rules(document.allow or [])),
        tracing=tracing(document.tracing, folder) if document.tracing else None,
    )


def _gateway(table: GatewayTable, folder: str) -> Gateway:
    given = table.given()
    shared = _secured(given.pop("tls", []), folder)
    listen = given.pop("listen", None)
    if listen is not None:
        given["listeners"] = tuple(_listener(each, shared, folder) for each in listen)
    elif shared:
        given["listeners"] = tuple(Listener(each.host, each.port, **shared) for each in Gateway().listeners)
    if table.trusted_proxies is not None:
        given["trusted_proxies"] = tuple(table.trusted_proxies)
    if table.access_log:
        given["access_log"] = _access_log(table.access_log, folder)
    if table.timeouts:
        given["timeouts"] = DownstreamTimeouts(**table.timeouts.given())
    if table.limits:
        given["limits"] = Limits(**table.limits.given())
    if table.overload:
        given["overload"] = Overload(**table.overload.given())
    if table.rate_limit:
        given["rate_limit"] = RateLimiting(**table.rate_limit.given())
    given |= addresses(table)
    return Gateway(**given)


def _listener(table: ListenerTable, shared: dict[str, Any], folder: str) -> Listener:
    host, port = table.address
    secured = shared if table.tls is None else _secured(table.tls, folder)
    return Listener(host, port, connections_per_client=table.connections_per_client or 0, **secured)


def _secured(tables: Sequence[CertificateTable], folder: str) -> dict[str, Any]:
    """The fields of a listener that these certificates fill; none for none."""
    files = [each for each in tables if each.certificate != MESH]
    found: dict[str, Any] = {"mesh": "edge"} if len(files) < len(tables) else {}
    if files:
        found["tls"] = tuple(
            Certificate(resolve(each.certificate, folder), resolve(each.key or "", folder)) for each in files
        )
    return found


def _access_log(table: AccessLogTable, folder: str) -> AccessLog:
    given = table.given()
    if given.get("path", "off") not in ("stdout", "off"):
        given["path"] = resolve(given["path"], folder)
    return AccessLog(**given)


def route(table: RouteTable, name: str, services: Mapping[str, Service]) -> Route:
    """The route of a table, called `name`."""
    given = table.given() | {"name": name, "match": _match(table)}
    for condition in ("hosts", "path", "methods", "headers", "cookies", "query"):
        given.pop(condition, None)
    kinds: dict[str, type[Redirect | Respond | Rewrite]] = {
        "redirect": Redirect,
        "respond": Respond,
        "rewrite": Rewrite,
    }
    for key, kind in kinds.items():
        if key in given:
            given[key] = kind(**given[key].given())
    for key in ("request_headers", "response_headers"):
        if key in given:
            given[key] = _edits(given[key], HeaderEdits)
    if table.request_query is not None:
        given["request_query"] = _edits(table.request_query, QueryEdits)
    if table.retry:
        given["retry"] = _retry(table.retry)
    if table.auth:
        given["auth"] = need(table.auth)
    if table.require is not None:
        given["require"] = rules(table.require)
    given |= limits(table) | passing(table) | parts(table, services)
    # What a route does not say its service does; a table of retries is one thing.
    service = services.get(table.service or "")
    if service is not None:
        given = {"timeout": service.timeout, "retry": service.retry or Retry()} | given
    return Route(**given)


# Tables of headers are sorted: TOML gives their keys no order, so files that say the same give equal meshes.
def _match(table: RouteTable) -> Match:
    return Match(
        hosts=tuple(dict.fromkeys(table.hosts or ())),
        path=path_match(table.path) if table.path else PathMatch(),
        methods=tuple(dict.fromkeys(table.methods or (METHODS if table.parts else ()))),
        **_conditions(table),
    )


def _conditions(table: RouteTable | VersionMatchTable) -> dict[str, Any]:
    given = {"headers": table.headers, "cookies": table.cookies, "query": table.query}
    return {
        key: tuple(_value(name, value) for name, value in sorted((values or {}).items()))
        for key, values in given.items()
    }


def _value(name: str, table: ValueTable) -> ValueMatch:
    if table.regex is not None:
        return ValueMatch(name, "regex", table.regex)
    return ValueMatch(name, "exact", table.exact) if table.exact is not None else ValueMatch(name, "present")


def _edits(table: HeaderEditsTable | QueryEditsTable, kind: type[Edits]) -> Edits:
    return kind(
        set=tuple(sorted((table.set or {}).items())),
        add=tuple((name, value) for name, values in sorted((table.add or {}).items()) for value in values),
        remove=tuple(table.remove or ()),
        rename=tuple(sorted((table.rename or {}).items())),
    )


def _retry(table: RetryTable) -> Retry:
    given = table.given()
    causes = tuple(dict.fromkeys(given.get("on", Retry().on)))
    # Whoever limits an attempt wants another one when it ran out.
    more = ("timeout",) if given.get("per_try") and "timeout" not in causes else ()
    return Retry(**given | {"on": causes + more})


def _names(tables: Sequence[RouteTable]) -> list[str]:
    """A name for each route: the given one, else one made of its path or host."""
    names = Names(table.name for table in tables if table.name)
    return [table.name or names.free(_made(table)) for table in tables]


def _made(table: RouteTable) -> str:
    path = table.path and (table.path.exact or table.path.prefix or table.path.regex or table.path.template)
    return made_name(path or "", tuple(table.hosts or ()))


def _rules(tables: Sequence[AllowTable]) -> tuple[Allow, ...]:
    names = Names(table.name for table in tables if table.name)
    found = []
    for table in tables:
        sources, targets = tuple(dict.fromkeys(table.sources)), tuple(dict.fromkeys(table.targets))
        name = table.name or names.free(made_rule_name(sources, targets))
        paths = tuple(dict.fromkeys(map(path_match, table.paths or ())))
        found.append(Allow(name, sources, targets, tuple(dict.fromkeys(table.methods or ())), paths))
    return tuple(found)


def _service(name: str, table: ServiceTable, folder: str) -> Service:
    given = table.given() | {"name": name, "versions": _versions(table, folder)}
    given.pop("endpoints", None)
    if table.after is not None:
        given["after"] = tuple(dict.fromkeys(table.after))
    if table.balance:
        given["balance"] = _balance(table.balance)
    if table.sticky:
        given["sticky"] = _key(table.sticky)
    if table.health:
        given["health"] = _health(table.health)
    if table.ejection:
        given["ejection"] = Ejection(**table.ejection.given())
    if table.breaker:
        given["breaker"] = Breaker(**table.breaker.given())
    if table.limit:
        given["limit"] = Limit(**table.limit.given())
    if table.tls:
        files = {"ca": resolve(table.tls.ca, folder)} if table.tls.ca else {}
        given["tls"] = UpstreamTls(**table.tls.given() | files)
    timeouts = table.timeouts.given() if table.timeouts else {}
    if table.protocol == "tcp":
        timeouts = {"stream": TCP_STREAM} | timeouts
    if timeouts or table.timeouts:
        given["timeouts"] = UpstreamTimeouts(**timeouts)
    if table.retry:
        given["retry"] = _retry(table.retry)
    if table.retry_budget:
        given["retry_budget"] = RetryBudget(**table.retry_budget.given())
    return Service(**given)


def _versions(table: ServiceTable, folder: str) -> tuple[Version, ...]:
    direct = (Version(DIRECT, _endpoints(table.endpoints, folder)),) if table.endpoints else ()
    return direct + tuple(_version(name, each, folder) for name, each in (table.versions or {}).items())


def _version(name: str, table: VersionTable, folder: str) -> Version:
    given = table.given() | {"name": name, "endpoints": _endpoints(table.endpoints or (), folder)}
    if table.match:
        given["match"] = Match(**_conditions(table.match))
    return Version(**given)


def _endpoints(tables: Sequence[EndpointTable], folder: str) -> tuple[Endpoint, ...]:
    found = []
    for table in tables:
        endpoint = parse_endpoint(table.address, folder=folder)
        weight = endpoint.weight if table.weight is None else table.weight
        found.append(Endpoint(endpoint.host, endpoint.port, endpoint.unix, endpoint.tls, weight))
    return tuple(found)


def _balance(table: BalanceTable) -> Balance:
    if table.hash:
        return Balance("hash", _key(table.hash))
    return Balance(table.policy) if table.policy else Balance()


def _key(table: KeyTable) -> Key:
    if table.header is not None:
        return Key("header", table.header)
    if table.cookie is not None:
        return Key("cookie", table.cookie)
    if table.query is not None:
        return Key("query", table.query)
    if table.claim is not None:
        return Key("claim", table.claim)
    return Key("identity" if table.identity else "client_ip")


def _health(table: HealthTable) -> HealthCheck:
    given = table.given()
    if table.statuses:
        given["statuses"] = (table.statuses[0], table.statuses[1])
    return HealthCheck(**given)
