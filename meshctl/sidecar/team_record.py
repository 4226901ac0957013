"""What `meshctl up` has started in a home, for `meshctl down`, another `up`, and whoever cleans up after a kill -9.

The lock says whether an `up` runs: the kernel lets go of it however that ends. The file beside it names the processes,
each with the moment it was born: its number may be somebody else's by now.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Final, Protocol

import msgspec

from meshctl.control.discovery import machine
from meshctl.errors import MeshError
from meshctl.model.service import Service
from meshctl.sidecar.team_plan import OWN, Plan
from meshctl.store.home import Home, write_private

_LOCK: Final = "up.lock"
_FILE: Final = "up.json"


class Started(msgspec.Struct, frozen=True):
    """A process that was started, and `born` when."""

    name: str
    pid: int
    born: str

    @property
    def is_running(self) -> bool:
        """Whether it still is this process, and has not ended."""
        return born(self.pid) == self.born


class Contents(msgspec.Struct, frozen=True):
    """The file: the process of `up` itself and those of its members, in the order of their start."""

    machine: str
    up: Started
    members: tuple[Started, ...] = ()
    services: tuple[Service, ...] = ()
    """What it was started to run, as mesh.toml had it then."""
    has_all: bool = False
    """Whether that is all that there was."""

    @property
    def left(self) -> list[Started]:
        """The members that still run."""
        return [each for each in self.members if each.is_running]


class _Member(Protocol):
    name: str

    @property
    def pid(self) -> int: ...


class Record:
    """The record of this process, which runs a team as planned."""

    def __init__(self, home: Home, plan: Plan) -> None:
        self._path = home.path / _FILE
        self._plan = plan
        self._own = Started(OWN, os.getpid(), born(os.getpid()))
        self.write(())

    def __repr__(self) -> str:
        return f"<Record {self._path}>"

    def write(self, members: Iterable[_Member]) -> None:
        """Note whose processes there are now."""
        started = tuple(Started(each.name, each.pid, born(each.pid)) for each in members if each.pid)
        contents = Contents(machine(), self._own, started, self._plan.services, self._plan.has_all)
        try:
            write_private(self._path, msgspec.json.encode(contents))
        except MeshError:
            pass  # A full disk is no reason to stop: it only makes cleaning up harder.

    def close(self) -> None:
        """Nothing is left."""
        self._path.unlink(missing_ok=True)


def read(home: Home) -> Contents | None:
    """What the last `up` in this home has started, unless all of it has ended in order."""
    try:
        return msgspec.json.decode((home.path / _FILE).read_bytes(), type=Contents)
    except (FileNotFoundError, msgspec.DecodeError):
        return None


def take_lock(home: Home) -> int:
    """Be the one who runs a team in this home, as long as the descriptor is open. Raises MeshError already_running."""
    handle = os.open(home.path / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(handle)
        found = read(home)
        holder = f" (process {found.up.pid})" if found else ""
        hint = "end it with `meshctl down`, or give this one a home of its own with --home DIR"
        raise MeshError("already_running", f"`meshctl up` already runs in {home.path}{holder}", hint=hint) from error
    return handle


def forget(home: Home) -> None:
    """What the record named has ended."""
    (home.path / _FILE).unlink(missing_ok=True)


def born(pid: int) -> str:
    """What tells this process from any other that ever has its number; "" where there is none, or it is a zombie."""
    try:
        # The name stands in parentheses and may hold anything, parentheses too (proc(5)).
        fields = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
    except ProcessLookupError:
        return ""
    except FileNotFoundError:
        return "" if Path("/proc/self/stat").exists() else _born(pid)
    return "" if fields[0] in "ZX" else fields[19]


def _born(pid: int) -> str:
    """The same where there is no /proc."""
    import psutil

    try:
        process = psutil.Process(pid)
        return "" if process.status() == psutil.STATUS_ZOMBIE else str(process.create_time())
    except psutil.NoSuchProcess:
        return ""
