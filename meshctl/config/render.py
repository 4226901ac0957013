"""`Mesh` → the file's shape: nested tables with human units, complete with defaults. The inverse of `build`.

What people are shown of a configuration (`effective`, `diff`, TOML) is this form, so that it reads like their file.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec

from meshctl.config.build_tracing import shown_tracing
from meshctl.config.render_api import apis
from meshctl.config.render_auth import auth, need, path, rule
from meshctl.config.render_limits import limits, rate_limiting
from meshctl.config.render_parts import parts
from meshctl.config.render_passing import passing
from meshctl.model.caching import Caching
from meshctl.model.checked import BodySchema, OpenApi
from meshctl.model.mesh import AccessLog, Allow, Certificate, Gateway, Listener, Mesh
from meshctl.model.passing import Compression, Cors, JsonEdits, SecurityHeaders
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
from meshctl.model.route import HeaderEdits, Match, QueryEdits, Redirect, Respond, Rewrite, Route, ValueMatch
from meshctl.model.service import DIRECT, Endpoint, Service, UpstreamTls, Version
from meshctl.model.units import format_duration, format_percent, format_rate, format_size

Table = dict[str, Any]

_DURATIONS: Final = {
    *((DownstreamTimeouts, name) for name in DownstreamTimeouts.__struct_fields__),
    *((UpstreamTimeouts, name) for name in UpstreamTimeouts.__struct_fields__),
    *((HealthCheck, name) for name in ("interval", "timeout")),
    *((Ejection, name) for name in ("window", "base", "longest", "ramp")),
    *((Breaker, name) for name in ("window", "open", "ramp")),
    *((Limit, "wait"), (Overload, "lag"), (Retry, "per_try")),
}
_SIZES: Final = {(Limits, "head_bytes"), (Limits, "body_bytes")}
_PERCENTS: Final = {(Ejection, "share"), (Ejection, "rate"), (Breaker, "rate"), (RetryBudget, "ratio")}
_RATES: Final = {(RetryBudget, "floor")}


def render(mesh: Mesh) -> Table:
    """The whole mesh as mesh.toml would say it with nothing left out. Keys that are not set (None) are absent."""
    return {
        "mesh": basics(mesh),
        "gateway": gateway(mesh.gateway),
        "routes": [route(each) for each in mesh.written_routes],
        "services": {each.name: service(each) for each in mesh.services},
        "auth": {each.name: auth(each) for each in mesh.auth},
        **apis(mesh.apis),
        "allow": [_allow(each) for each in mesh.access.rules],
    } | ({"tracing": shown_tracing(mesh.tracing)} if mesh.tracing else {})


def to_toml(mesh: Mesh) -> str:
    """The whole mesh as the text of a mesh.toml, which `decode_text` reads back to an equal mesh."""
    import tomli_w

    return tomli_w.dumps(render(mesh))


def basics(mesh: Mesh) -> Table:
    """The [mesh] table."""
    return {
        "name": mesh.name,
        "trust_domain": mesh.trust_domain,
        "default": mesh.access.default,
        "policy": "shadow" if mesh.access.shadow else "enforce",
        "egress": mesh.egress,
    }


def gateway(value: Gateway) -> Table:
    """The [gateway] table."""
    return {
        "listen": [_listener(each) for each in value.listeners],
        "workers": value.workers or "auto",
        "admin": value.admin,
        "trusted_proxies": list(value.trusted_proxies),
        "forwarded": value.forwarded,
        "access_log": _plain(value.access_log),
        "timeouts": _plain(value.timeouts),
        "limits": _plain(value.limits),
        "overload": _plain(value.overload),
        "rate_limit": rate_limiting(value.rate_limit),
        "cache_bytes": format_size(value.cache_bytes),
    } | {
        key: list(each)
        for key, each in (("allow_addresses", value.allow_addresses), ("deny_addresses", value.deny_addresses))
        if each
    }


def route(value: Route) -> Table:
    """One [[routes]] table. What only forwarded requests use is left out of other routes."""
    match = value.match
    table: Table = {
        "name": value.name,
        "hosts": list(match.hosts),
        "path": path(match.path),
        "methods": list(match.methods),
        **_conditions(match),
        "service": value.service,
        "version": value.version,
        "redirect": value.redirect and _plain(value.redirect),
        "respond": value.respond and _plain(value.respond),
        **parts(value),
        "rewrite": _plain(value.rewrite),
        "request_headers": _edits(value.request_headers),
        "response_headers": _edits(value.response_headers),
        "request_query": _edits(value.request_query),
        "auth": value.auth and need(value.auth),
        "require": [rule(each) for each in value.require],
        **limits(value),
        **passing(value),
    }
    table = {key: each for key, each in table.items() if each not in (None, [], {})}
    policies = {
        "timeout": (value.timeout, format_duration(value.timeout)),
        "retry": (value.retry, _plain(value.retry)),
        "priority": (value.priority, value.priority),
        "body_bytes": (value.body_bytes, format_size(value.body_bytes)),
    }
    defaults = {key: getattr(_ROUTE, key) for key in policies}
    return table | {
        key: shown for key, (each, shown) in policies.items() if value.service is not None or each != defaults[key]
    }


def service(value: Service) -> Table:
    """One [services.NAME] table."""
    table: Table = {
        "balance": _balance(value.balance),
        "sticky": value.sticky and key(value.sticky),
        "health": None if value.health is None else _plain(value.health),
        "ejection": _plain(value.ejection),
        "breaker": None if value.breaker is None else _plain(value.breaker),
        "limit": None if value.limit is None else _plain(value.limit),
        "slow_start": format_duration(value.slow_start),
        "tls": _plain(value.tls) if value.tls != UpstreamTls() or _speaks_tls(value) else None,
        "timeouts": _plain(value.timeouts),
        "timeout": format_duration(value.timeout),
        "retry": None if value.retry is None else _plain(value.retry),
        "retry_budget": _plain(value.retry_budget),
        **{name: getattr(value, name) for name in ("protocol", "mtls", "command")},
        "port": value.port or None,
        "after": list(value.after),
        **{name: getattr(value, name) for name in ("restart", "intercept", "trace_hook")},
    }
    if is_direct(value):
        table["endpoints"] = [_endpoint(each) for each in value.versions[0].endpoints]
    elif value.versions:
        table["versions"] = {each.name: _version(each) for each in value.versions}
    return {name: each for name, each in table.items() if each is not None}


def is_direct(value: Service) -> bool:
    """Whether a file has the service's endpoints directly under it."""
    endpoints = value.versions[0].endpoints if value.versions else ()
    return bool(endpoints) and value.versions == (Version(DIRECT, endpoints),)


def key(value: Key) -> Any:
    """A hash key: "client_ip", "identity" or `{ header = "x-user" }`."""
    return {value.kind: value.name} if value.name else value.kind


def endpoint_text(value: Endpoint) -> str:
    """An endpoint in one word, with https:// where it is spoken to in TLS."""
    return f"https://{value.address}" if value.tls else value.address


_ROUTE: Final = Route("")
FULL_ROUTE: Final = Route(
    "",
    service="",
    redirect=Redirect(),
    respond=Respond(),
    cors=Cors(()),
    security_headers=SecurityHeaders(),
    compression=Compression(),
    cache=Caching(),
    openapi=OpenApi(""),
    request_schema=BodySchema(""),
    request_body=JsonEdits(),
    response_body=JsonEdits(),
)
"""One with every optional table, so that their defaults show where a file has the table but not the key."""


def _plain(
    struct: AccessLog | DownstreamTimeouts | UpstreamTimeouts | Limits | Retry | HealthCheck | Ejection
    | Breaker | RetryBudget
    | Limit | Overload | Redirect | Respond | Rewrite | UpstreamTls | Certificate,
) -> Table:  # fmt: skip
    """A struct whose fields are the table's keys. Absent where they are None."""
    fields = msgspec.structs.asdict(struct).items()
    return {name: _human(type(struct), name, each) for name, each in fields if each is not None}


def _human(kind: type, name: str, value: Any) -> Any:
    formats: tuple[tuple[Any, Callable[[Any], str]], ...] = (
        (_DURATIONS, format_duration),
        (_SIZES, format_size),
        (_PERCENTS, format_percent),
        (_RATES, format_rate),
    )
    for fields, form in formats:
        if (kind, name) in fields:
            return form(value)
    return list(value) if isinstance(value, tuple) else value


def _listener(value: Listener) -> Any:
    issued = [{"certificate": "mesh"}] if value.mesh == "edge" else []
    certificates = issued + [_plain(each) for each in value.tls]
    table = {"tls": certificates, "connections_per_client": value.connections_per_client}
    given = {name: each for name, each in table.items() if each}
    return {"address": value.address, **given} if given else value.address


def _allow(value: Allow) -> Table:
    table: Table = {
        "name": value.name,
        "from": list(value.sources),
        "to": list(value.targets),
        "methods": list(value.methods),
        "paths": [path(each) for each in value.paths],
    }
    return {key: each for key, each in table.items() if each}


def _conditions(match: Match) -> Table:
    return {
        "headers": {each.name: _value(each) for each in match.headers},
        "cookies": {each.name: _value(each) for each in match.cookies},
        "query": {each.name: _value(each) for each in match.query},
    }


def conditions(match: Match | None) -> Table:
    """What makes a request one for a version, without what is not asked."""
    return {name: each for name, each in _conditions(match).items() if each} if match else {}


def _value(value: ValueMatch) -> Any:
    if value.kind == "exact":
        return value.value
    return {"present": True} if value.kind == "present" else {"regex": value.value}


def _edits(value: HeaderEdits | QueryEdits) -> Table:
    added: dict[str, list[str]] = {}
    for name, each in value.add:
        added.setdefault(name, []).append(each)
    table: Table = {"set": dict(value.set), "add": added, "remove": list(value.remove), "rename": dict(value.rename)}
    return {name: each for name, each in table.items() if each}


def _balance(value: Balance) -> Any:
    return value.policy if value.key is None else {"hash": key(value.key)}


def _speaks_tls(value: Service) -> bool:
    return any(endpoint.tls for version in value.versions for endpoint in version.endpoints)


def _version(value: Version) -> Table:
    own = {
        "endpoints": [_endpoint(each) for each in value.endpoints],
        "match": conditions(value.match),
        "command": value.command,
        "port": value.port,
    }
    return {name: each for name, each in own.items() if each} | {"weight": number(value.weight)}


def _endpoint(value: Endpoint) -> Any:
    text = endpoint_text(value)
    return text if value.weight == 1 else {"address": text, "weight": number(value.weight)}


def number(value: float) -> int | float:
    """A weight without a needless ".0"."""
    return int(value) if value == int(value) else value
