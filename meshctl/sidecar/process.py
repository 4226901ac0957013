"""The process of a wrapper: a lean one, which has loaded neither the command line nor the configuration's parser.

    python -m meshctl.sidecar.process <read the options from this descriptor> <tell of being ready on this one>

It holds the sidecar's proxy, as a supervisor with a worker, and the app, as its child. The command that starts it has
checked what was typed.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec

from meshctl import clock
from meshctl.control.discovery import machine
from meshctl.control.handover import Teller, given
from meshctl.errors import MeshError
from meshctl.model.mesh import Listener
from meshctl.model.views import ProxyRecord
from meshctl.observe.log import Events
from meshctl.sidecar.enclosure import Enclosure, enclose
from meshctl.sidecar.environment import LOOPBACK, Upstream
from meshctl.sidecar.launch import check, ignored_signals
from meshctl.sidecar.ports import Port, check_port, choose_port
from meshctl.sidecar.role import SidecarRole
from meshctl.sidecar.wrapper import Intercept, Place, Wrapper, Wrapping
from meshctl.store.home import Home
from meshctl.store.protocol import Store

KEPT_LOGS: Final = 10
"""Access logs of former runs that are kept, for each version of a service."""


class Options(msgspec.Struct, frozen=True):
    """What the process is told."""

    home: str
    proxy: str
    """The sidecar's id."""
    service: str
    version: str
    wrapping: Wrapping
    port: int = 0
    """Where the app listens; 0 chooses a free port."""
    upstreams: tuple[Upstream, ...] = ()
    gateway: tuple[Listener, ...] = ()
    admin: str | None = None
    is_quiet: bool = False
    folder: str = ""
    """Where the app runs; "" is where the process does."""


def main(options: Options, teller: Teller) -> int:
    """Wrap until the app has ended; the exit status. Tells that the app runs, or why it does not."""
    try:
        return _serve(options, teller)
    except MeshError as error:
        teller.failed(error)
        return error.exit_status


def _serve(options: Options, teller: Teller) -> int:
    from meshctl.control.admin import Admin
    from meshctl.control.supervisor import Supervisor
    from meshctl.observe import log
    from meshctl.proxy import worker  # noqa: F401 - loaded once here, and shared by all workers that are forked
    from meshctl.sidecar.signals import receive
    from meshctl.store.sqlite import SqliteStore

    ignored = ignored_signals()
    home = Home(Path(options.home))
    log.configure(level="error" if options.is_quiet else "info")
    check(options.wrapping.command, os.environ, options.folder)
    port = _port(options.port)
    enclosure = _enclosure(options.wrapping.intercept, port.number)
    access_log = str(home.logs / f"{options.proxy}.log")
    store = SqliteStore(home.database)
    _forget_logs(home.logs, options.proxy, store)
    role = _role(options, port.number, access_log, is_enclosed=enclosure is not None)
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    supervisor = Supervisor(loop, home, store, _record(options, home, access_log), role)
    if enclosure is not None:
        enclosure.watch(loop)
        told, sockets = enclosure.order
        supervisor.fleet.tell(told, standing=True, sockets=sockets)
    wrapper = Wrapper(supervisor, role, options.wrapping, Place(options.home, options.folder, ignored, enclosure))
    admin = Admin(supervisor)

    def on_begin(address: str) -> tuple[str, str]:
        # Only now, because running the supervisor sets handlers of its own.
        receive(loop, wrapper, ignored)
        # The configuration's address is the gateway's, which only one can have; "off" is for all.
        return admin.open(address if options.admin or address == "off" else f"{LOOPBACK}:0")

    supervisor.on_begin = on_begin
    supervisor.on_ready = lambda _view: wrapper.begin(teller)
    supervisor.on_store_changed = wrapper.on_store_changed
    try:
        supervisor.run()
        return wrapper.code
    finally:
        # It ends already; an impatient signal from here on would only spoil the exit status.
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)
        wrapper.close()
        admin.close()
        supervisor.store.close()
        if enclosure is not None:
            enclosure.close()
        port.release()


def _enclosure(wanted: Intercept, port: int) -> Enclosure | None:
    """A network for the app alone. Raises MeshError where it is to have one and cannot."""
    if not wanted:
        return None
    try:
        return enclose(port)
    except MeshError as error:
        if wanted == "required":
            raise
        Events("sidecar").warning("not_intercepted", why=error.message, hint=error.hint)
        return None


def _role(options: Options, port: int, access_log: str, *, is_enclosed: bool) -> SidecarRole:
    return SidecarRole(
        options.service,
        options.version,
        port,
        upstreams=options.upstreams,
        gateway=options.gateway,
        admin=options.admin,
        access_log=access_log,
        is_enclosed=is_enclosed,
    )


def _record(options: Options, home: Home, access_log: str) -> ProxyRecord:
    return ProxyRecord(
        id=options.proxy,
        role="sidecar",
        pid=os.getpid(),
        started=clock.wall(),
        socket=str(home.socket(f"{options.proxy}.sock")),
        log=access_log,
        machine=machine(),
        service=options.service,
        app_version=options.version,
    )


def _port(wanted: int) -> Port:
    if not wanted:
        return choose_port()
    check_port(wanted)
    return Port(wanted)


def _forget_logs(folder: Path, proxy: str, store: Store) -> None:
    """Each run of an app has a log of its own: drop all but the last ones of its service and version that have
    ended."""
    from meshctl.control.acks import proxies

    number = "[0-9a-f]" * 6
    with suppress(OSError, MeshError):
        # Whoever runs is known before it makes its log.
        found = sorted(folder.glob(f"{proxy[:-6]}{number}.log"), key=lambda path: path.stat().st_mtime)
        running = {each.id for each in proxies(store)}
        for each in [each for each in found if each.stem not in running][:-KEPT_LOGS]:
            each.unlink(missing_ok=True)


if __name__ == "__main__":
    sys.exit(main(*given(Options)))
