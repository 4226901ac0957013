"""What the proxies of a mesh tell of their last minutes: what one of them answers, and asking all of them.

How it becomes one picture stands in `observe.reading`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from meshctl import clock
from meshctl.control.acks import proxies
from meshctl.control.client import ask_all
from meshctl.control.discovery import registrations
from meshctl.control.revisions import current
from meshctl.errors import MeshError, none_runs
from meshctl.model.names import LOCAL
from meshctl.observe.history import SPAN
from meshctl.observe.reading import MTLS, PLAIN, TLS, Load, Reading, joined
from meshctl.store.protocol import Store

if TYPE_CHECKING:
    from meshctl.control.supervisor import Supervisor
    from meshctl.model.views import ServiceView


class Meshed(NamedTuple):
    """How many of a service's or a version's endpoints are sidecars."""

    sidecars: int
    endpoints: int


class Asked(NamedTuple):
    """What the running proxies told, and who did not answer: the id and why."""

    readings: list[Reading]
    silent: dict[str, str]


# what a proxy answers


async def reading(supervisor: Supervisor, query: Mapping[str, str]) -> bytes:
    """The answer to GET /v1/stat?seconds=60."""
    asked = query.get("seconds", "60")
    if not (asked.isascii() and asked.isdecimal() and 0 < int(asked) <= SPAN):
        raise MeshError("usage", f"seconds must be 1 to {SPAN:g}")
    from meshctl.control.views import service_views

    await supervisor.sampling.sample()
    services = await service_views(supervisor)
    seconds, series = supervisor.sampling.history.since(clock.monotonic(), float(asked))
    record = supervisor.record
    local = f"{LOCAL}:{record.service}" if record.role == "sidecar" else ""
    return msgspec.json.encode(
        Reading(record.id, record.service, local, seconds, series, tuple(_loads(supervisor, services)))
    )


def _loads(supervisor: Supervisor, services: Sequence[ServiceView]) -> list[Load]:
    secured = {each.endpoint.address for each in supervisor.changing.registrations}
    tls = {
        (service.name, version.name)
        for service in supervisor.mesh.services
        for version in service.versions
        if any(endpoint.tls for endpoint in version.endpoints)
    }
    found = []
    for service in services:
        by_version: dict[str, list[Load]] = {}
        for each in service.endpoints:
            way = MTLS if each.address in secured else TLS if (service.name, each.version) in tls else PLAIN
            by_version.setdefault(each.version, []).append(
                Load(service.name, each.version, each.in_flight, each.connections, way)
            )
        found += [_together(loads) for loads in by_version.values()]
    return found


def _together(loads: Sequence[Load]) -> Load:
    first = loads[0]
    return Load(
        first.service,
        first.version,
        sum(load.in_flight for load in loads),
        sum(load.connections for load in loads),
        joined(load.tls for load in loads),
    )


# what is asked


def ask_readings(store: Store, home: Path, seconds: int, *, timeout: float) -> Asked:
    """The last `seconds` of every running proxy, asked at the same time. Raises MeshError not_running, which names the
    home."""
    records = proxies(store)
    if not records:
        raise none_runs(home)
    answers = ask_all(records, f"/v1/stat?seconds={seconds}", timeout=timeout)
    decoder = msgspec.json.Decoder(Reading)
    return Asked(
        [decoder.decode(answer.body) for answer in answers if not answer.error],
        {answer.record.id: answer.error.message for answer in answers if answer.error},
    )


def meshed(store: Store) -> dict[tuple[str, str], Meshed]:
    """The endpoints of every version of every service that is configured or registered."""
    revision = current(store)
    found: dict[tuple[str, str], Meshed] = {}
    for service in revision.mesh().services if revision else ():
        for version in service.versions:
            found[service.name, version.name] = Meshed(0, len(version.endpoints))
    for each in registrations(store):
        sidecars, endpoints = found.get((each.service, each.version), Meshed(0, 0))
        found[each.service, each.version] = Meshed(sidecars + 1, endpoints + 1)
    return found
