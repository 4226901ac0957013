"""The life of a team, `meshctl up`: all that a configuration runs, started and ended in order.

    assemble   each starts when those it is after are ready; who cannot start ends all
    stay       who is killed starts again, who ends by itself is told of
    disband    the gateway first, then each service when nobody that is after it runs

How a process is started, and what its lines look like, is others' business.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterable, Iterator
from typing import Final

from meshctl import clock
from meshctl.control.acks import proxies
from meshctl.control.discovery import registrations
from meshctl.core.start_order import may_end, may_start, waiting
from meshctl.errors import DONE, FAILED, MeshError
from meshctl.model.names import GATEWAY
from meshctl.model.views import AppView
from meshctl.sidecar.team_member import Member
from meshctl.sidecar.team_output import Output
from meshctl.sidecar.team_plan import OWN, Plan, Row, TeamView
from meshctl.sidecar.team_record import Record
from meshctl.store.protocol import Store

LOOK_EVERY: Final = 0.05
"""Seconds between two looks at the store while somebody is awaited. A look costs some ten microseconds."""
_PATIENCE: Final = 1.5
"""Seconds of ending in silence before it is said who is awaited."""


class Team:
    """See the module. Whoever makes it calls `look` on every SIGCHLD and `end` on what should end it."""

    def __init__(self, plan: Plan, members: Iterable[Member], store: Store, output: Output, record: Record) -> None:
        self.changed = asyncio.Event()
        self._plan = plan
        self._members: dict[str, list[Member]] = {}  # by service; the gateway is one
        for member in members:
            member.on_changed = self.look
            self._members.setdefault(member.seat.service, []).append(member)
        self._services = {service.name: service for service in plan.services}
        self._after = {name: service.after for name, service in self._services.items()}
        self._store = store
        self._watch = store.watch()
        self._output = output
        self._record = record
        self._apps: dict[int, AppView] = {}
        self._elsewhere: set[str] = set()  # services that somebody else has endpoints of
        self._began = clock.monotonic()
        self._is_ending = False
        self._is_hurried = False
        self._is_complete = False

    def __repr__(self) -> str:
        return f"<Team of {', '.join(map(repr, self._all()))}>"

    def look(self) -> None:
        """Something may have happened."""
        self.changed.set()

    def end(self) -> None:
        """End all in order; a second time: at once."""
        self._is_hurried = self._is_ending
        self._is_ending = True
        self.changed.set()
        if self._is_hurried:
            for member in self._all():
                member.hurry()

    # its life

    async def assemble(self) -> TeamView | None:
        """Start all, and return when each is ready; None where it was ended before. Raises MeshError where somebody
        cannot start."""
        self._see(at_once=True)
        while not self._is_ending:
            self._reap()
            self._see()
            self._check_patience()
            self._start_due()
            if all(member.state in ("ready", "late", "ended") for member in self._all()):
                self._is_complete = True
                return self.view()
            await self._something(LOOK_EVERY)
        return None

    async def stay(self) -> int:
        """Return when it is to end, or nothing is left to run; what `meshctl up` ends with."""
        while not self._is_ending:
            self._reap()
            awaited = [member for member in self._all() if member.state in ("starting", "late")]
            if awaited:
                self._see()
            elif all(member.state == "ended" for member in self._all()):
                return FAILED if any(member.code for member in self._all()) else DONE
            await self._something(LOOK_EVERY if awaited else None)
        return DONE

    async def disband(self) -> None:
        """End all; return when nothing runs."""
        self._is_ending = True
        for member in self._all():
            if member.state == "restarting":
                member.state = "ended"
        order = {GATEWAY: tuple(self._members), **self._after}
        said = False
        deadline = clock.monotonic() + _PATIENCE
        while running := [name for name, members in self._members.items() if any(each.is_running for each in members)]:
            for name in may_end(order, running):
                for member in self._members[name]:
                    if member.is_running:
                        member.ask()
            if not said and clock.monotonic() > deadline:
                said = True
                self._tell_ending()
            await self._something(None if said else _PATIENCE)
            self._reap()

    def view(self) -> TeamView:
        """All members as people see them."""
        self._see(at_once=True)
        return TeamView(self._plan.revision, tuple(self._rows()), self._plan.log)

    # what has happened

    def _see(self, *, at_once: bool = False) -> None:
        """Take notice of what the store has: whose app takes requests, and why others do not."""
        try:
            if not self._watch.changed() and not at_once:
                return
            registered = registrations(self._store)
            self._apps = {each.pid: each.app for each in proxies(self._store) if each.app is not None}
        except MeshError:
            return  # It is looked again soon; whoever waits has a deadline.
        self._elsewhere = {each.service for each in registered}
        pids = {each.pid for each in registered}
        for member in self._all():
            app = self._apps.get(member.pid)
            if member.state in ("starting", "late") and member.pid in pids:
                self._welcome(member)
            elif app is not None:
                member.problem = app.problem

    def _reap(self) -> None:
        for member in self._all():
            if member.state == "starting" and member.seat.command is None and member.view is not None:
                self._welcome(member)
            had_begun = member.state != "starting"
            if member.reap():
                self._part(member, had_begun=had_begun)

    def _welcome(self, member: Member) -> None:
        member.state = "ready"
        member.problem = ""
        if self._is_complete:
            self._output.say(member.name, "takes requests")

    def _part(self, member: Member, *, had_begun: bool) -> None:
        """A member's process has ended: that may be what was asked for, or the job's end, or a mishap."""
        if self._is_ending:
            return
        is_first = not self._is_complete and not member.restarts.count
        if member.failure is not None and is_first:
            raise _no_start(member, member.failure)
        pause = member.restarts.pause(member.code or 0, member.ran) if member.was_killed or member.failure else None
        if pause is not None:
            member.state = "restarting"
            how = member.failure.message if member.failure else f"was killed ({_signal(member.code)})"
            self._output.warn(member.name, f"{how}; starts again in {pause:g} s")
            asyncio.get_running_loop().call_later(pause, self._restart, member)
        elif member.code and is_first and not had_begun:
            raise _no_start(member, MeshError("failed", f"it ended with {member.code}", hint="what it said is above"))
        else:
            self._output.warn(member.name, f"has ended with {member.code}")

    # who starts

    def _start_due(self) -> None:
        ready = [name for name in self._services if self._is_ready(name)]
        begun = [name for name, members in self._members.items() if any(each.state != "waiting" for each in members)]
        due = may_start(self._after, begun, ready)
        for member in [
            *self._members.get(GATEWAY, ()),
            *(each for name in due for each in self._members.get(name, ())),
        ]:
            if member.state == "waiting":
                self._start(member)

    def _start(self, member: Member) -> None:
        try:
            member.start()
        except MeshError as error:
            if not member.restarts.count:
                raise _no_start(member, error) from error
            member.fail(error)
            self._part(member, had_begun=False)
        self._record.write(self._all())

    def _restart(self, member: Member) -> None:
        if member.state == "restarting":
            self._start(member)

    def _is_ready(self, name: str) -> bool:
        """Whether those that are after this service may start."""
        members = self._members.get(name)
        if members:
            return all(member.state == "ready" or (member.state == "ended" and not member.code) for member in members)
        # Without a command, it is somebody else's to start.
        return self._services[name].has_endpoints or name in self._elsewhere

    def _check_patience(self) -> None:
        """Raises MeshError where somebody had all the time there is, and others wait or it does not even run."""
        now = clock.monotonic()
        begun = [name for name, members in self._members.items() if any(each.state != "waiting" for each in members)]
        waits = {
            awaited: name for name, awaited in waiting(self._after, begun, list(filter(self._is_ready, self._services)))
        }
        for name, who in waits.items():
            if name not in self._members and now - self._began > self._plan.patience:
                hint = f"it has no command: wrap it with `meshctl sidecar wrap --service {name} -- …`"
                raise MeshError("failed", f"{who} waits for {name}, which nobody has started", hint=hint)
        for member in self._all():
            if member.state in ("starting", "restarting") and now - member.since > self._plan.patience:
                self._judge(member, waits.get(member.seat.service, ""))

    def _judge(self, member: Member, who: str) -> None:
        app = self._apps.get(member.pid)
        why = member.problem or (f"its process ended with {member.code}" if member.code else "it is not ready")
        if app is not None and (app.restarts or app.state == "restarting"):
            why = f"it was started {app.restarts + 1} times"
        elif app is not None and not who:
            # It runs: a worker that takes no requests is one that nobody has to wait for.
            member.state = "late"
            self._output.warn(member.name, f"runs, but takes no requests: {why}")
            return
        text = f"{member.name} takes no requests after {self._plan.patience:g} s: {why}"
        hint = "have it listen on $PORT, or say with `port` where it does; --timeout gives it longer"
        raise MeshError("failed", f"{who} waits, but {text}" if who else text, hint=hint)

    # the rest is private, too

    async def _something(self, longest: float | None) -> None:
        try:
            async with asyncio.timeout(longest):
                await self.changed.wait()
        except TimeoutError:
            pass
        self.changed.clear()

    def _tell_ending(self) -> None:
        names = ", ".join(member.name for member in self._all() if member.is_running)
        self._output.say(OWN, f"waiting for {names} to end; Ctrl-C ends all at once")

    def _all(self) -> Iterator[Member]:
        return (member for members in self._members.values() for member in members)

    def _rows(self) -> Iterator[Row]:
        for member in self._all():
            app = self._apps.get(member.pid)
            listens = member.view.listeners if member.view else ()
            address = (
                f"127.0.0.1:{app.port}" if app else "  ".join(each.url for each in listens if each.entry == GATEWAY)
            )
            yield Row(
                member.seat.service, member.seat.version, member.state, member.pid, app.pid if app else 0, address
            )


def _no_start(member: Member, error: MeshError) -> MeshError:
    return MeshError(error.code, f"{member.name} could not start: {error.message}", hint=error.hint)


def _signal(code: int | None) -> str:
    return signal.Signals((code or 0) - 128).name
