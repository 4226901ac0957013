"""`gateway up`: apply what was asked for, then become, or start, the lean process that serves it (`process`)."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Final, NoReturn

import msgspec

from meshctl.control import handover
from meshctl.control.process import Options, take_lock
from meshctl.errors import MeshError
from meshctl.model.views import ProxyView
from meshctl.store.home import Home

_PROCESS: Final = "meshctl.control.process"


class GatewayOptions(msgspec.Struct, frozen=True):
    """`gateway up` as it was typed. `workers` 0 is one for each core, None what the configuration says."""

    home: Home
    file: Path | None = None
    routes: tuple[str, ...] = ()
    listen: tuple[str, ...] = ()
    admin: str | None = None
    workers: int | None = None


def up(
    options: GatewayOptions,
    warn: Callable[[str], None],
    on_ready: Callable[[ProxyView], None],
    on_error: Callable[[MeshError], None],
) -> NoReturn:
    """Apply and become the gateway; never returns. `warn` is told of what the configuration makes doubtful; `on_ready`
    or `on_error` is called in a child that then ends; the gateway itself ends with the error's exit status. Raises
    MeshError for what is wrong before that."""
    told = _prepare(options, warn, log="")
    handover.become(_PROCESS, told, (told.lock,), ProxyView, on_ready, on_error)


def up_detached(options: GatewayOptions, warn: Callable[[str], None]) -> ProxyView:
    """Apply, start the gateway in the background and return when it is ready. Raises MeshError where it does not get
    so far."""
    log = options.home.logs / "gateway.log"
    told = _prepare(options, warn, log=str(log))
    return handover.start(_PROCESS, told, (told.lock,), ProxyView, log)


def _prepare(options: GatewayOptions, warn: Callable[[str], None], *, log: str) -> Options:
    """Check and apply the configuration, and say what the process is to do."""
    from meshctl.config import adhoc, files
    from meshctl.control.apply import apply
    from meshctl.control.who import who
    from meshctl.store.sqlite import SqliteStore

    listen = tuple(adhoc.listener(text) for text in options.listen)
    mesh = None
    if options.file:
        loaded = files.load(options.file)
        mesh = loaded.mesh
        for warning in loaded.warnings:
            warn(str(warning))
    if options.routes:
        mesh = adhoc.routes_mesh(options.routes, mesh, folder=str(Path.cwd()))
    source = str(options.file.resolve()) if options.file else ""
    lock = take_lock(options.home)
    try:
        with closing(SqliteStore(options.home.database)) as store:
            if mesh is not None:
                apply(store, mesh, source=source or "routes", who=who())
    except MeshError:
        os.close(lock)
        raise
    return Options(str(options.home.path), source, options.routes, listen, options.workers, options.admin, log, lock)
