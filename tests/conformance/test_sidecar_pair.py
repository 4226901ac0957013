"""Two sidecars and the app behind them agree where a request ends, whatever the app that calls says:

client → its sidecar, by which it leaves → mutual TLS → the sidecar of a service → a server that reads bodies by hand
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.e2e.gateway import meshctl
from tests.e2e.sidecar import Wrapped
from tests.e2e.waiting import until

from .test_real_backends import CASES, Trial
from .wire import Wire, connect

ASKED = {name: case for name, case in CASES.items() if name != "line: connect"}
"""A sidecar takes that for what it is for: the beginning of a tunnel to the service, in which more requests come."""
SERVICE = "shop"
"""As long as the host that the cases have."""
IDLE = "import time; time.sleep(9999)"


class Pair:
    """The two sidecars: what clients reach of them, and their access logs."""

    def __init__(self, home: Path, folder: Path) -> None:
        self.folder = folder
        self.caller = Wrapped(home, folder / "caller", ("--service", "caller"), (sys.executable, "-c", IDLE))
        server = (sys.executable, "-m", "tests.conformance.real_apps", "http.server")
        self.callee = Wrapped(home, folder / "callee", ("--service", SERVICE), server)

    def __repr__(self) -> str:
        return f"<Pair {self.caller!r} {self.callee!r}>"

    def until_ready(self) -> Pair:
        """Return when one reaches the other."""
        self.caller.until_started()
        self.callee.until_registered()
        proxy = f"http://{self.caller.address('proxy')}"
        with httpx.Client(proxy=proxy, timeout=30, trust_env=False) as http:
            until(lambda: http.get(f"http://{SERVICE}/__seen").status_code == 200, "one to reach the other")
        return self

    def connect(self) -> Wire:
        """A connection of the calling app's."""
        host, _, port = self.caller.address("proxy").rpartition(":")
        return connect((host, int(port)))

    def seen(self) -> list[tuple[str, str, int, str]]:
        """See `Backend.seen`."""
        said = httpx.get(f"http://127.0.0.1:{self.callee.port}/__seen", timeout=30, trust_env=False).json()
        return [(method, target, length, digest) for method, target, length, digest in said]

    def close(self) -> None:
        """End both."""
        for each in (self.caller, self.callee):
            each.kill()


class PairTrial(Trial):
    """See `Trial`."""

    def __init__(self, pair: Pair) -> None:
        self.mode = "plain"
        self.host = SERVICE
        self.gateway = self.backend = pair  # type: ignore[assignment]
        self.copies = None
        self.other = pair.connect()


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    """Two sidecars of a mesh that nothing leaves."""
    home = tmp_path / "home"
    file = tmp_path / "mesh.toml"
    file.write_text(f"""
        [mesh]
        name = "mesh"
        egress = "deny"
        [services.{SERVICE}]
        ejection = false
        retry = {{ attempts = 0 }}
    """)
    ended = meshctl(home, "apply", "--config", file)
    assert ended.status == 0, ended.err
    made = Pair(home, tmp_path)
    try:
        yield made.until_ready()
        made.caller.check()
        made.callee.check()
    finally:
        made.close()


def test_all_three_agree_where_a_request_ends(pair: Pair) -> None:
    """What the app understands is what both sidecars say that they have passed on, one for one; and the next client
    gets its own answer."""
    trial = PairTrial(pair)
    try:
        wrong = trial.send_all(ASKED)
        seen = trial.backend.seen()
        left, arrived = (trial.passed(f"home/logs/{each.id}.log") for each in (pair.caller, pair.callee))
    finally:
        trial.other.close()
    assert wrong == {}
    understood = Counter(trial._key(*each[:3]) for each in seen if each[1] != "/000-end")
    assert understood == left == arrived
    assert understood.total() > len(ASKED)
