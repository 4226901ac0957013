"""The course of a soak: traffic all the time, an act of the operator now and then, and a look at all processes."""

from __future__ import annotations

import sqlite3
import subprocess
import time
from collections import Counter
from contextlib import closing, suppress
from pathlib import Path

import psutil

from .acts import Act, Operator
from .clients import Clients
from .shop import Shop
from .vitals import Vitals

FORGIVEN = 3.0
"""Seconds after a process was killed in which requests that were in flight in it may turn out to be lost."""


class Course:
    """One soak in `folder`; what it found stays in its attributes."""

    def __init__(self, folder: Path, *, seed: int, pace: float, every: float, look_every: float = 20.0) -> None:
        self.folder, self.seed, self.pace = folder, seed, pace
        self.every, self.look_every = every, look_every
        self.vitals = Vitals(folder / "vitals")
        self.files: list[tuple[float, dict[str, int]]] = []
        """When, and how large the home's files and tables are."""
        self.done: Counter[str] = Counter()
        self.sent: Counter[str] = Counter()
        self.wrong: list[str] = []
        self.in_flight: list[str] = []
        """Requests that were lost in a process that was killed."""
        self.cpu = 0.0
        """Seconds of a core that all of it has used, clients and apps included."""
        self.took = 0.0

    def run(self, seconds: float) -> None:
        """Soak for so long."""
        shop = Shop(self.folder)
        try:
            self._soak(shop, seconds)
        finally:
            self.wrong += shop.end()

    def _soak(self, shop: Shop, seconds: float) -> None:
        operator = Operator(shop, seed=self.seed)
        killed: list[float] = []
        used = _cpu()
        began = time.monotonic()
        look_at = began
        with Clients(shop, pace=self.pace, seed=self.seed) as clients:
            while time.monotonic() < began + seconds:
                for name, act in operator.acts.items():
                    at = time.monotonic()
                    if name in operator.violent:
                        killed.append(at)
                    wrong = _tried(act)
                    self.done[name] += 1
                    if wrong:
                        self.wrong.append(f"{at - began:.0f} s: {name}: {wrong}")
                    if at >= look_at:
                        look_at = at + self.look_every
                        self._look(shop)
                    if at > began + seconds:
                        break
                    time.sleep(self.every)
        self.took, self.cpu = time.monotonic() - began, _cpu() - used
        self.sent = clients.sent
        for at, what in clients.failures:
            told = f"{at - began:.0f} s: {what}"
            (self.in_flight if any(0 <= at - kill < FORGIVEN for kill in killed) else self.wrong).append(told)

    def _look(self, shop: Shop) -> None:
        now = time.monotonic()
        self.vitals.look(shop.processes(), now)
        found = {path.name: path.stat().st_size for path in shop.home.glob("*.db")}
        for name in ("mesh.db", "usage.db"):
            found |= {f"{name} {table}": rows for table, rows in _rows(shop.home / name).items()}
        found["files"] = sum(1 for _ in shop.home.rglob("*"))
        self.files.append((now, found))


def _cpu() -> float:
    """Seconds that this process and all below it have used, as far as they live or were waited for."""
    used = 0.0
    mine = psutil.Process()
    for each in (mine, *mine.children(recursive=True)):
        with suppress(psutil.Error):
            used += sum(each.cpu_times()[:4])
    return used


def _tried(act: Act) -> str:
    try:
        return act()
    except (AssertionError, OSError, subprocess.TimeoutExpired) as error:
        return f"{type(error).__name__} {error}"


def _rows(database: Path) -> dict[str, int]:
    if not database.exists():
        return {}
    with closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True)) as file:
        names = [name for (name,) in file.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return {name: int(file.execute(f"SELECT count(*) FROM {name}").fetchone()[0]) for name in names}
