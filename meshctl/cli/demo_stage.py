"""What `meshctl demo` plays on: a shop run as `meshctl up` runs any, in a temporary home, from birth to end.

Every process ends with the stage; after a kill -9 of the demo too, because Linux tells the team, and it all others.
"""

from __future__ import annotations

import socket
import subprocess
import tempfile
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Final

from meshctl.cli.demo_mesh import demo_mesh
from meshctl.errors import MeshError
from meshctl.model.names import GATEWAY
from meshctl.model.views import ProxyRecord

if TYPE_CHECKING:
    from meshctl.model.registration import Registration
    from meshctl.sidecar.team_plan import TeamView

_END_WITHIN: Final = 15.0
_HURRY_WITHIN: Final = 5.0
_TAIL: Final = 2000


class Stage:
    """The demo's processes and files; a context manager that leaves nothing behind."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="meshctl-demo-")
        self.folder = Path(self._folder.name)
        self.home = self.folder / "home"
        self.file = self.folder / "mesh.toml"
        self.log = self.folder / "up.log"
        self.url = ""
        self._team: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Stage:
        try:
            self._start()
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    def check(self) -> None:
        """Raises MeshError where the team has ended."""
        if self._team is not None and self._team.poll() is not None:
            said = self.log.read_text(errors="replace").strip()
            raise MeshError("failed", f"the demo ended by itself (status {self._team.returncode}): {said[-_TAIL:]}")

    def proxies(self) -> tuple[list[ProxyRecord], Sequence[Registration]]:
        """The proxies that run, and where those among them that are sidecars take mutual TLS."""
        from meshctl.control.acks import proxies
        from meshctl.control.discovery import registrations
        from meshctl.store.home import Home
        from meshctl.store.sqlite import SqliteStore

        with closing(SqliteStore(Home(self.home).database)) as store:
            return proxies(store), registrations(store)

    def _start(self) -> None:
        port = _listen_port()
        try:
            view = self._start_team(port)
        except MeshError as error:
            # Between looking and listening somebody may have taken the port; that any is free is certain.
            if port == 0 or error.code != "address_in_use":
                raise
            view = self._start_team(0)
        self.url = next(row.address for row in view.rows if row.service == GATEWAY).rstrip("/")

    def _start_team(self, port: int) -> TeamView:
        from meshctl.control.handover import hear
        from meshctl.sidecar.team_plan import TeamView
        from meshctl.sidecar.team_starting import UpOptions, up_beneath
        from meshctl.store.home import open_home

        self.file.write_text(demo_mesh(self.folder, port), encoding="utf-8")
        options = UpOptions(open_home(self.home), self.file)
        with self.log.open("wb") as log:
            self._team, listen = up_beneath(options, lambda _: None, log.fileno())
        return hear(self._team, listen, TeamView, self.log)

    def _end(self) -> None:
        if self._team is not None:
            for seconds in (_END_WITHIN, _HURRY_WITHIN):
                self._team.terminate()
                try:
                    self._team.wait(seconds)
                    break
                except subprocess.TimeoutExpired:
                    continue
            else:
                self._team.kill()
                self._team.wait()
        self._folder.cleanup()


def _listen_port() -> int:
    """8080 where it is free, because it is easy to type; else 0, for any port."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", 8080))
        except OSError:
            return 0
    return 8080
