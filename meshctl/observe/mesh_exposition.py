"""What /metrics/mesh says: the metrics of all proxies of a home in one answer, each series with its proxy's id, for a
Prometheus that has one target and no service discovery.

Each proxy tells what it counted and knows (`Told`); here it is put into words, once. Who did not answer is in it as
well, with `meshctl_proxy_up` at 0. Knows no socket.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from meshctl.observe.exposition import Facts, encoded, families
from meshctl.observe.sample import Sample

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric


class Told(msgspec.Struct, frozen=True):
    """One proxy's answer to GET /v1/metrics."""

    sample: Sample
    facts: Facts


class Member(NamedTuple):
    """A proxy of the home, and what it told: None where it did not answer."""

    proxy: str
    role: str
    told: Told | None


def expose_mesh(members: Sequence[Member], accept: str = "") -> tuple[str, bytes]:
    """Content type and body for a scrape of all these proxies."""
    return encoded(together(members), accept)


def together(members: Sequence[Member]) -> Iterable[Metric]:
    """The metrics of all of them, each family once."""
    from prometheus_client.metrics_core import GaugeMetricFamily

    up = GaugeMetricFamily("meshctl_proxy_up", "1 where the proxy answered, 0 where not.", labels=("proxy", "role"))
    found: dict[str, Metric] = {up.name: up}
    for member in members:
        up.add_metric((member.proxy, member.role), float(member.told is not None))
        if member.told is None:
            continue
        for family in families(member.told.sample, member.told.facts):
            samples = [one._replace(labels={"proxy": member.proxy, **one.labels}) for one in family.samples]
            known = found.setdefault(family.name, family)
            if known is family:
                family.samples = samples
            else:
                known.samples += samples
    return found.values()
