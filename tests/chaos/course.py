"""The course of an attack: fault after fault, each under traffic of its own, with what it cost."""

from __future__ import annotations

import random
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from meshctl.errors import MeshError
from tests.e2e.waiting import until

from .faults import Fault
from .honest import Honest
from .town import PATIENCE, Town

FEW = 4
"""Answers to each question before a fault, and after it."""


@dataclass(slots=True)
class Tally:
    """What became of one kind of fault."""

    tried: int = 0
    sent: int = 0
    lost: int = 0
    refused: int = 0
    slowest: float = 0.0
    """Seconds until all was back, where it had to be mended."""
    losses: list[str] = field(default_factory=list)
    """What was lost, and when, in seconds from the fault on."""
    wrong: list[str] = field(default_factory=list)


def attack(
    town: Callable[[], Town], faults: Sequence[Fault], *, seconds: float, seed: int, say: Callable[[str], None]
) -> dict[str, Tally]:
    """Try each fault once, and then at random until the time is over; `town` makes a new mesh."""
    dice = random.Random(seed)
    tallies = {each.name: Tally() for each in faults}
    ends = time.monotonic() + seconds
    here = town()
    try:
        for fault in _order(faults, dice):
            if tallies[fault.name].tried and time.monotonic() > ends:
                break
            say(fault.name)
            tally = tallies[fault.name]
            try:
                _one(here, fault, tally, dice)
            except (AssertionError, OSError, psutil.Error, subprocess.SubprocessError, MeshError) as error:
                tally.wrong.append(f"{type(error).__name__} {error}")
            say(f"{fault.name}: {tally}")
            if fault.is_fatal or tally.wrong:
                here.end()
                shutil.rmtree(here.home, ignore_errors=True)
                here = town()
    finally:
        here.end()
    return tallies


def _order(faults: Sequence[Fault], dice: random.Random) -> Iterator[Fault]:
    yield from dice.sample(faults, len(faults))
    while True:
        yield dice.choice(faults)


def _one(town: Town, fault: Fault, tally: Tally, dice: random.Random) -> None:
    tally.tried += 1
    honest = Honest(town.plain, town.tls)
    began = time.monotonic()
    try:
        with honest:
            _answered(honest, "before")
            began = time.monotonic()
            fault.do(town, dice)
            if not fault.is_fatal:
                town.mend()
            _answered(honest, "after")
            tally.slowest = max(tally.slowest, time.monotonic() - began)
    finally:
        lost = len(honest.lost)
        tally.sent, tally.lost, tally.refused = (
            tally.sent + honest.sent,
            tally.lost + lost,
            tally.refused + honest.refused,
        )
        told = [f"{at - began:.2f} s: {what}" for at, what in honest.lost]
        tally.losses += told
        if not fault.may_refuse and lost > (honest.clients if fault.may_lose_in_flight else 0):
            tally.wrong.append(f"lost {lost} of {honest.sent}: {'; '.join(told[:12])}")
    if not fault.is_fatal and town.latest() < town.applied:
        tally.wrong.append(f"revision {town.applied} was acknowledged, {town.latest()} is there")


def _answered(honest: Honest, when: str) -> None:
    goal = {target: count + FEW for target, count in honest.answered.items()}
    try:
        until(lambda: all(honest.answered[target] >= count for target, count in goal.items()), "", timeout=PATIENCE)
    except AssertionError as error:
        told = [what for _, what in honest.lost[-5:]]
        raise AssertionError(
            f"no answers {when} the fault: {honest.answered}, {honest.refused} refused, {told}"
        ) from error


def new_town(disk: Path, words: Path) -> Town:
    """A mesh on an empty disk, whose processes speak to files in a folder of its own in `words`."""
    mine = words / f"{sum(1 for _ in words.iterdir())}"
    mine.mkdir()
    return Town(disk, mine)
