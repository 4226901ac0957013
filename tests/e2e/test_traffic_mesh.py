"""Weights in a whole mesh: a gateway and a sidecar send to one service, follow the same weights, and take over a
rollout from each other."""

from __future__ import annotations

import contextlib
import random
import shutil
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from meshctl.control.duties import Holder, holder
from meshctl.control.following import await_followers
from meshctl.control.weights import change
from meshctl.core.shift import shifted
from meshctl.store.sqlite import SqliteStore

from .conftest import StartUpstreams
from .gateway import Gateway, meshctl
from .load import Load
from .servers import Upstreams
from .sidecar import Wrapped
from .waiting import until

APP = Path(__file__).with_name("wrapped_app.py")
VERSIONS = ("v1", "v2", "v3")


@dataclass
class Two:
    """A gateway and a sidecar in one home, both of which send to service s."""

    home: Path
    gateway: Gateway
    web: Wrapped

    def urls(self) -> dict[str, str]:
        """Where each proxy sends to the service, by the proxy's id."""
        return {"gateway": self.gateway.url, self.web.id: f"http://{self.web.address('upstream:s')}"}

    def traffic(self, *arguments: object) -> Any:
        """A `traffic` command's document."""
        patient = () if arguments[0] in ("split", "rollout") else ("--timeout", "60s")
        ended = meshctl(self.home, "traffic", *arguments, *patient, "-o", "json")
        assert ended.status == 0, ended.err
        return ended.json()

    def weights(self) -> list[dict[str, float]]:
        """What each proxy has."""

        def told() -> Any:
            ended = meshctl(self.home, "services", "show", "s", "-o", "json")
            # On a busy machine one of them may be too late with its answer.
            return ended.json() if ended.status == 0 and len(ended.json()) == 2 else None

        answers = until(told, "both to answer")
        return [{each["name"]: each["weight"] for each in proxy["service"]["versions"]} for proxy in answers]

    def holder(self) -> Holder | None:
        """Who drives the rollout."""
        with contextlib.closing(SqliteStore(self.home / "mesh.db")) as store:
            return holder(store, "rollout/s")


@dataclass
class Hammer:
    """What wrk said in the end, where there is one."""

    said: str = ""


@contextlib.contextmanager
def hammered(url: str) -> Iterator[Hammer]:
    """As many requests as wrk can make on eight connections, until the end."""
    found = Hammer()
    if not shutil.which("wrk"):
        yield found
        return
    with subprocess.Popen(
        ["wrk", "-t1", "-c8", "-d900s", "--timeout", "60s", url], stdout=subprocess.PIPE, text=True
    ) as wrk:
        try:
            yield found
        finally:
            wrk.send_signal(signal.SIGINT)
            found.said = wrk.communicate(timeout=60)[0]


@pytest.fixture
def mine(start_upstreams: StartUpstreams) -> Upstreams:
    """The three versions."""
    return start_upstreams("a", "b", "c")


@pytest.fixture
def two(mine: Upstreams, tmp_path: Path) -> Iterator[Two]:
    """Both, ready."""
    versions = "".join(
        f'[services.s.versions.{version}]\nendpoints = ["{mine.address(name)}"]\nweight = {weight}\n'
        for version, name, weight in zip(VERSIONS, "abc", (100, 0, 0), strict=True)
    )
    file = tmp_path / "mesh.toml"
    gateway_table = '[gateway]\nlisten = ["127.0.0.1:0"]\naccess_log = "off"\nworkers = 2\n'
    file.write_text(f'{gateway_table}[[routes]]\nservice = "s"\n{versions}')
    home = tmp_path / "home"
    gateway = Gateway(home, tmp_path / "gateway", ["-c", file])
    web: Wrapped | None = None
    try:
        gateway.until_ready()
        words = ("--service", "web", "--upstream", "s")
        web = Wrapped(home, tmp_path / "web", words, (sys.executable, APP)).until_registered()
        yield Two(home, gateway, web)
        for each in (web, gateway):
            if each.process.poll() is None:
                each.check()
    finally:
        for each in (gateway, web):
            if each is not None:
                each.kill()


@pytest.mark.timeout(600)
def test_every_proxy_follows(two: Two) -> None:
    """Fifty random shifts, promotions, rollbacks and resets under load through both proxies: no request fails, and when
    a command returns both have the weights it tells."""
    dice = random.Random(14)
    depth = 0
    gateway, web = two.urls().values()
    with Load(gateway, kept=4, fresh=1) as one, Load(web, kept=4, fresh=1) as other, hammered(gateway) as hammer:
        for _ in range(50):
            verb = dice.choice(["shift", "shift", "promote", "rollback" if depth else "shift", "reset"])
            words: tuple[str, ...] = ()
            if verb == "shift":
                words = tuple(f"{each}={dice.randrange(33)}" for each in dice.sample(("v2", "v3"), dice.randint(1, 2)))
            elif verb == "promote":
                words = (dice.choice(VERSIONS),)
            told = two.traffic(verb, "s", *words)
            depth += 0 if told["unchanged"] else -1 if verb == "rollback" else 1
            assert sorted((each["proxy"], each["status"]) for each in told["proxies"]) == sorted(
                (name, "live") for name in two.urls()
            )
            assert two.weights() == [pytest.approx(told["after"])] * 2
            one.more(5)
            other.more(5)
    assert one.failures + other.failures == []
    assert set(one.served) == set(other.served) == {"a", "b", "c"}
    if shutil.which("wrk"):
        assert "requests in" in hammer.said
        assert "Non-2xx" not in hammer.said
        assert "Socket errors" not in hammer.said


@pytest.mark.timeout(300)
def test_all_are_live_at_once(two: Two) -> None:
    """From the commit to the word of the last proxy that it has the new weights, under load: 150 ms on a machine that
    has the time."""
    gateway, web = two.urls().values()
    delays = []
    with (
        contextlib.closing(SqliteStore(two.home / "mesh.db")) as store,
        Load(gateway, kept=1, fresh=0) as one,
        Load(web, kept=1, fresh=0) as other,
    ):
        await_followers(store, store.revision(), 60)  # the first question loads what answers it
        for weight in range(1, 31):

            def decide(now: dict[str, float], declared: dict[str, float], weight: int = weight) -> dict[str, float]:
                return shifted(now, {"v2": weight}, declared)

            moved = change(store, "s", decide, who="test", what="shift")
            committed = time.monotonic()
            assert {each.status for each in await_followers(store, moved.revision, 60)} == {"live"}
            delays.append(time.monotonic() - committed)
    assert one.failures + other.failures == []
    print(f"live after {statistics.median(delays) * 1000:.0f} ms, at most {max(delays) * 1000:.0f} ms")
    assert statistics.median(delays) < 5.0


def test_another_proxy_goes_on(two: Two) -> None:
    """When the proxy that drives a rollout is killed, the other has the duty soon and brings it to its
    end, from the step where it stood."""
    began = meshctl(
        two.home, "traffic", "rollout", "s", "--to", "v2", "--steps", "20,40,60,80", "--every", "2s",
        "--min-requests", 20, "--detach",
    )  # fmt: skip
    assert began.status == 0, began.err
    driver = until(two.holder, "somebody to drive").proxy
    (survivor,) = set(two.urls()) - {driver}
    with Load(two.urls()[survivor], kept=4, fresh=1) as load:
        until(lambda: two.traffic("rollout", "s")["step"] >= 2, "the second step")
        assert two.holder() is not None
        (two.gateway if driver == "gateway" else two.web).kill()
        until(lambda: (found := two.holder()) and found.proxy == survivor, "another driver", timeout=20)
        ended = meshctl(two.home, "traffic", "rollout", "s")
    assert ended.status == 0, ended.err
    assert load.failures == []
    steps = [
        each["weight"] for each in two.traffic("rollout", "s")["events"] if each["kind"] in ("begin", "step", "end")
    ]
    assert steps == [20, 40, 60, 80, 100]
