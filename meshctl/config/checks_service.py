"""Cross-checks of services: versions, endpoints, weights, and settings that have no effect."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from meshctl.config.build import DIRECT
from meshctl.config.decode import Decoded
from meshctl.config.document_service import ServiceTable
from meshctl.config.problems import Finding, Path, quoted
from meshctl.model.mesh import Mesh
from meshctl.model.service import Service, Version


def check(decoded: Decoded, tables: Mapping[str, ServiceTable], mesh: Mesh) -> Iterator[Finding]:
    """What is wrong with the services."""
    used = {route.service for route in mesh.routes}
    for service in mesh.services:
        path: Path = ("services", service.name)
        table = tables[service.name]
        yield from _shape(path, table, service)
        yield from _weights(path, table, service)
        yield from _policies(path, table, service)
        for version in service.versions:
            yield from _endpoints(_version_path(path, table, version), version)
        if service.name not in used and not decoded.is_damaged(("routes",)):
            yield Finding(path, "no route uses this service", severity="warning")


def _version_path(path: Path, table: ServiceTable, version: Version) -> Path:
    return (*path, "versions", version.name) if version.name in (table.versions or {}) else path


def _shape(path: Path, table: ServiceTable, service: Service) -> Iterator[Finding]:
    if table.endpoints is not None and table.versions is not None:
        yield Finding((*path, "endpoints"), '"versions" is given too', "endpoints or versions")
    if not service.versions:
        yield Finding(path, "a service needs endpoints", "endpoints = […] or [services.NAME.versions.VERSION]")
    for version in service.versions:
        if not version.endpoints:
            where = (
                path if version.name == DIRECT and table.endpoints is not None else (*path, "versions", version.name)
            )
            yield Finding(where, f"{_called(version, table)} needs endpoints", "at least one endpoint")


def _called(version: Version, table: ServiceTable) -> str:
    return f"version {quoted(version.name)}" if version.name in (table.versions or {}) else "a service"


def _weights(path: Path, table: ServiceTable, service: Service) -> Iterator[Finding]:
    if service.versions and not any(version.weight for version in service.versions):
        yield Finding((*path, "versions"), "all weights are 0: no version takes requests", "a weight above 0")
    for version in service.versions:
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
    if table.tls and not any(each.tls for version in service.versions for each in version.endpoints):
        yield Finding((*path, "tls"), "has no effect: no endpoint is https", severity="warning")
    if table.timeouts and limits.response > limits.stream and "stream" in table.timeouts.model_fields_set:
        message = "shorter than the response timeout: slow answers end at this one"
        yield Finding((*path, "timeouts", "stream"), message, severity="warning")
