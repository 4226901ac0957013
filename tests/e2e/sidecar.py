"""A wrapped app as a process: started by `meshctl sidecar wrap`, asked by the other commands, ended by its id."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import psutil

from meshctl.control.acks import proxies
from meshctl.control.discovery import registrations
from meshctl.model.registration import Registration
from meshctl.sidecar.followers import until_seen
from meshctl.store.sqlite import SqliteStore

from .gateway import is_alive, meshctl_process
from .waiting import until

_READY = re.compile(
    r"meshctl sidecar (?P<id>\S+) ready  \S+ \S+  app :(?P<port>\d+) \(process (?P<app>\d+)\)  (?P<rest>.*)"
)
_FAILURES = re.compile(r"Traceback|^\S+ error   (?P<event>\S+)", re.MULTILINE)


class Wrapped:
    """A running `sidecar wrap`. What the app and its wrapper say goes to the files `out` and `err`."""

    def __init__(
        self,
        home: Path,
        folder: Path,
        arguments: Sequence[object],
        command: Sequence[object],
        before: Sequence[str] = (),
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.home = home
        self.out = folder / "out"
        self.err = folder / "err"
        self.forgiven: set[str] = set()
        """Events of level error that the test provokes."""
        self._found: re.Match[str] | None = None
        with self.out.open("ab") as out, self.err.open("ab") as err:
            words = ("sidecar", "wrap", *arguments, "--", *command)
            self.process = meshctl_process(home, *words, before=before, stdout=out, stderr=err, start_new_session=True)

    def __repr__(self) -> str:
        return f"<Wrapped process {self.process.pid}>"

    # starting and ending

    def until_started(self) -> Wrapped:
        """Return when its proxy serves and its app was started."""

        def said() -> re.Match[str] | None:
            assert self.process.poll() is None, f"ended with {self.process.returncode}: {self.events()}"
            return _READY.search(self.events())

        self._found = until(said, "the sidecar to be ready", timeout=60)
        return self

    def until_registered(self) -> Wrapped:
        """Return when the mesh sends requests to it: all proxies know of it, or answer to nobody for ten seconds."""
        self.until_started()
        until(self.registration, f"{self.id} to be registered", timeout=60)
        with closing(SqliteStore(self.home / "mesh.db")) as store:
            asyncio.run(until_seen(store, store.revision(), proxies(store), 10.0))
        return self

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """End it as a service manager does; its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(60)

    def kill(self) -> None:
        """End the wrapper, its proxy and its app at once, by their process ids."""
        with contextlib.suppress(psutil.NoSuchProcess):
            for each in psutil.Process(self.process.pid).children(recursive=True):
                with contextlib.suppress(psutil.NoSuchProcess):
                    each.kill()
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def check(self) -> None:
        """It ends as its app does when that is asked to, leaves no process behind and told of no failure but those
        forgiven."""
        assert self.process.poll() is None, f"ended with {self.process.returncode}: {self.events()}"
        processes = [each.pid for each in psutil.Process(self.process.pid).children(recursive=True)]
        self.end()
        until(lambda: not any(map(is_alive, processes)), "its processes to be gone")
        failures = {found["event"] or "Traceback" for found in _FAILURES.finditer(self.events())}
        assert failures <= self.forgiven, self.events()

    # what it is

    @property
    def id(self) -> str:
        """The sidecar's name."""
        return self._said()["id"]

    @property
    def port(self) -> int:
        """Where the app listens."""
        return int(self._said()["port"])

    @property
    def app(self) -> int:
        """The app's process."""
        return int(self._said()["app"])

    def address(self, entry: str) -> str:
        """Where a listener of the sidecar is: "proxy", "inbound", "upstream:orders"…"""
        found = re.search(rf"(?:^|  ){re.escape(entry)} (?:\w+://)?(\S+)", self._said()["rest"])
        assert found, self._said()[0]
        return found[1]

    def registration(self) -> Registration | None:
        """What the mesh knows of it."""
        with closing(SqliteStore(self.home / "mesh.db")) as store:
            return next((each for each in registrations(store) if each.proxy == self.id), None)

    def events(self) -> str:
        """What the wrapper, and the app on its stderr, have said."""
        return self.err.read_text(errors="replace")

    def _said(self) -> re.Match[str]:
        assert self._found is not None, "it is not ready yet"
        return self._found
