"""`meshctl up` and `down`: apply and plan, then become, or start, the lean process that runs the team; or end it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterable
from contextlib import closing
from pathlib import Path
from typing import Final, NoReturn

import msgspec

from meshctl import clock
from meshctl.control import handover
from meshctl.control.discovery import machine
from meshctl.control.ending import end
from meshctl.core.start_order import selected
from meshctl.errors import MeshError
from meshctl.model.mesh import Mesh
from meshctl.model.names import GATEWAY
from meshctl.sidecar import team_outdated, team_record
from meshctl.sidecar.team_plan import Plan, TeamView
from meshctl.sidecar.team_record import Started
from meshctl.store.home import Home
from meshctl.store.protocol import Store

_PROCESS: Final = "meshctl.sidecar.team_process"
_LEFT: Final = 30.0
"""Seconds that what an earlier `up` left behind gets to end."""

Say = Callable[[str], None]


class UpOptions(msgspec.Struct, frozen=True):
    """`meshctl up` as it was typed."""

    home: Home
    file: Path
    names: tuple[str, ...] = ()
    patience: float = 60.0
    is_coloured: bool = False
    is_quiet: bool = False


def up(
    options: UpOptions, say: Say, on_ready: Callable[[TeamView], None], on_error: Callable[[MeshError], None]
) -> NoReturn:
    """Apply and become the team's process; never returns. `on_ready` or `on_error` is called in a child that then
    ends; the process itself ends with 1 where somebody could not start. Raises MeshError for what is wrong before."""
    plan = prepare(options, say)
    handover.become(_PROCESS, plan, (plan.lock,), TeamView, on_ready, on_error)


def up_detached(options: UpOptions, say: Say) -> TeamView:
    """Apply, start the team in the background and return when it is complete. Raises MeshError where it does not get so
    far; nothing of it is left then."""
    log = options.home.logs / "up.log"
    plan = prepare(options, say, log=str(log))
    return handover.start(_PROCESS, plan, (plan.lock,), TeamView, log)


def up_beneath(options: UpOptions, say: Say, output: int) -> tuple[subprocess.Popen[bytes], int]:
    """Apply and start the team as a child of this process, with which it ends, writing to the descriptor `output`; the
    child, and where its word, with a `TeamView`, is to be heard. Raises MeshError for what is wrong before."""
    plan = prepare(options, say)
    return handover.launch(_PROCESS, plan, (plan.lock,), stdout=output, stderr=output)


def prepare(options: UpOptions, say: Say, *, log: str = "") -> Plan:
    """Check and apply the configuration, and say what is to run. Raises MeshError."""
    from meshctl.config import files

    loaded = files.load(options.file)
    for warning in loaded.warnings:
        say(str(warning))
    named = set(options.names) - {GATEWAY}
    services = selected(loaded.mesh.services, named) if named or not options.names else ()
    lock = _lock(options.home, loaded.mesh)
    try:
        _clear(options.home, say)
        plan = Plan(
            home=str(options.home.path),
            folder=str(options.file.resolve().parent),
            source=str(options.file.resolve()),
            services=services,
            has_all=not options.names,
            patience=options.patience,
            log=log,
            is_coloured=options.is_coloured,
            is_quiet=options.is_quiet,
            lock=lock,
        )
        return _apply(plan, options.home, loaded.mesh, say)
    except BaseException:
        os.close(lock)
        raise


def down(home: Home, timeout: float, say: Say) -> list[str]:
    """End what `up` has started in this home, and nothing else; the names of what was ended. Raises MeshError
    not_running, and failed where something still runs after `timeout` seconds."""
    found = team_record.read(home)
    if found is None:
        hint = "it ends what `meshctl up` has started; `meshctl gateway down` ends a gateway of its own"
        raise MeshError("not_running", f"nothing runs in {home.path} that `meshctl up` has started", hint=hint)
    if found.machine != machine():
        raise MeshError("failed", "`meshctl up` runs on another machine or in another container", hint="end it there")
    deadline = clock.monotonic() + timeout
    names = [each.name for each in found.left]
    if found.up.is_running:
        say(f"ending {', '.join(names) or 'what is about to start'} (process {found.up.pid})")
        _end([found.up], deadline, timeout)
    # Whatever happened to it: what it has started must not outlive it.
    _end((team_record.read(home) or found).left, deadline, timeout)
    team_record.forget(home)
    return names


def _lock(home: Home, mesh: Mesh) -> int:
    """The home's lock. Raises already_running, which says what the one that runs does not run as `mesh` has it."""
    try:
        return team_record.take_lock(home)
    except MeshError as error:
        if names := team_outdated.outdated(home, mesh):
            raise MeshError(error.code, f"{error.message}; {team_outdated.told(names)}", hint=error.hint) from error
        raise


def _apply(plan: Plan, home: Home, mesh: Mesh, say: Say) -> Plan:
    """Make the mesh the current one; the plan, complete."""
    from meshctl.control.apply import apply
    from meshctl.control.who import who
    from meshctl.store.sqlite import SqliteStore

    with closing(SqliteStore(home.database)) as store:
        has_gateway = bool(mesh.routes) and not _serves_already(store, say)
        plan = msgspec.structs.replace(plan, has_gateway=has_gateway)
        if not any(plan.seats):
            hint = 'give a service a `command`, such as command = "python orders.py"'
            raise MeshError("not_found", f"{plan.source} has nothing to run: no route and no command", hint=hint)
        applied = apply(store, mesh, source=plan.source, who=who())
    return msgspec.structs.replace(plan, revision=applied.number)


def _serves_already(store: Store, say: Say) -> bool:
    """Whether somebody runs a gateway in this home: it takes the new revision as any proxy does."""
    from meshctl.control.acks import proxies

    for each in proxies(store):
        if each.role == GATEWAY:
            urls = "  ".join(listener.shown for listener in each.listeners)
            say(f"the gateway that runs already serves the mesh: {urls} (process {each.pid})")
            return True
    return False


def _clear(home: Home, say: Say) -> None:
    """End what an earlier `up` that was killed has left."""
    found = team_record.read(home)
    if found is not None and found.machine == machine() and found.left:
        say(f"ending what an earlier `meshctl up` has left: {', '.join(each.name for each in found.left)}")
        _end(found.left, clock.monotonic() + _LEFT, _LEFT)


def _end(processes: Iterable[Started], deadline: float, timeout: float) -> None:
    for each in processes:
        if each.is_running and not end(each.pid, max(0.0, deadline - clock.monotonic())):
            hint = "it is finishing requests in flight; wait longer with --timeout"
            raise MeshError("failed", f"{each.name} still runs after {timeout:g} s (process {each.pid})", hint=hint)
