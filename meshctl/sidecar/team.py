"""The life of a team, `meshctl up`: all that a configuration runs, started and ended in order.

    assemble   each starts when those it is after are ready; who cannot start ends all
    stay       who is killed starts again, who ends by itself is told of
    disband    the gateway first, then each service when nobody that is after it runs

How a process is started, who is ready, and what lines look like is others' business.
"""

from __future__ import annotations

import asyncio
from typing import Final

from meshctl import clock
from meshctl.control.acks import proxies
from meshctl.control.signal_names import signal_name
from meshctl.errors import DONE, FAILED, MeshError
from meshctl.proxy.tasks import rest
from meshctl.sidecar.followers import until_seen
from meshctl.sidecar.team_member import Member
from meshctl.sidecar.team_output import Output
from meshctl.sidecar.team_plan import OWN, Plan, TeamView
from meshctl.sidecar.team_record import Record
from meshctl.sidecar.team_roll import Roll
from meshctl.store.protocol import Store

LOOK_EVERY: Final = 0.05
"""Seconds between two looks at the store while somebody is awaited. A look costs some ten microseconds."""
_SEEN_WITHIN: Final = 3.0
"""Seconds that proxies get to know all others."""
_PATIENCE: Final = 1.5
"""Seconds of ending in silence before it is said who is awaited."""


class Team:
    """See the module. Whoever makes it calls `look` on every SIGCHLD and `end` on what should end it."""

    def __init__(self, plan: Plan, roll: Roll, store: Store, output: Output, record: Record) -> None:
        self._plan = plan
        self._roll = roll
        self._store = store
        self._output = output
        self._record = record
        self._changed = asyncio.Event()
        self._is_complete = False
        self._is_ending = False
        for member in roll:
            member.on_changed = self.look

    def __repr__(self) -> str:
        return (
            f"<Team {'ending' if self._is_ending else 'complete' if self._is_complete else 'starting'}: {self._roll}>"
        )

    def look(self) -> None:
        """Something may have happened."""
        self._changed.set()

    def end(self) -> None:
        """End all in order; a second time: at once."""
        if self._is_ending:
            for member in self._roll:
                member.hurry()
        self._is_ending = True
        self.look()

    # its life

    async def assemble(self) -> TeamView | None:
        """Start all, and return when each is ready or late; None where it was ended before. Raises MeshError where
        somebody cannot start."""
        while not self._is_ending:
            self._take_notice()
            for member, why in self._roll.overdue():
                member.state = "late"
                self._output.warn(member.name, f"runs, but takes no requests: {why}")
            for member in self._roll.due_to_start():
                self._start(member)
            if all(member.state in ("ready", "late", "ended") for member in self._roll):
                return await self._complete()
            await self._something(LOOK_EVERY)
        return None

    async def stay(self) -> int:
        """Return when it is to end, or nothing is left to run; what `meshctl up` ends with."""
        while not self._is_ending:
            self._take_notice()
            if all(member.state == "ended" for member in self._roll):
                return FAILED if any(member.code for member in self._roll) else DONE
            is_awaited = any(member.state in ("starting", "late") for member in self._roll)
            await self._something(LOOK_EVERY if is_awaited else None)
        return DONE

    async def disband(self) -> None:
        """End all; return when nothing runs."""
        self._is_ending = True
        deadline: float | None = clock.monotonic() + _PATIENCE
        while any(member.is_running for member in self._roll):
            for member in self._roll.due_to_end():
                member.ask()
            if deadline is not None and clock.monotonic() > deadline:
                deadline = None
                names = ", ".join(member.name for member in self._roll if member.is_running)
                self._output.say(OWN, f"waiting for {names} to end; Ctrl-C ends all at once")
            await self._something(_PATIENCE if deadline else None)
            for member in self._roll:
                member.reap()

    async def _complete(self) -> TeamView:
        """All are ready: return when they know of each other."""
        self._is_complete = True
        try:
            await until_seen(self._store, self._store.revision(), proxies(self._store), _SEEN_WITHIN)
        except MeshError:
            pass  # They go on with what they have, and so does whoever waits for them.
        self._roll.see(at_once=True)
        unready = tuple(each.name for each in self._roll if each.state == "late" or each.code)
        return TeamView(self._plan.revision, tuple(self._roll.rows()), self._plan.log, unready)

    # what happens to members

    def _take_notice(self) -> None:
        """See who has come and gone."""
        self._roll.see()
        for member in self._roll.arrived():
            member.state = "ready"
            self._output.say(member.name, "is ready")
        for member in self._roll:
            had_begun = member.state != "starting"
            if member.reap():
                self._part(member, had_begun=had_begun)

    def _part(self, member: Member, *, had_begun: bool) -> None:
        """A member's process has ended: its work is done, or there was a mishap. Raises MeshError where it was to start
        for the first time."""
        is_first = not self._is_complete and not member.restarts.count
        if member.failure is not None and is_first:
            raise _no_start(member, member.failure)
        pause = member.restarts.pause(member.code or 0, member.ran) if member.was_killed or member.failure else None
        if pause is not None:
            member.state = "restarting"
            how = member.failure.message if member.failure else f"was killed ({signal_name((member.code or 0) - 128)})"
            self._output.warn(member.name, f"{how}; starts again in {pause:g} s")
            asyncio.get_running_loop().call_later(pause, self._restart, member)
        elif member.code and is_first and not had_begun:
            raise _no_start(member, MeshError("failed", f"it ended with {member.code}", hint="what it said is above"))
        else:
            self._output.warn(member.name, f"has ended with {member.code}")

    def _start(self, member: Member) -> None:
        try:
            member.start()
        except MeshError as error:
            member.fail(error)
            self._part(member, had_begun=False)
        self._record.write(self._roll)

    def _restart(self, member: Member) -> None:
        if not self._is_ending:
            self._start(member)
            self.look()

    async def _something(self, longest: float | None) -> None:
        """Return when something may have happened, or after so many seconds."""
        await rest(self._changed, longest)
        self._changed.clear()


def _no_start(member: Member, error: MeshError) -> MeshError:
    return MeshError(error.code, f"{member.name} could not start: {error.message}", hint=error.hint)
