"""Cross-checks of services: versions, endpoints, weights, and settings that have no effect."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from meshctl.config.decode import Decoded
from meshctl.config.document import Document
from meshctl.config.document_service import ServiceTable
from meshctl.config.problems import Finding, Path, quoted
from meshctl.model.address import bare_address, overlap
from meshctl.model.mesh import Listener, Mesh
from meshctl.model.names import TAKEN
from meshctl.model.service import Endpoint, Service, Version


def check(decoded: Decoded, tables: Mapping[str, ServiceTable], mesh: Mesh) -> Iterator[Finding]:
    """What is wrong with the services."""
    used = {name for route in mesh.routes for name in route.services} | mesh.led_to_by_version
    used |= {way.forward_auth.service for way in mesh.auth if way.forward_auth is not None}
    parts = (("routes",), ("services",), ("allow",))
    is_unused_told = not _has_sidecars(mesh) and not any(map(decoded.is_damaged, parts))
    for service in mesh.services:
        path: Path = ("services", service.name)
        table = tables[service.name]
        yield from _shape(path, table, service)
        yield from _weights(path, table, service)
        yield from _policies(path, table, service)
        yield from _bytes(path, table, service)
        for version in service.versions:
            yield from _endpoints(_version_path(path, table, version), version)
        if service.name not in used and is_unused_told:
            yield Finding(path, "no route uses this service", severity="warning")


def lead_back(document: Document, mesh: Mesh) -> Iterator[Finding]:
    """Endpoints that are listeners of the gateway: what is sent there comes in again, and most often for ever."""
    if document.gateway is None or not document.gateway.listen:
        return
    tables = document.services or {}
    for service in mesh.services:
        for version in service.versions:
            path = _version_path(("services", service.name), tables[service.name], version)
            for number, endpoint in enumerate(version.endpoints):
                if any(_is_at(endpoint, listener) for listener in mesh.gateway.listeners):
                    message = f"{quoted(endpoint.address)} is the gateway itself: its routes take the request again"
                    yield Finding((*path, "endpoints", number), message, severity="warning")


def _is_at(endpoint: Endpoint, listener: Listener) -> bool:
    """Whether it is known that the listener takes what is sent to the endpoint. One for all interfaces takes only
    what stays on the machine: which other addresses are its own is not known here."""
    if not endpoint.port or endpoint.port != listener.port:
        return False
    if endpoint.host in {listener.host, "localhost"}:
        return overlap(endpoint.host, listener.host)
    try:
        is_here = bare_address(endpoint.host).is_loopback
    except ValueError:
        return False
    return is_here and overlap(endpoint.host, listener.host)


def _has_sidecars(mesh: Mesh) -> bool:
    """Whether services of this file are called by other services too, so that no route need lead to them."""
    return bool(mesh.access.rules) or any(each.commands or not each.has_endpoints for each in mesh.services)


def _version_path(path: Path, table: ServiceTable, version: Version) -> Path:
    return (*path, "versions", version.name) if version.name in (table.versions or {}) else path


def _shape(path: Path, table: ServiceTable, service: Service) -> Iterator[Finding]:
    if table.endpoints is not None and table.versions is not None:
        yield Finding((*path, "endpoints"), '"versions" is given too', "endpoints or versions")
    if service.name in TAKEN:
        yield Finding(path, f"{quoted(service.name)} is {TAKEN[service.name]}", "another name")


def _weights(path: Path, table: ServiceTable, service: Service) -> Iterator[Finding]:
    if service.versions and not any(version.weight for version in service.versions):
        yield Finding((*path, "versions"), "all weights are 0: no version takes requests", "a weight above 0")
    for version in service.versions:
        asked = version.match
        if asked is not None and not (asked.headers or asked.cookies or asked.query):
            where = (*_version_path(path, table, version), "match")
            yield Finding(where, "an empty table says nothing", "headers, cookies or query")
        if version.endpoints and not any(endpoint.weight for endpoint in version.endpoints):
            where = (*_version_path(path, table, version), "endpoints")
            yield Finding(where, "all weights are 0: no endpoint takes requests", "a weight above 0")


def _endpoints(path: Path, version: Version) -> Iterator[Finding]:
    first: dict[str, int] = {}
    for number, endpoint in enumerate(version.endpoints):
        if endpoint.address in first:
            message = f"{quoted(endpoint.address)} is given twice"
            yield Finding(
                (*path, "endpoints", number), message, hint='use { address = "…", weight = 2 } for a larger share'
            )
        first.setdefault(endpoint.address, number)


def _bytes(path: Path, table: ServiceTable, service: Service) -> Iterator[Finding]:
    """What a service of raw bytes cannot have."""
    if service.protocol != "tcp":
        return
    if table.health and table.health.path is not None:
        yield Finding((*path, "health", "path"), "tcp has no paths", "health = {}, which opens a connection")
    if service.limit and service.limit.adaptive:
        message = "has no effect: tcp has no answers whose time could be taken"
        yield Finding((*path, "limit", "adaptive"), message, severity="warning")
    for name, key in (("sticky", service.sticky), ("balance", service.balance.key)):
        if key is not None and key.kind not in ("client_ip", "identity"):
            message = f"has no effect: tcp has no {'query' if key.kind == 'query' else key.kind + 's'}"
            yield Finding((*path, name), message, severity="warning")


def _policies(path: Path, table: ServiceTable, service: Service) -> Iterator[Finding]:
    if table.balance and table.balance.policy and table.balance.hash:
        yield Finding((*path, "balance", "hash"), f"{quoted(table.balance.policy)} takes no key", "policy or hash")
    elif table.balance and not table.balance.model_fields_set:
        yield Finding((*path, "balance"), "an empty table says nothing", '"least_load" or { hash = … }')
    health, ejection, limits = service.health, service.ejection, service.timeouts
    if health and table.health and health.timeout > health.interval:
        where = "timeout" if "timeout" in table.health.model_fields_set else "interval"
        yield Finding((*path, "health", where), "the check's timeout is longer than its interval", severity="warning")
    if ejection.base > ejection.longest:
        where = "base" if table.ejection and "base" in table.ejection.model_fields_set else "longest"
        yield Finding((*path, "ejection", where), "the first rest is longer than the longest")
    breaker = service.breaker
    if breaker and not breaker.failures and not breaker.rate:
        message = "never opens: neither failures in a row nor a share of them count"
        yield Finding((*path, "breaker"), message, severity="warning")
    given = table.ejection.model_fields_set if table.ejection else set()
    for key in sorted(given & {"minimum", "window"}) if "rate" not in given else ():
        yield Finding((*path, "ejection", key), "has no effect without a rate", severity="warning")
    if service.timeout and service.protocol == "tcp":
        hint = "timeouts.stream ends those that rest"
        yield Finding((*path, "timeout"), "connections of raw bytes live for as long as they like", hint=hint)
    limit = table.limit
    if limit and limit.queue == 0 and limit.wait is not None:
        yield Finding((*path, "limit", "wait"), "has no effect: nobody may wait where queue is 0", severity="warning")
    if table.tls and not any(each.tls for version in service.versions for each in version.endpoints):
        yield Finding((*path, "tls"), "has no effect: no endpoint is https", severity="warning")
    if table.timeouts and limits.response > limits.stream and "stream" in table.timeouts.model_fields_set:
        message = "shorter than the response timeout: slow answers end at this one"
        yield Finding((*path, "timeouts", "stream"), message, severity="warning")
