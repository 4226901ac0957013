"""A team as a process: a mesh.toml in a folder of its own, run by `meshctl up`, looked at through what it shows."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import psutil

from meshctl.control.acks import proxies
from meshctl.sidecar.followers import until_seen
from meshctl.sidecar.team_record import read
from meshctl.store.home import Home
from meshctl.store.sqlite import SqliteStore

from .gateway import Ended, is_alive, meshctl, meshctl_process
from .waiting import until

APP = Path(__file__).with_name("wrapped_app.py")
RUN = f"{sys.executable} {APP}"
"""The command line of the app."""

_ROW = re.compile(
    r"^(?P<service>\S+) +(?P<version>\S+) +(?P<state>ready|late|ended) +"
    r"(?P<pid>\d+) +(?P<app>\d+|–)  (?P<listens>\S+)$",
    re.MULTILINE,
)


class Team:
    """A running `meshctl up`. What it shows goes to the file `out`, what it says of itself to `err`."""

    def __init__(self, folder: Path, text: str, *arguments: object, **options: Any) -> None:
        self.folder = folder / "shop"
        self.folder.mkdir(exist_ok=True)
        self.home = folder / "home"
        self.file = self.folder / "mesh.toml"
        self.file.write_text(text)
        self.out, self.err = folder / "out", folder / "err"
        self._everyone: set[int] = set()
        with self.out.open("wb") as out, self.err.open("wb") as err:
            given = {"stdout": out, "stderr": err, "start_new_session": True} | options
            self.process = meshctl_process(self.home, "up", "-c", self.file, *arguments, **given)

    def __repr__(self) -> str:
        return f"<Team process {self.process.pid}>"

    # its life

    def until_ready(self) -> Team:
        """Return when everything runs."""

        def said() -> bool:
            assert self.process.poll() is None, f"ended with {self.process.returncode}: {self.said()}"
            return bool(
                re.search("^meshctl up: .*runs on revision", self.err.read_text(), re.MULTILINE) and self.rows()
            )

        until(said, "everything to run", timeout=90)
        self.processes()
        self.until_known()
        return self

    def until_known(self) -> None:
        """Return when all proxies know of all apps there are, or answer to nobody for ten seconds: `up` does not wait
        for them that long."""
        with closing(SqliteStore(self.home / "mesh.db")) as store:
            asyncio.run(until_seen(store, store.revision(), proxies(store), 10.0))

    def end(self, number: signal.Signals = signal.SIGINT) -> int:
        """End it as Ctrl-C does, or as a service manager; its exit status."""
        self.processes()
        self.process.send_signal(number)
        return self.process.wait(60)

    def wait(self) -> int:
        """Its exit status, when it ends by itself."""
        return self.process.wait(90)

    def check(self) -> None:
        """It ends with 0 and leaves nothing."""
        assert self.end() == 0, self.said()
        self.until_gone()

    def until_gone(self) -> None:
        """Return when nothing of it runs any more, and nothing is known of it."""
        until(lambda: not any(map(is_alive, self._everyone)), "all processes to be gone")

    def kill(self) -> None:
        """End all of it at once, by process ids."""
        everyone = {self.process.pid, *self._everyone, *self.processes()}
        found = read(Home(self.home))
        if found is not None and found.up.is_running:  # in the background
            everyone.add(found.up.pid)
            with contextlib.suppress(psutil.NoSuchProcess):
                everyone.update(each.pid for each in psutil.Process(found.up.pid).children(recursive=True))
        for pid in everyone:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()

    def processes(self) -> list[int]:
        """All processes there are of it now, without the first."""
        with contextlib.suppress(psutil.NoSuchProcess):
            found = [each.pid for each in psutil.Process(self.process.pid).children(recursive=True)]
            self._everyone.update(found)
            return found
        return []

    # what it shows

    def said(self) -> str:
        """All of it."""
        return f"{self.shown()}\n--\n{self.err.read_text(errors='replace')}"

    def shown(self) -> str:
        """What came out on stdout."""
        return self.out.read_text(errors="replace")

    def lines(self, name: str) -> list[str]:
        """What one member wrote."""
        found = re.findall(rf"^{re.escape(name)} +[|!] ?(.*)$", self.shown(), re.MULTILINE)
        return [str(each) for each in found]

    def told(self, name: str = "meshctl") -> list[str]:
        """What was said about a member, or about all."""
        found = re.findall(rf"^{re.escape(name)} +\* (.*)$", self.err.read_text(errors="replace"), re.MULTILINE)
        return [str(each) for each in found]

    def until_told(self, name: str, text: str) -> str:
        """What was said about a member that has `text` in it."""
        return until(
            lambda: next((each for each in self.told(name) if text in each), ""), f"{name}: {text}", timeout=60
        )

    def rows(self) -> dict[str, dict[str, str]]:
        """The table, by service and version."""
        found = [each.groupdict() for each in _ROW.finditer(self.shown())]
        return {f"{row['service']} {row['version']}".removesuffix(" –").removesuffix(" default"): row for row in found}

    @property
    def url(self) -> str:
        """The gateway's."""
        return self.rows()["gateway"]["listens"]

    # what it knows

    def record(self) -> dict[str, int]:
        """The processes of its members now, by name."""
        found = read(Home(self.home))
        return {each.name: each.pid for each in found.members} if found else {}

    def meshctl(self, *arguments: object) -> Ended:
        """Run another command in the same home."""
        return meshctl(self.home, *arguments)
