"""Faults of processes, and of doing everything twice: each function does one to the town and raises AssertionError
where the town does not take it as it should. What is lost meanwhile the runner counts (`course`).
"""

from __future__ import annotations

import json
import os
import random
import resource
import signal
import sys
import time
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass

import psutil

from meshctl.store.sqlite import SqliteStore
from tests.e2e.sidecar import Wrapped
from tests.e2e.waiting import until

from .town import APP, PATIENCE, Town

Do = Callable[[Town, random.Random], None]


@dataclass(frozen=True, slots=True)
class Fault:
    """One kind of fault, and what must hold."""

    name: str
    do: Do
    invariant: str
    may_lose_in_flight: bool = False
    """Whether requests that were in flight in the process may be lost; else none may be."""
    is_fatal: bool = False
    """Whether the mesh has to be started anew afterwards."""
    may_refuse: bool = False
    """Whether requests may fail as long as it lasts."""


def _worker(town: Town, dice: random.Random) -> None:
    doomed = dice.choice(town.gateway.workers())
    os.kill(doomed, signal.SIGKILL)
    until(lambda: len(set(town.gateway.workers()) - {doomed}) == 2, "another worker", timeout=PATIENCE)


def _supervisor(town: Town, _dice: random.Random) -> None:
    os.kill(town.gateway.pid, signal.SIGKILL)
    town.gateway.process.wait()


def _wrapper(town: Town, dice: random.Random) -> None:
    doomed = _one_of_many(town, dice)
    os.kill(doomed.process.pid, signal.SIGKILL)
    doomed.process.wait()


def _sidecar_worker(town: Town, dice: random.Random) -> None:
    chosen = _one_of_many(town, dice)
    doomed = town.sidecar_worker(chosen)
    os.kill(doomed, signal.SIGKILL)
    until(lambda: town.sidecar_worker(chosen) != doomed, "another worker", timeout=PATIENCE)


def _app(town: Town, dice: random.Random) -> None:
    doomed = _one_of_many(town, dice)
    os.kill(doomed.app, signal.SIGKILL)
    doomed.process.wait(PATIENCE)


def _certificate_helper(town: Town, _dice: random.Random) -> None:
    rotating = town.start("certs", "rotate", "--all")
    killed = 0
    while rotating.poll() is None and killed < 3:
        for each in town.helpers():
            with suppress(ProcessLookupError):
                os.kill(each, signal.SIGKILL)
                killed += 1
        time.sleep(0.005)
    town.ended(rotating)
    again = town.command("certs", "rotate", "--all", "--timeout", 120)
    assert again.status == 0, again.err


def _rollout_driver(town: Town, _dice: random.Random) -> None:
    rules = ("--steps", "50", "--every", "5s", "--min-requests", "1", "--max-errors", "100%")
    began = town.command("traffic", "rollout", "orders", "--to", "v2", *rules, "--detach")
    assert began.status == 0, began.err
    driver = until(lambda: _driver(town), "somebody to drive", timeout=PATIENCE)
    os.kill(driver, signal.SIGKILL)
    for each in (town.gateway, *town.wrapped):
        if each.process.pid == driver:
            each.process.wait()
    until(lambda: _driver(town) not in {0, driver}, "somebody else to drive", timeout=PATIENCE)
    aborted = town.command("traffic", "abort", "orders")
    # Whoever drives may have been done with it before.
    assert aborted.status == 0 or "promoted" in aborted.err, aborted
    ended = town.command("traffic", "reset", "orders")
    assert ended.status == 0, ended


def _stopped(town: Town, dice: random.Random) -> None:
    """Any one process stands still for a while."""
    chosen = _one_of_many(town, dice)
    pids = [town.gateway.pid, *town.gateway.workers(), chosen.process.pid, town.sidecar_worker(chosen), chosen.app]
    pid = dice.choice(pids)
    os.kill(pid, signal.SIGSTOP)
    time.sleep(3)
    os.kill(pid, signal.SIGCONT)


def _descriptors(town: Town, dice: random.Random) -> None:
    pids = [dice.choice(town.gateway.workers()), town.gateway.pid]
    before = {pid: psutil.Process(pid).rlimit(resource.RLIMIT_NOFILE) for pid in pids}
    for pid in pids:
        # One more than the highest that is open.
        highest = max(map(int, os.listdir(f"/proc/{pid}/fd")))
        psutil.Process(pid).rlimit(resource.RLIMIT_NOFILE, (highest + 1, before[pid][1]))
    time.sleep(3)
    for pid, limits in before.items():
        psutil.Process(pid).rlimit(resource.RLIMIT_NOFILE, limits)
    assert all(psutil.pid_exists(pid) for pid in pids), "a process has ended"


def _clock(town: Town, dice: random.Random) -> None:
    jump = dice.choice([3600.0, -3600.0])
    for seconds in (jump, 0.0):
        town.set_clock(seconds)
        # Longer than leases are left alone for.
        time.sleep(12)


def _two_gateways(town: Town, _dice: random.Random) -> None:
    second = town.command("gateway", "up", "-c", town.file)
    assert second.status == 1 and "already" in second.err, second
    third = town.command("--home", town.words / "other", "gateway", "up", "-c", town.file)
    assert third.status == 1 and "is taken by" in third.err, third


def _two_sidecars(town: Town, _dice: random.Random) -> None:
    first = town.wrapped[-1]
    words = ("sidecar", "wrap", "--service", "catalogue", "--port", first.port, "--", sys.executable, APP)
    second = town.command(*words)
    assert second.status == 1 and f"port {first.port} is taken" in second.err, second


def _two_rotations(town: Town, _dice: random.Random) -> None:
    running = [town.start("certs", "rotate", "--all", "--timeout", 120) for _ in range(2)]
    for each in map(town.ended, running):
        assert each.status == 0, each


def _two_applies(town: Town, dice: random.Random) -> None:
    town.write(f'[[routes]]\nname = "r{dice.getrandbits(32):x}"\npath = "/r"\nservice = "web"\n')
    running = [town.start("apply", "-c", town.file) for _ in range(2)]
    ended = [town.ended(each) for each in running]
    for each in ended:
        town.note(each.err + each.out)
        assert each.status == 0 or "conflict" in each.err or "meanwhile" in each.err, each
    assert any(each.status == 0 for each in ended), ended


def _two_rollouts(town: Town, _dice: random.Random) -> None:
    rules = ("--steps", "50", "--every", "60s", "--detach")
    running = [town.start("traffic", "rollout", "orders", "--to", "v2", *rules) for _ in range(2)]
    ended = [town.ended(each) for each in running]
    assert sorted(each.status for each in ended) == [0, 1], ended
    assert town.command("traffic", "abort", "orders").status == 0


def _one_of_many(town: Town, dice: random.Random) -> Wrapped:
    """A sidecar of a service's version that has another one."""
    return dice.choice([each for place, each in enumerate(town.wrapped) if place != 2])


def _driver(town: Town) -> int:
    with closing(SqliteStore(town.home / "mesh.db")) as store:
        return next((int(json.loads(each.value)["pid"]) for each in store.list("duties/")), 0)


FAULTS = (
    Fault("kill -9 a worker of the gateway", _worker, "what it had in flight is lost, no more; another comes", True),
    Fault("kill -9 the gateway's supervisor", _supervisor, "its workers finish what they have; a new one starts", True),
    Fault("kill -9 a wrapper", _wrapper, "nothing is lost: others are asked"),
    Fault("kill -9 a sidecar's worker", _sidecar_worker, "what its app had under way is lost, no more", True),
    Fault("kill -9 an app", _app, "what it had under way elsewhere is lost, no more; others are asked", True),
    Fault("kill -9 the certificate helper", _certificate_helper, "rotation tells or goes on; the next one succeeds"),
    Fault("kill -9 who drives a rollout", _rollout_driver, "another proxy drives on", True),
    Fault("SIGSTOP, SIGCONT", _stopped, "nothing is lost"),
    Fault("no descriptors left", _descriptors, "all is well again once there are some", may_refuse=True),
    # A clock from before the certificates' time believes nobody new: what needs a new connection then is lost.
    Fault("the clock set", _clock, "nobody is forgotten, who is connected is served on", True),
    Fault("two gateways", _two_gateways, "the second says who has the home, or the port"),
    Fault("two sidecars", _two_sidecars, "the second says who has the port"),
    Fault("two rotations", _two_rotations, "both succeed"),
    Fault("two applies", _two_applies, "one at least succeeds, the other one or tells"),
    Fault("two rollouts", _two_rollouts, "one begins, the other tells"),
)
