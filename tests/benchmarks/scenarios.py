"""The situations to compare, in one table: who takes part, with how many routes, and what is asked of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from .case import prefix
from .peers import PEERS
from .upstream import BIG, DOWNLOAD, UPLOAD


@dataclass(frozen=True, slots=True)
class Contender:
    """One row: a peer as it is configured for a scenario."""

    label: str
    peer: str
    routes: int = 10
    workers: int = 1
    tls: bool = False
    policies: bool = False
    looked_at: str = ""
    """"traced" where one request in a hundred is told to a receiver of spans, "tapped" where all are shown."""

    def paths(self, suffix: str) -> list[str]:
        """What to ask for: every route once; wrk scatters the order."""
        return [f"{prefix(number)}{suffix}" for number in range(self.routes)]


@dataclass(frozen=True, slots=True)
class Scenario:
    """Contenders that get the same load. With `own` meshctl meets only itself, in the variants listed."""

    name: str
    title: str
    routes: int = 10
    tls: bool = False
    suffix: str = "/items/4711?fields=name,price&currency=EUR"
    connections: int = 32
    upload: int = 0
    visits: int = 1
    is_pinned: bool = True
    is_bulk: bool = False
    own: tuple[Contender, ...] = ()

    def contenders(self, peers: Sequence[str]) -> list[Contender]:
        """The rows for those of `peers` that can take part."""
        if self.own:
            return [row for row in self.own if row.peer.removesuffix("-blind") in peers]
        able = [name for name in peers if not (self.tls and name == "floor")]
        return [Contender(name, name, self.routes, tls=self.tls) for name in able]

    @property
    def references(self) -> tuple[str, ...]:
        """The labels that ratios are formed to."""
        return (self.own[0].label,) if self.own else ("nginx", "envoy")


SCENARIOS = {
    scenario.name: scenario
    for scenario in (
        Scenario("10-routes", "small answers, 10 routes"),
        Scenario("changing", "small answers, 10 routes, other headers each time", visits=100),
        Scenario("1000-routes", "small answers, 1,000 routes", routes=1000),
        Scenario(
            "10000-routes",
            "meshctl with 10 and 10,000 routes",
            own=(Contender("10 routes", "meshctl"), Contender("10,000 routes", "meshctl", routes=10_000)),
        ),
        Scenario("tls", "small answers, TLS at the listener", tls=True),
        Scenario("download", "answers of 1 MB", suffix=DOWNLOAD, connections=8, is_bulk=True),
        Scenario("upload", "requests of 1 MB", suffix=UPLOAD, connections=8, upload=BIG, is_bulk=True),
        Scenario(
            "workers",
            "meshctl with 1 and 2 workers, on one core",
            connections=64,
            own=(Contender("1 worker", "meshctl"), Contender("2 workers", "meshctl", workers=2)),
        ),
        # Where workers are not busy they are woken for fewer requests at a time, and on few cores the load and the
        # upstream run beside them: how much that is, others have to say as well.
        *(
            Scenario(
                f"cores-{peer}",
                f"{peer} with 1 and 2 workers, on all cores beside load and upstream",
                connections=64,
                is_pinned=False,
                own=(Contender("1 worker", peer), Contender("2 workers", peer, workers=2)),
            )
            for peer in ("meshctl", "nginx", "envoy")
        ),
        Scenario(
            "policies",
            "meshctl without policies and with all of them",
            own=(Contender("no policies", "meshctl"), Contender("all policies", "meshctl", policies=True)),
        ),
        Scenario(
            "traced",
            "meshctl without metrics, with them, and with spans of 1 % too",
            own=(
                Contender("neither", "meshctl-blind"),
                Contender("metrics", "meshctl"),
                Contender("both", "meshctl", looked_at="traced"),
            ),
        ),
        Scenario(
            "tapped",
            "meshctl alone and with every request tapped",
            own=(Contender("alone", "meshctl"), Contender("tapped", "meshctl", looked_at="tapped")),
        ),
    )
}
"""The scenarios under load; `memory` and `startup` are measured without any."""

DEFAULT_PEERS = tuple(name for name in PEERS if name not in ("envoy-plain", "meshctl-blind"))


def with_connections(scenario: Scenario, connections: int | None) -> Scenario:
    """The scenario with another number of connections, where one is wished."""
    return replace(scenario, connections=connections) if connections else scenario
