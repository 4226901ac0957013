"""What an operator does to the mesh meanwhile, over and over: each act returns what went wrong, "" for nothing."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
from collections.abc import Callable

import psutil

from tests.e2e.gateway import meshctl_process
from tests.e2e.waiting import until

from .shop import Shop

Act = Callable[[], str]
LOOKS = ("gateway status", "stat", "routes ls", "services ls", "certs ls", "edges", "sidecar ls", "limits ls", "status")
REPLACED = 3
"""The place whose app ends and is started again; all others live as long as the mesh."""


class Operator:
    """Does one thing after another to `shop`."""

    def __init__(self, shop: Shop, *, seed: int = 1) -> None:
        self.shop = shop
        self.dice = random.Random(seed)
        self.acts: dict[str, Act] = {
            "shift": self._shift,
            "look": self._look,
            "apply": self._apply,
            "rotate certificates": lambda: shop.command("certs", "rotate", "--all"),
            "kill a worker": self._kill,
            "look again": self._look,
            "replace an app": self._replace,
            "mirror": self._mirror,
            "fault": self._fault,
            "roll out": self._roll_out,
            "rotate the log": self._rotate_log,
            "tap": self._tap,
            "change the root": lambda: shop.command("certs", "rotate", "--root"),
        }
        self.violent = frozenset({"kill a worker"})
        """Acts after which requests that were in flight may be lost."""

    def _shift(self) -> str:
        return self.shop.command("traffic", "shift", "orders", f"v2={self.dice.randrange(1, 99)}")

    def _look(self) -> str:
        wrong = (self.shop.command(*look.split(), "-o", "json") for look in LOOKS)
        return "; ".join(each for each in wrong if each)

    def _apply(self) -> str:
        """Thirty services with their routes come, and go again. A proxy remembers a thousand that have gone, so these
        are always some of the same."""
        names = self.dice.sample(range(60), 30)
        services = "".join(f"[services.s{name}]\n" for name in names)
        routes = "".join(f'[[routes]]\nname = "r{name}"\npath = "/r/{name}"\nservice = "s{name}"\n' for name in names)
        self.shop.write(services + routes)
        wrong = self.shop.command("apply", "-c", self.shop.file)
        self.shop.write("")
        return wrong or self.shop.command("apply", "-c", self.shop.file)

    def _kill(self) -> str:
        """Always the youngest, so that the others can be watched."""
        workers = self.shop.gateway.workers()
        youngest = max(workers, key=lambda pid: psutil.Process(pid).create_time())
        os.kill(youngest, signal.SIGKILL)
        until(lambda: len(set(self.shop.gateway.workers()) - {youngest}) == len(workers), "another worker")
        return ""

    def _replace(self) -> str:
        shop = self.shop
        shop.wrapped[REPLACED].end()
        shop.wrapped[REPLACED] = shop.wrap(REPLACED).until_registered()
        return ""

    def _mirror(self) -> str:
        command = self.shop.command
        on = command("traffic", "mirror", "orders", "--to", "v2", "--percent", 30)
        return on or command("traffic", "mirror", "orders") or command("traffic", "mirror", "orders", "--stop")

    def _fault(self) -> str:
        return self.shop.command("traffic", "fault", "orders", "--delay", "30ms@20%", "--for", "3s")

    def _roll_out(self) -> str:
        rules = ("--steps", "20,60", "--every", "3s", "--min-requests", "3", "--max-errors", "100%")
        rolled = self.shop.command("traffic", "rollout", "orders", "--to", "v2", *rules)
        return rolled or self.shop.command("traffic", "reset", "orders")

    def _rotate_log(self) -> str:
        log = self.shop.folder / "access.log"
        with contextlib.suppress(FileNotFoundError):
            log.replace(log.with_suffix(".old"))
        os.kill(self.shop.gateway.pid, signal.SIGHUP)
        until(log.exists, "a new access log")
        return ""

    def _tap(self) -> str:
        tap = meshctl_process(self.shop.home, "tap", "-o", "json", stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        assert tap.stdout is not None
        for _ in range(20):
            tap.stdout.readline()
        tap.send_signal(signal.SIGINT)
        try:
            tap.communicate(timeout=60)
        finally:
            tap.kill()
        return ""
