"""Which endpoint takes the next request? The policies by name, and how an endpoint's latency is remembered.

A balancer is compiled from the endpoints that may be used now and is thrown away when that set or a weight changes. It
reads what the proxy keeps on each candidate (requests in flight, latency) and never writes it; it does not know why an
endpoint is available.
"""

from __future__ import annotations

from math import exp
from typing import Any, Final

from meshctl.core.balancer import Balancer, Candidate
from meshctl.core.hash_ring import HashRing
from meshctl.core.least_load import LeastLoad
from meshctl.core.turns import RandomTurns, RoundRobin

__all__ = ["BALANCERS", "Balancer", "Candidate", "decayed", "observe"]

BALANCERS: Final[dict[str, type[Balancer[Any]]]] = {
    "round_robin": RoundRobin,
    "random": RandomTurns,
    "least_load": LeastLoad,
    "hash": HashRing,
}

DECAY: Final = 10.0
"""Seconds in which an old latency loses all but 1/e of its say."""


def observe(ewma: float, last: float, now: float, sample: float) -> float:
    """The peak-sensitive moving average after `sample` seconds at `now`, where it was `ewma` (0: unknown) at `last`.

    A slower answer counts at once and in full, faster ones win the trust back over `DECAY`. Count a failure as the time
    its caller would have waited, or an endpoint that refuses quickly looks like the fastest.
    """
    if sample >= ewma:
        return sample
    keep = exp((last - now) / DECAY) if now > last else 1.0
    # At one instant a faster answer says nothing against the peak.
    return ewma * keep + sample * (1.0 - keep)


def decayed(ewma: float, last: float, now: float) -> float:
    """The average of an endpoint that nobody asked since `last`: it fades, so that a slow one is tried again."""
    return ewma * exp((last - now) / DECAY) if now > last else ewma
