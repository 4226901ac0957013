"""Who of a team is there: what each member's process and the store say of it, and whose time is up.

Starts and ends nobody.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from meshctl import clock
from meshctl.control.acks import proxies
from meshctl.control.discovery import registrations
from meshctl.core.start_order import may_end, may_start, waiting
from meshctl.errors import MeshError
from meshctl.model.names import GATEWAY
from meshctl.model.views import AppView
from meshctl.sidecar.team_member import Member
from meshctl.sidecar.team_plan import Plan, Row
from meshctl.store.protocol import Store

_PROXY_PATIENCE: Final = 60.0
"""Seconds that a process has until it starts its program."""
_LAST_WORD: Final = 2.0
"""Seconds in which a wrapper whose own clock has run out says what is wrong."""


class Roll:
    """The members of a team, by service."""

    def __init__(self, plan: Plan, members: Iterable[Member], store: Store) -> None:
        self._plan = plan
        self._members: dict[str, list[Member]] = {}
        for member in members:
            self._members.setdefault(member.seat.service, []).append(member)
        self._services = {service.name: service for service in plan.services}
        self._after = {name: service.after for name, service in self._services.items()}
        self._store = store
        self._watch = store.watch()
        self._began = clock.monotonic()
        self._apps: dict[int, AppView] = {}
        self._registered: set[int] = set()
        self._elsewhere: set[str] = set()  # services that have endpoints, whoever runs them
        self.see(at_once=True)

    def __repr__(self) -> str:
        return f"<Roll of {', '.join(map(repr, self))}>"

    def __iter__(self) -> Iterator[Member]:
        return (member for members in self._members.values() for member in members)

    def see(self, *, at_once: bool = False) -> None:
        """Take notice of what the store has, where that has changed, or `at_once`."""
        try:
            if not self._watch.changed() and not at_once:
                return
            registered = registrations(self._store)
            self._apps = {each.pid: each.app for each in proxies(self._store) if each.app is not None}
        except MeshError:
            return  # It is looked again soon; whoever waits has a deadline.
        self._elsewhere = {each.service for each in registered}
        self._registered = {each.pid for each in registered}

    def arrived(self) -> Iterator[Member]:
        """The members that take requests, and are not known to."""
        for member in self:
            is_there = member.view is not None if member.seat.command is None else member.pid in self._registered
            if member.state in ("starting", "late") and is_there:
                yield member

    def due_to_start(self) -> Iterator[Member]:
        """The members that wait for nobody any more."""
        yield from (member for member in self._members.get(GATEWAY, ()) if member.state == "waiting")
        for name in may_start(self._after, self._begun(), self._ready()):
            yield from self._members.get(name, ())

    def due_to_end(self) -> Iterator[Member]:
        """The members that nobody needs any more who still runs. Everybody is needed by the gateway."""
        order = {GATEWAY: tuple(self._members), **self._after}
        running = [name for name, members in self._members.items() if any(each.is_running for each in members)]
        for name in may_end(order, running):
            yield from (member for member in self._members[name] if member.is_running)

    def overdue(self) -> Iterator[tuple[Member, str]]:
        """The members that run and take no requests, though they had the time, while nobody waits for them; and why.
        Raises MeshError for one that others wait for, or that does not even run."""
        now = clock.monotonic()
        waits = {awaited: who for who, awaited in waiting(self._after, self._begun(), self._ready())}
        for name, who in waits.items():
            if name not in self._members and now - self._began > self._plan.patience:
                hint = f"it has no command: wrap it with `meshctl sidecar wrap --service {name} -- …`"
                raise MeshError("failed", f"{who} waits for {name}, which nobody has started", hint=hint)
        for member in self:
            if member.state in ("starting", "restarting"):
                over = now - member.since - self._plan.patience if member.since else member.ran - _PROXY_PATIENCE
                why = self._why(member, over)
                if why and (member.seat.service in waits or not self._runs(member)):
                    raise self._too_late(member, waits.get(member.seat.service, ""), why)
                if why:
                    yield member, why

    def rows(self) -> Iterator[Row]:
        """All of them as people see them."""
        for member in self:
            app = self._apps.get(member.pid)
            listens = member.view.listeners if member.view else ()
            urls = "  ".join(each.shown for each in listens if each.entry == GATEWAY)
            address = f"127.0.0.1:{app.port}" if app else urls
            yield Row(
                member.seat.service, member.seat.version, member.state, member.pid, app.pid if app else 0, address
            )

    # the rest is private

    def _begun(self) -> list[str]:
        return [name for name, members in self._members.items() if any(each.state != "waiting" for each in members)]

    def _ready(self) -> list[str]:
        """The services that those who are after them may count on."""
        return [name for name in self._services if self._is_ready(name)]

    def _is_ready(self, name: str) -> bool:
        if members := self._members.get(name):
            return all(each.state == "ready" or (each.state == "ended" and not each.code) for each in members)
        # Without a command, it is somebody else's to start.
        return self._services[name].has_endpoints or name in self._elsewhere

    def _runs(self, member: Member) -> bool:
        """Whether its program has been there all the time."""
        app = self._apps.get(member.pid)
        return app is not None and not app.restarts and app.state != "restarting"

    def _why(self, member: Member, over: float) -> str:
        """Why its time, which has been `over` for so many seconds, is up; "" where it is not, or that is not known
        yet: its wrapper has a clock of its own."""
        app = self._apps.get(member.pid)
        if over < 0:
            return ""
        if member.state == "restarting":
            return f"its process ended with {member.code}"
        if app is not None and app.restarts:
            return f"it has been started {app.restarts + 1} times, and last ended with {app.code}"
        if app is not None and app.problem:
            return app.problem
        return "it is not ready" if over > _LAST_WORD else ""

    def _too_late(self, member: Member, who: str, why: str) -> MeshError:
        text = f"{member.name} takes no requests after {self._plan.patience:g} s: {why}"
        hint = "have it listen on $PORT, or say with `port` where it does; --timeout gives it longer"
        app = self._apps.get(member.pid)
        if member.state == "restarting" or (app is not None and app.restarts):
            hint = "what it said is above"
        return MeshError("failed", f"{who} waits, but {text}" if who else text, hint=hint)
