"""`gateway up`: apply what was asked for, then become, or start, the lean process that serves it (`process`).

In the foreground the command's process is replaced (exec), so that Ctrl-C, the exit status and the memory are the
gateway's own; a short-lived child of it waits for the word that it is ready and tells it.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import NoReturn

import msgspec

from meshctl.control.process import Failure, Options, Ready, Word, take_lock
from meshctl.errors import MeshError
from meshctl.model.views import ProxyView
from meshctl.store.home import Home


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
    source, tell, listen = _pipes(told)
    if os.fork() == 0:
        # Twice, so that nobody has to reap it.
        if os.fork() == 0:
            os.close(tell)
            os.close(told.lock)
            _announce(listen, on_ready, on_error)
        os._exit(0)
    os.wait()
    os.close(listen)
    for handle in (source, tell, told.lock):
        os.set_inheritable(handle, True)
    os.execv(sys.executable, _command(source, tell))  # noqa: S606 - ourselves, without a shell


def up_detached(options: GatewayOptions, warn: Callable[[str], None]) -> ProxyView:
    """Apply, start the gateway in the background and return when it is ready. Raises MeshError where it does not get
    so far."""
    log = options.home.logs / "gateway.log"
    told = _prepare(options, warn, log=str(log))
    source, tell, listen = _pipes(told)
    handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    try:
        child = subprocess.Popen(  # noqa: S603 - ourselves
            _command(source, tell),
            stdin=subprocess.DEVNULL,
            stdout=handle,
            stderr=handle,
            pass_fds=(source, tell, told.lock),
            start_new_session=True,
        )
    finally:
        for each in (source, tell, handle, told.lock):
            os.close(each)
    word = _hear(listen)
    if isinstance(word, Ready):
        # It outlives this process, so nobody here will wait for it.
        child.returncode = 0
        return word.view
    child.wait()
    if word is None:
        raise MeshError("failed", "the gateway ended before it was ready", hint=f"see {log}")
    raise MeshError(word.code, word.message, hint=word.hint)


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


def _command(source: int, tell: int) -> list[str]:
    return [sys.executable, "-m", "meshctl.control.process", str(source), str(tell)]


def _pipes(options: Options) -> tuple[int, int, int]:
    """Descriptors: one to read the options from, one to tell on, and its other end. The options never stand on a
    command line, where other users could read them."""
    content = msgspec.json.encode(options)
    handle = os.memfd_create("meshctl-options") if hasattr(os, "memfd_create") else _unnamed_file()
    os.write(handle, content)
    os.lseek(handle, 0, os.SEEK_SET)
    listen, tell = os.pipe()
    return handle, tell, listen


def _unnamed_file() -> int:
    import tempfile

    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())


def _hear(listen: int) -> Word | None:
    """The process's word; None where it ended without one."""
    with os.fdopen(listen, "rb") as file:
        said = file.readline()
    return msgspec.json.decode(said, type=Word) if said else None


def _announce(listen: int, on_ready: Callable[[ProxyView], None], on_error: Callable[[MeshError], None]) -> None:
    # Open until this process ends: a gateway that failed waits for that, so that its error comes before the prompt.
    os.dup(listen)
    word = _hear(listen)
    if isinstance(word, Ready):
        on_ready(word.view)
    elif isinstance(word, Failure):
        on_error(MeshError(word.code, word.message, hint=word.hint))
