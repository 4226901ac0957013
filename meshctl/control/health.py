"""How a proxy is: what it answers when somebody wants to see the whole mesh at a glance, and asking all of them.

What is made of the answers stands in `symptoms`. This is answered without aiohttp (`reception`), as everything that is
asked of every proxy at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from meshctl import clock
from meshctl.control.client import ask_all
from meshctl.errors import MeshError
from meshctl.model.health import Denied, ProxyHealth
from meshctl.model.names import LOCAL
from meshctl.model.views import ProxyRecord
from meshctl.observe.sample import SeriesSample

if TYPE_CHECKING:
    from meshctl.control.supervisor import Supervisor

LATELY: Final = 300.0
"""Seconds for which a denied call is told of."""
DEADLINE: Final = 1.0
"""Seconds a proxy gets to answer: the whole mesh is to be seen in about that."""
_TARGET: Final = "/v1/health"
_DENIED: Final = "denied:"


class Told(NamedTuple):
    """One running proxy with what it told; why it did not where it is silent."""

    record: ProxyRecord
    health: ProxyHealth | None
    error: MeshError | None = None


async def health(supervisor: Supervisor) -> bytes:
    """The answer to GET /v1/health."""
    from meshctl.control.views import service_views

    await supervisor.sampling.sample()
    local = f"{LOCAL}:{supervisor.record.service}"
    services = tuple(each for each in await service_views(supervisor) if each.name != local)
    _, series = supervisor.sampling.history.since(clock.monotonic(), LATELY)
    found = tuple(denied(series, local, supervisor.record.service))
    return msgspec.json.encode(ProxyHealth(supervisor.view(), services, found))


def denied(series: Sequence[SeriesSample], local: str, own: str) -> Iterator[Denied]:
    """The requests that a proxy itself denied. `local` is how it calls the app it wraps, `own` whose that is."""
    for each in series:
        service = own if each.service == local else each.service
        known: dict[str, int] = {}
        for caller, theirs in each.callers.items():
            for rule, count in _rules(theirs):
                known[rule] = known.get(rule, 0) + count
                yield Denied(caller, service, rule, count)
        for rule, count in _rules(each):
            if count > known.get(rule, 0):
                yield Denied("", service, rule, count - known.get(rule, 0))


def _rules(series: SeriesSample) -> Iterator[tuple[str, int]]:
    for reason, counts in series.reasons.items():
        if reason.startswith(_DENIED):
            yield reason.removeprefix(_DENIED), sum(counts)


def ask_health(records: Sequence[ProxyRecord], *, timeout: float) -> list[Told]:
    """What all these proxies tell, asked at the same time. Blocks."""
    decoder = msgspec.json.Decoder(ProxyHealth)
    answers = ask_all(records, _TARGET, timeout=timeout)
    return [Told(each.record, None if each.error else decoder.decode(each.body), each.error) for each in answers]
