"""The process a gateway lives in: a lean one, which has loaded neither the command line nor the configuration's parser.

    python -m meshctl.control.process <read the options from this descriptor> <tell of being ready on this one>

The command that starts it has checked and applied the configuration; this only serves what the store has.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import signal
import sys
from pathlib import Path
from typing import Final

import msgspec

from meshctl import clock
from meshctl.control.handover import Teller, given
from meshctl.errors import MeshError
from meshctl.model.mesh import Listener
from meshctl.model.views import ProxyRecord
from meshctl.store.home import Home

ID: Final = "gateway"


class Options(msgspec.Struct, frozen=True):
    """What the process is told."""

    home: str
    source: str = ""
    routes: tuple[str, ...] = ()
    listen: tuple[Listener, ...] = ()
    workers: int | None = None
    admin: str | None = None
    log: str = ""
    lock: int = -1
    """The descriptor of the home's lock, which whoever starts the process has taken."""


def main(options: Options, teller: Teller) -> int:
    """Serve until stopped; the exit status. Tells that it is ready, or why it is not."""
    try:
        return _serve(options, teller)
    except MeshError as error:
        teller.failed(error)
        return error.exit_status


def _serve(options: Options, teller: Teller) -> int:
    from meshctl.control.admin import Admin
    from meshctl.control.discovery import machine
    from meshctl.control.roles import GatewayRole
    from meshctl.control.supervisor import Supervisor
    from meshctl.observe import log
    from meshctl.proxy import worker  # noqa: F401 - loaded once here, and shared by all workers that are forked
    from meshctl.store.sqlite import SqliteStore

    home = Home(Path(options.home))
    _sign(options.lock)
    log.configure()
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    record = ProxyRecord(
        id=ID,
        role="gateway",
        pid=os.getpid(),
        started=clock.wall(),
        socket=str(home.socket(f"{ID}.sock")),
        source=options.source,
        routes=options.routes,
        log=options.log,
        machine=machine(),
        service=ID,
    )
    supervisor = Supervisor(
        loop, home, SqliteStore(home.database), record, GatewayRole(options.listen, options.workers, options.admin)
    )
    admin = Admin(supervisor)
    supervisor.on_begin = admin.open
    supervisor.on_ready = teller.ready
    try:
        return supervisor.run()
    finally:
        # It ends already; an impatient signal from here on would only spoil the exit status.
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)
        admin.close()
        supervisor.store.close()
        os.close(options.lock)


def take_lock(home: Home) -> int:
    """Hold the home's gateway lock as long as the descriptor is open anywhere; the kernel lets go of it even after
    kill -9. Taken before anything is applied, so that of two gateways only one has a say. Raises MeshError
    already_running."""
    path = home.path / f"{ID}.lock"
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        holder = os.read(handle, 32).decode("ascii", "replace").strip()
        os.close(handle)
        raise MeshError(
            "already_running",
            f"a gateway already runs in {home.path}" + (f" (process {holder})" if holder else ""),
            hint="stop it with `meshctl gateway down`, or give this one a home of its own with --home DIR",
        ) from error
    # Who held it before need not be who will: that one signs when it begins.
    os.truncate(handle, 0)
    return handle


def _sign(lock: int) -> None:
    os.set_inheritable(lock, False)
    os.pwrite(lock, b"%d\n" % os.getpid(), 0)


if __name__ == "__main__":
    sys.exit(main(*given(Options)))
