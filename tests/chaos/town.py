"""The mesh that is attacked: a gateway with two workers, on a plain and a TLS listener, and three services of two apps
each, with mutual TLS between them. Whatever has died can be started again where it was.
"""

from __future__ import annotations

import os
import re
import struct
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import psutil

from meshctl.control.revisions import pointer
from meshctl.sidecar.ports import choose_port
from meshctl.store.sqlite import SqliteStore
from tests.e2e.gateway import Ended, Gateway, is_alive, meshctl_process
from tests.e2e.sidecar import Wrapped
from tests.e2e.waiting import until

APP = Path(__file__).parents[1] / "e2e" / "wrapped_app.py"
PATIENCE = 90.0
"""Seconds after which a service that is not back counts as lost, on a machine that others use."""
MESH = """
[mesh]
name = "town"
[gateway]
listen = ["127.0.0.1:{plain}", {{ address = "127.0.0.1:{tls}", tls = {{ certificate = "mesh" }} }}]
workers = 2
access_log = "off"
[[routes]]
path = "/orders"
service = "orders"
[[routes]]
path = "/call"
service = "web"
[[routes]]
path = "/"
service = "catalogue"
[services.web]
[services.catalogue]
[services.orders.versions.v1]
weight = 100
[services.orders.versions.v2]
weight = 0
"""
PLACES = (("orders", "v1"), ("orders", "v1"), ("orders", "v2"), ("web", ""), ("web", ""), ("catalogue", ""),
          ("catalogue", ""))  # fmt: skip


class Town:
    """The mesh, with its home in `folder`/home. What its processes say goes to `words`."""

    def __init__(self, folder: Path, words: Path) -> None:
        self.home, self.words = folder / "home", words
        self.ports = [choose_port(), choose_port()]
        self.plain, self.tls = (each.number for each in self.ports)
        self.file = words / "mesh.toml"
        self.write("")
        self.started = 0
        self.applied = 0
        """The last revision that an `apply` has said is there."""
        self.clock = Path(os.environ["CHAOS_CLOCK"])
        self.gateway = self._gateway()
        self.wrapped: list[Wrapped] = []
        try:
            self.gateway.until_ready()
            self.wrapped += (self._wrap(place) for place in range(len(PLACES)))
            for each in self.wrapped:
                each.until_registered()
        except BaseException:
            self.end()
            raise

    def __repr__(self) -> str:
        return f"<Town {self.gateway!r}>"

    def write(self, more: str) -> None:
        """Have mesh.toml end with `more`."""
        self.file.write_text(MESH.format(plain=self.plain, tls=self.tls) + more)

    # its processes

    def _gateway(self) -> Gateway:
        self.started += 1
        return Gateway(self.home, self.words / f"gateway{self.started}", ["-c", self.file])

    def _wrap(self, place: int) -> Wrapped:
        self.started += 1
        service, version = PLACES[place]
        which = ("--service", service, *(("--version", version) if version else ()))
        return Wrapped(self.home, self.words / f"{service}{self.started}", which, (sys.executable, APP))

    def mend(self) -> None:
        """Start again what has died, and wait until all of it is back."""
        if self.gateway.process.poll() is not None:
            # Workers without a supervisor finish what they have, and then give the ports back.
            self.gateway.kill()
            self.gateway = self._gateway()
        self.gateway.until_ready()
        for place, each in enumerate(self.wrapped):
            if each.process.poll() is not None:
                each.kill()
                self.wrapped[place] = self._wrap(place)
        for each in self.wrapped:
            each.until_registered()
        until(lambda: len(self.gateway.workers()) == 2, "two workers", timeout=PATIENCE)

    def sidecar_worker(self, wrapped: Wrapped) -> int:
        """The process of a sidecar that moves the bytes."""

        def found() -> int:
            children = psutil.Process(wrapped.process.pid).children()
            return next((each.pid for each in children if each.pid != wrapped.app and is_alive(each.pid)), 0)

        return until(found, "its worker", timeout=PATIENCE)

    def helpers(self) -> list[int]:
        """The processes that make certificates at this moment."""
        return [each.pid for each in psutil.Process().children(recursive=True) if "issuing" in _command(each)]

    # what is asked of it

    def start(self, *arguments: object) -> subprocess.Popen[bytes]:
        """A command, running."""
        return meshctl_process(self.home, *arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def command(self, *arguments: object) -> Ended:
        """A command that has ended; no command ever ends with a traceback."""
        return self.ended(self.start(*arguments))

    def ended(self, command: subprocess.Popen[bytes]) -> Ended:
        """What became of a command."""
        try:
            out, err = command.communicate(timeout=180)
        finally:
            command.kill()
        found = Ended(command.returncode, out.decode(), err.decode())
        assert "Traceback" not in found.err and "unexpected" not in found.err, found
        return found

    def apply(self) -> Ended:
        """`apply`, which is remembered where it succeeded."""
        found = self.command("apply", "-c", self.file)
        if found.status == 0:
            self.note(found.err + found.out)
        return found

    def apply_changed(self) -> Ended:
        """`apply` of something new."""
        self.write(f'[[routes]]\nname = "n{time.monotonic_ns()}"\npath = "/n"\nservice = "web"\n')
        return self.apply()

    def note(self, said: str) -> None:
        """Remember the revision that a command has said is there."""
        self.applied = max(self.applied, *(int(number) for number in re.findall(r"revision (\d+)", said)), 0)

    def latest(self) -> int:
        """The revision that the store has."""
        with closing(SqliteStore(self.home / "mesh.db")) as store:
            found = pointer(store)
            return found.number if found else 0

    def set_clock(self, seconds: float) -> None:
        """Have all processes read a clock that is ahead by so much."""
        with self.clock.open("r+b") as file:
            file.write(struct.pack("d", seconds))

    def end(self) -> None:
        """End all of it, somehow."""
        for each in (*self.wrapped, self.gateway):
            each.kill()
        for port in self.ports:
            port.release()


def _command(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline()) if is_alive(process.pid) else ""
    except psutil.Error:
        return ""
