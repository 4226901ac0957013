"""The life of a wrapped app, in order.

    proxy ready → app started → gate → announced ⋯ withdrawn → seen by all → nothing in flight → app asked → killed
    after a grace → the rest of its group → proxy ends → the app's exit code

The app may also end by itself, and be started again. What each step does is its module's; this has the order alone.
"""

from __future__ import annotations

import asyncio
import os
import signal
from math import inf
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import msgspec

from meshctl import clock
from meshctl.errors import MeshError
from meshctl.model.policy import HealthCheck
from meshctl.observe.log import Events
from meshctl.proxy.messages import Guard
from meshctl.proxy.tasks import rest, spawn
from meshctl.sidecar.child import BY_SIGNAL, GRACE, Child
from meshctl.sidecar.enclosure import Enclosure
from meshctl.sidecar.environment import environment
from meshctl.sidecar.gate import Gate
from meshctl.sidecar.ports import check_port
from meshctl.sidecar.presence import Presence
from meshctl.sidecar.restart import Policy, Restarts
from meshctl.sidecar.signals import KEYBOARD
from meshctl.sidecar.telling import Telling
from meshctl.sidecar.terminal import Terminal

if TYPE_CHECKING:
    from meshctl.control.handover import Teller
    from meshctl.control.supervisor import Supervisor
    from meshctl.sidecar.role import SidecarRole


Intercept = Literal["", "auto", "required"]
"""Not at all; where this machine lets it; or else not start."""


class Wrapping(msgspec.Struct, frozen=True):
    """How an app is to be wrapped. Times are seconds."""

    command: tuple[str, ...]
    restart: Policy = "no"
    grace: float = GRACE
    """Between asking the app to end and killing it."""
    health: str = ""
    """The path of its health check; "" is what the service has, else its port."""
    patience: float = 60.0
    """Until it is said that the app does not take requests; 0 never says so."""
    has_proxy: bool = True
    """Whether the app is told to use its proxy (HTTP_PROXY)."""
    has_trace_hook: bool = True
    """Whether a Python app's calls are joined to the traces of its requests, unless its service says otherwise."""
    intercept: Intercept = ""
    """Whether it gets a network of its own, in which it cannot but go through its proxy."""


class Place(NamedTuple):
    """Where an app runs: the mesh's home, its folder ("" is the wrapper's own), and the signals it is to ignore."""

    home: str
    folder: str = ""
    ignored: frozenset[int] = frozenset()
    enclosure: Enclosure | None = None
    """Its own network, where it has one."""


class Wrapper:
    """See the module. `code` is what the process ends with."""

    def __init__(self, supervisor: Supervisor, role: SidecarRole, wrapping: Wrapping, place: Place) -> None:
        self.code = 0
        self.presence = Presence(supervisor, role)
        self.terminal = Terminal.find(self._on_stuck)
        self._supervisor = supervisor
        self._role = role
        self._wrapping = wrapping
        self._place = place
        self._telling = Telling(supervisor, role, wrapping.command)
        self._restarts = Restarts(wrapping.restart)
        self._child: Child | None = None
        self._ending = 0  # the signal that ends it
        self._asked = 0  # how often the app was asked to end
        enclosure = place.enclosure
        self._inside = enclosure.inside(supervisor.loop) if enclosure is not None else None
        self._hurry = asyncio.Event()  # nothing is waited for any more
        self._is_late = False
        self._events = Events("sidecar")

    def __repr__(self) -> str:
        return f"<Wrapper of {self._child!r}{', ending' if self._ending else ''}>"

    def begin(self, teller: Teller) -> None:
        """The proxy is ready: start the app, and tell when it runs."""
        spawn(self._live(teller), name="app")

    def close(self) -> None:
        """Whatever happened, leave no app behind."""
        if self._child is not None and not self._child.exited.done():
            self._child.kill()
        if self.terminal is not None:
            self.terminal.close()

    # what comes from outside

    def on_ending(self, number: int) -> None:
        """See `signals.Receiver`. The first time all is ended in order; the second time nothing is waited for; then the
        app gets the signal once more, as it would unwrapped; then it is killed."""
        child = self._child
        if self._supervisor.state == "starting" or self._supervisor.fleet.is_stopping:
            self.code = self.code or BY_SIGNAL + number
            self._supervisor.stop()
        elif not self._ending:
            self._ending = number
            spawn(self._end(number), name="end app")
        elif not self._hurry.is_set():
            self._hurry.set()
        elif child is not None and not child.exited.done() and self._asked < 2:
            self._asked += 1
            child.signal(number, everyone=self._is_typed(number))
        elif child is not None:
            child.kill()

    def on_passed(self, number: int) -> None:
        """See `signals.Receiver`."""
        if number == signal.SIGHUP:
            self._supervisor.reopen()
        if self._child is not None and not self._child.exited.done():
            self._child.signal(number, everyone=self._is_typed(number))
        elif number == signal.SIGTSTP and self.terminal is not None:
            self.terminal.suspend()

    def on_continued(self) -> None:
        """See `signals.Receiver`."""
        child = self._child
        if child is None or child.exited.done():
            return
        if self.terminal is not None:
            self.terminal.on_continued(child.pid)
        else:
            child.signal(signal.SIGCONT, everyone=True)

    def on_store_changed(self) -> None:
        """The sidecar may have been drained by command, or put back."""
        if self.presence.follow():
            self._telling.drained(self.presence.is_drained)

    def _on_stopped(self, number: int) -> None:
        child, terminal = self._child, self.terminal
        if child is None or terminal is None:
            return
        # Requests to an app that stands still would only wait.
        self.presence.suspend(number == signal.SIGTSTP)
        terminal.on_stopped(child.pid, number)
        self.presence.suspend(False)

    def _on_stuck(self) -> None:
        self._events.warning("app_waits_for_terminal", hint="it reads from the terminal, which this job cannot have")

    def _is_typed(self, number: int) -> bool:
        """Whether the signal is one of the keyboard's, and we are in front of it."""
        return number in KEYBOARD and self.terminal is not None and self.terminal.is_ours

    # the life of the app

    async def _live(self, teller: Teller) -> None:
        supervisor = self._supervisor
        try:
            while not self._ending:
                pause = await self._run(teller)
                if pause is None or self._ending:
                    break
                self._telling.state("restarting", pid=0, code=self.code)
                self._events.warning("app_restarts", code=self.code, pause=f"{pause:g}s")
                await self._hold(pause)
            else:
                self.code = self.code or BY_SIGNAL + self._ending
        except MeshError as error:
            supervisor.fail(error)
            return
        except Exception as error:
            supervisor.fail(MeshError("failed", f"unexpected {type(error).__name__}: {error}"))
            raise
        self._telling.state("ended", pid=0)
        supervisor.stop()

    async def _run(self, teller: Teller) -> float | None:
        """Run the app once; seconds until it is to run again, None for never. Raises MeshError where it cannot even be
        started for the first time."""
        wrapping, place, fleet, restarts = self._wrapping, self._place, self._supervisor.fleet, self._restarts
        if not self._may_listen():
            self.code = 1
            return restarts.pause(self.code, 0.0)
        child = Child(asyncio.get_running_loop(), self._on_stopped)
        environ = environment(os.environ, self._telling.facts(place.home, wrapping))
        enclosure = place.enclosure
        enter = enclosure.enter if enclosure is not None else None
        try:
            child.start(wrapping.command, environ, place.ignored, place.folder, enter)
        except MeshError as error:
            if not restarts.count:
                raise
            # It ran before: the machine may have room for it again soon, and a file that is replaced is back.
            self._events.error("app_not_started", error=error.message, hint=error.hint)
            self.code = error.exit_status
            return restarts.pause(self.code, 0.0)
        self._child = child
        fleet.tell(Guard(child.pid), standing=True)
        began = clock.monotonic()
        self._telling.state("starting", pid=child.pid, restarts=restarts.count, since=clock.wall())
        if not restarts.count:
            teller.ready(self._supervisor.view())
        gate = spawn(self._pass(), name="gate")
        self.code = await child.exited
        gate.cancel()
        self.presence.close()
        if self.terminal is not None:
            self.terminal.on_ended(child.pid)
        if await child.clear(wrapping.grace):
            self._events.warning("app_left_processes", hint="they were ended with it: it has to outlast them")
        fleet.tell(Guard(0), standing=True)
        return restarts.pause(self.code, clock.monotonic() - began)

    def _may_listen(self) -> bool:
        """Whether nobody else listens where the app is to, at a restart; whoever does may go. Raises MeshError at the
        first start."""
        if self._place.enclosure is not None:
            return True
        try:
            check_port(self._role.app_port)
        except MeshError as error:
            if not self._restarts.count:
                raise
            self._events.error("port_taken", error=error.message)
            return False
        return True

    async def _pass(self) -> None:
        """Announce the app as soon as it takes requests."""
        role = self._role
        gate = Gate(role.app_port, self._check(), self._wrapping.patience or inf, self._on_late, self._inside)
        host = await gate.open()
        if host != role.app_host:
            role.app_host = host
            if refusal := await self._supervisor.changing.renew():
                self._events.error("app_not_served", host=host, reason=refusal)
        self.presence.open()
        if self._is_late or self._restarts.count:
            self._events.info("app_ready", port=role.app_port)
        self._telling.state("drained" if self.presence.is_drained else "ready", problem="")

    def _on_late(self, problem: str) -> None:
        self._telling.state("late", problem=problem)
        if not self._is_late:
            self._is_late = True
            hint = "it gets no requests before: have it listen on $PORT, or say with --port where it does"
            self._events.warning("app_not_ready", waited=f"{self._wrapping.patience:g}s", why=problem, hint=hint)

    async def _end(self, number: int) -> None:
        """End the app in order, because of signal `number`."""
        child = self._child
        if child is None or child.exited.done():
            self._hurry.set()  # it is not started again
            return
        self._telling.state("draining")
        leaving = spawn(self.presence.leave(self._supervisor.mesh.gateway.timeouts.drain), name="leave")
        waited: list[asyncio.Future[Any]] = [leaving, spawn(self._hurry.wait(), name="hurry"), child.exited]
        await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
        leaving.cancel()
        self._hurry.set()
        self._asked = 1
        await child.stop(number, self._wrapping.grace, everyone=self._is_typed(number))

    async def _hold(self, seconds: float) -> None:
        """Wait so long, unless the end is asked for."""
        await rest(self._hurry, seconds)

    def _check(self) -> HealthCheck | None:
        """What the app has to pass; None is that its port is open."""
        service = self._role.configured(self._supervisor.mesh)
        if service.protocol == "tcp":
            return None
        if self._wrapping.health:
            return msgspec.structs.replace(service.health or HealthCheck(), path=self._wrapping.health)
        return service.health
