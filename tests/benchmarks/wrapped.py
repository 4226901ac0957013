"""meshctl sidecars as a stranger would start them: `sidecar wrap` around an app, and around one that only calls it."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from meshctl.config import files
from meshctl.control.apply import apply
from meshctl.control.discovery import registrations
from meshctl.store.home import open_home
from meshctl.store.sqlite import SqliteStore

from . import upstream
from .case import Case, Mesh, free_port
from .enrolment import CALLEE, CALLER, NAME

# Tells its process id, by which the app is left out of what the sidecar uses, and becomes the app.
_TELLING = 'echo $$ >"$0" && exec "$@"'
# An app that opens its port and does nothing else, as one that nobody calls.
_IDLE = (
    sys.executable,
    "-c",
    "import os, signal, socket; s = socket.create_server(('127.0.0.1', int(os.environ['PORT']))); signal.pause()",
)


def configure(case: Case, mesh: Mesh, app_core: int | None) -> list[list[str]]:
    """Apply what both need to know; the commands of the callee's sidecar, with an app on `app_core`, and of the
    caller's."""
    apply_mesh(case, mesh.home)
    caller = wrap(mesh.home, CALLER, case.folder / "caller.pid", _IDLE, f"--upstream={CALLEE}={case.port}")
    return [callee(case, mesh, app_core), caller]


def callee(case: Case, mesh: Mesh, app_core: int | None) -> list[str]:
    """The command of the callee's sidecar alone."""
    folder, port = case.folder / "app", free_port()
    folder.mkdir()
    app = upstream.configure(folder, port)
    if app_core is not None:
        app = ["taskset", "-c", str(app_core), *app]
    return wrap(mesh.home, CALLEE, case.folder / "callee.pid", app, f"--port={port}")


def log_folders(label: str, mesh: Mesh) -> tuple[Path, ...]:
    """Where sidecars log to: the home, since an app's stdout is its own."""
    return (open_home(mesh.home).logs,) if label == "meshctl" else ()


def outsiders(case: Case) -> list[Path]:
    """Files with the process ids of the wrapped commands."""
    return [case.folder / "callee.pid", case.folder / "caller.pid"]


def wrap(home: Path, service: str, told: Path, command: Sequence[str], *options: str) -> list[str]:
    """The command line of a wrapped command that writes its process id to `told`."""
    wrapper = [sys.executable, "-m", "meshctl", "sidecar", "wrap", "--home", str(home), "--service", service]
    return [*wrapper, *options, "--", "sh", "-c", _TELLING, str(told), *command]


def idle(home: Path, service: str, told: Path) -> list[str]:
    """The command line of a wrapped app that nobody calls."""
    return wrap(home, service, told, _IDLE)


def apply_mesh(case: Case, home: Path) -> None:
    """Have sidecars log each request in JSON, as everybody does."""
    path = case.folder / "mesh.toml"
    path.write_text(f"""[mesh]
name = "{NAME}"

[gateway]
access_log = {{ path = "{case.access_log}", format = "json" }}
""")
    with closing(SqliteStore(open_home(home).database)) as store:
        apply(store, files.load(path).mesh, source=str(path), who="the benchmarks")


def inbound_port(home: Path) -> int:
    """The port on which the callee's sidecar takes mutual TLS. Raises LookupError while it has not registered."""
    with closing(SqliteStore(open_home(home).database)) as store:
        found = [each.port for each in registrations(store) if each.service == CALLEE]
    if not found:
        raise LookupError(f"{CALLEE} is not registered")
    return found[0]
