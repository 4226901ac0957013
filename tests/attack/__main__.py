"""Attack a gateway, or a pair of sidecars, with a thousand connections of each kind, and print how an honest client
fared meanwhile.

    python -m tests.attack [--sidecars] [--connections N] [--seconds S] [ATTACK…]

Attackers run in a process of their own, so that the honest client waits for the gateway alone.
"""

from __future__ import annotations

import argparse
import asyncio
import resource
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

from .attackers import ATTACKS, ON_SIDECARS
from .pair import Pair
from .stage import Stage, honest

BEFORE = 3.0
"""Seconds before the honest client comes."""

RESTING = {"idle", "slow_heads", "slow_heads_by_tls"}
"""Attacks by connections that have no request under way."""


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(prog="python -m tests.attack")
    known = ", ".join(ATTACKS | ON_SIDECARS)
    parser.add_argument("attacks", nargs="*", metavar="ATTACK", help=known)
    parser.add_argument("--sidecars", action="store_true", help="attack two sidecars in the place of a gateway")
    parser.add_argument("--connections", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--ports", type=int, nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if given.ports:
        with suppress(TimeoutError):
            asyncio.run(_attack(given.attacks[0], *given.ports, given.connections, 4 * given.seconds))
        return
    print(f"{'attack':24}{'requests':>9}{'p50 ms':>9}{'p99 ms':>9}{'max ms':>9}{'clients':>9}{'MiB more':>10}")
    for name in ["nothing", *(given.attacks or (ON_SIDECARS if given.sidecars else ATTACKS))]:
        with tempfile.TemporaryDirectory() as folder:
            # Those who rest make room; those who have a request under way keep their places: nobody would be let in.
            most = given.connections if name in RESTING else 2 * given.connections
            stage = (Pair if given.sidecars else Stage)(Path(folder), most)
            print(_row(name, stage, given.connections, given.seconds), flush=True)


async def _attack(name: str, port: int, https: int, connections: int, seconds: float) -> None:
    async with asyncio.timeout(seconds):
        await (ATTACKS | ON_SIDECARS)[name](port, https, connections)


def _row(name: str, stage: Stage | Pair, connections: int, seconds: float) -> str:
    before = stage.memory()
    ports = [str(each) for each in stage.ports(name)]
    more = [name, "--connections", str(connections), "--seconds", str(seconds), "--ports", *ports]
    attackers = None
    if name != "nothing":
        attackers = subprocess.Popen([sys.executable, "-m", "tests.attack", *more])
    try:
        # The attack is to be under way, and not just about to begin.
        asyncio.run(asyncio.sleep(BEFORE))
        took = sorted(asyncio.run(honest(stage.port, seconds, 100)))
        open_ones = [each for worker in stage.workers() for each in worker.net_connections("tcp") if each.raddr]
        there = sum(str(each.laddr.port) in ports for each in open_ones)
        grown = (stage.memory() - before) / (1 << 20)
    finally:
        if attackers is not None:
            attackers.kill()
            attackers.wait()
    complaints = stage.close()
    assert complaints == [], complaints
    middle, last = took[len(took) // 2], took[len(took) * 99 // 100]
    return f"{name:24}{len(took):9}{middle * 1000:9.1f}{last * 1000:9.1f}{took[-1] * 1000:9.1f}{there:9}{grown:10.1f}"


if __name__ == "__main__":
    main()
