"""Faults of the home's files: removed, full, read-only, damaged. Each says what commands have to answer."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import time
from pathlib import Path

from meshctl.store.home import Home
from tests.e2e.test_disk import fill
from tests.e2e.waiting import until

from .faults import Fault
from .town import PATIENCE, Town


def _full(town: Town, _dice: random.Random) -> None:
    ballast = fill(town.home.parent)
    try:
        refused = town.apply_changed()
        assert refused.status == 1 and ("full" in refused.err or "space" in refused.err), refused
        time.sleep(2)
    finally:
        ballast.unlink()
    assert town.apply().status == 0


def _read_only(town: Town, _dice: random.Random) -> None:
    view = town.words / "view"
    view.mkdir(mode=0o700, exist_ok=True)
    mount = ["mount", "--bind", str(town.home.parent), str(view)]
    subprocess.run(mount, check=True)
    try:
        subprocess.run(["mount", "-o", "remount,bind,ro", str(view)], check=True)
        refused = town.command("--home", view / "home", "apply", "-c", town.file)
        assert refused.status == 1 and "cannot be written" in refused.err, refused
    finally:
        subprocess.run(["umount", "-l", str(view)], check=True)


def _socket(town: Town, _dice: random.Random) -> None:
    run = Home(town.home).run
    for each in run.glob("*.sock"):
        each.unlink()
    until(lambda: town.command("gateway", "status").status == 0, "the gateway to answer again", timeout=PATIENCE)


def _damage(town: Town, how: str, dice: random.Random) -> None:
    database = town.home / "mesh.db"
    match how:
        case "garbage":
            size = database.stat().st_size
            with database.open("r+b") as file:
                for page in range(0, size, 4096):
                    file.seek(page)
                    file.write(dice.randbytes(2000))
        case "truncated":
            os.truncate(database, database.stat().st_size // 3)
        case "empty":
            os.truncate(database, 0)
        case _:
            log = Path(f"{database}-wal")
            with log.open("r+b") as file:
                file.write(dice.randbytes(log.stat().st_size or 4096))
    time.sleep(3)
    refused = town.apply_changed()
    if refused.status:
        assert "damaged" in refused.err or "store" in refused.err, refused
        assert "hint:" in refused.err, refused
    time.sleep(3)


def _deleted(town: Town, _dice: random.Random) -> None:
    shutil.rmtree(town.home)
    time.sleep(3)
    refused = town.command("gateway", "status")
    assert refused.status in {1, 4} and refused.err, refused
    time.sleep(3)


_KEPT = "what was served is served on; commands say what to do"
FILES = (
    Fault("full disk", _full, "apply says so and changes nothing; with space again it succeeds"),
    Fault("read-only home", _read_only, "commands say so"),
    Fault("admin sockets removed", _socket, "they come back"),
    Fault("garbage in the database", lambda town, dice: _damage(town, "garbage", dice), _KEPT, is_fatal=True),
    Fault("database cut", lambda town, dice: _damage(town, "truncated", dice), _KEPT, is_fatal=True),
    Fault("database empty", lambda town, dice: _damage(town, "empty", dice), _KEPT, is_fatal=True),
    Fault("garbage in its log", lambda town, dice: _damage(town, "log", dice), _KEPT, is_fatal=True),
    Fault("home deleted", _deleted, _KEPT, is_fatal=True),
)
