"""What `meshctl demo` plays on: the services' and the gateway's processes, in a temporary home, from birth to end.

Every process ends with the stage; after a kill -9 too: the services watch their stdin, and Linux tells the gateway."""

from __future__ import annotations

import ctypes
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from threading import Event
from types import TracebackType
from typing import Any, Final

from meshctl import clock
from meshctl.cli.demo_mesh import demo_mesh
from meshctl.errors import MeshError
from meshctl.model.views import ProxyRecord

SERVICES: Final = (("web", "v1"), ("orders", "v1"), ("orders", "v2"))
_READY_WITHIN: Final = 30.0
_END_WITHIN: Final = 10.0
_LOOK: Final = 0.05
_PR_SET_PDEATHSIG: Final = 1
# Loaded before any fork: a child between fork and exec must not load libraries.
_LIBC: Final = ctypes.CDLL(None) if sys.platform == "linux" else None


class Stage:
    """The demo's processes and files; a context manager that leaves nothing behind."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="meshctl-demo-")
        self.folder = Path(self._folder.name)
        self.home = self.folder / "home"
        self.file = self.folder / "mesh.toml"
        self.url = ""
        self.record: ProxyRecord | None = None
        self._pause = Event()
        self._services: list[subprocess.Popen[str]] = []
        self._gateway: subprocess.Popen[bytes] | None = None

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
        """Raises MeshError where a process of the demo has ended."""
        for process in (*self._services, self._gateway):
            if process is not None and process.poll() is not None:
                raise MeshError("failed", f"a process of the demo ended by itself (status {process.returncode})")

    def _start(self) -> None:
        for name, version in SERVICES:
            command = [sys.executable, "-m", "meshctl.cli.demo_services", name, version]
            self._services.append(_popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))
        ports = {
            f"{name}_{version}": _port_of(service)
            for (name, version), service in zip(SERVICES, self._services, strict=True)
        }
        listen = _listen_port()
        try:
            self.record = self._start_gateway(listen, ports)
        except MeshError:
            # Between looking and listening somebody may have taken the port; that any is free is certain.
            if listen == 0:
                raise
            self.record = self._start_gateway(0, ports)
        self.url = self.record.listeners[0].url.rstrip("/")

    def _start_gateway(self, listen: int, ports: Mapping[str, int]) -> ProxyRecord:
        self.file.write_text(demo_mesh(self.folder, self.home, listen, ports), encoding="utf-8")
        command = [sys.executable, "-m", "meshctl", "gateway", "up", "-c", str(self.file), "--home", str(self.home)]
        with (self.folder / "gateway.log").open("wb") as log:
            self._gateway = _popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, preexec_fn=_end_with_parent
            )
        return self._await_ready(self._gateway)

    def _await_ready(self, gateway: subprocess.Popen[bytes]) -> ProxyRecord:
        deadline = clock.monotonic() + _READY_WITHIN
        while clock.monotonic() < deadline:
            if gateway.poll() is not None:
                break
            record = _ready_record(self.home)
            if record is not None:
                return record
            self._pause.wait(_LOOK)
        said = (self.folder / "gateway.log").read_text(errors="replace").strip()
        raise MeshError("failed", f"the demo's gateway did not start: {said[-2000:] or 'it said nothing'}")

    def _end(self) -> None:
        """End the gateway first, so that it sees no service vanish, and then the services by closing their stdin."""
        if self._gateway is not None:
            _stop(self._gateway)
        for service in self._services:
            for pipe in (service.stdin, service.stdout):
                if pipe is not None:
                    pipe.close()
        for service in self._services:
            _stop(service)
        self._folder.cleanup()


def _popen(command: Sequence[str], **how: Any) -> subprocess.Popen[Any]:
    # A session of its own: Ctrl-C reaches the demo alone, which then ends everything in order.
    return subprocess.Popen(command, start_new_session=True, **how)  # noqa: S603 - our own modules


def _stop(process: subprocess.Popen[Any]) -> None:
    if process.poll() is None:
        process.terminate()
    try:
        process.wait(_END_WITHIN)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _port_of(service: subprocess.Popen[str]) -> int:
    assert service.stdout is not None
    line = service.stdout.readline()
    if not line.strip().isdigit():
        raise MeshError("failed", "a service of the demo did not start", hint="MESHCTL_DEBUG=1 shows more")
    return int(line)


def _listen_port() -> int:
    """8080 where it is free, because it is easy to type; else 0, for any port."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", 8080))
        except OSError:
            return 0
    return 8080


def _ready_record(home: Path) -> ProxyRecord | None:
    """The record of the gateway in `home`, once its admin socket says that it is ready."""
    from meshctl.control.acks import proxies
    from meshctl.control.client import ask
    from meshctl.store.home import Home
    from meshctl.store.sqlite import SqliteStore

    database = Home(home).database
    if not database.exists():
        return None
    store = SqliteStore(database)
    try:
        for record in proxies(store):
            ask(record, "GET", "/readyz")
            if record.listeners:
                return record
    except MeshError:
        # It is still on its way; the caller has the deadline.
        return None
    finally:
        store.close()
    return None


def _end_with_parent() -> None:
    """In the child, before exec: have Linux end it when the demo dies, however that happens (prctl(2))."""
    if _LIBC is not None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
