"""Rollouts, driven: whichever proxy has the duty looks at the counters of all of them and takes the next step.

    counters of every proxy ──▶ judge, follow (core.rollout) ──▶ the rollout's record and the weights, in one change

Every proxy runs this, one of them for each rollout. All that a step depends on stands in the store, so another proxy
goes on where one dies; a change that somebody else was faster to make is simply not made.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Final
from urllib.parse import quote

from meshctl import clock
from meshctl.control.acks import proxies
from meshctl.control.asking import ask_each
from meshctl.control.discovery import registrations
from meshctl.control.duties import RENEW, Duty
from meshctl.control.hooks import run_hook
from meshctl.control.revisions import current
from meshctl.control.rollout_state import Counted, Rollout, back, ramp_every, rollout, save
from meshctl.control.splits import counted
from meshctl.core.rollout import below, compares_at, follow, is_hopeless, judge
from meshctl.errors import MeshError
from meshctl.model.rollout import BASELINE, Event, Measured
from meshctl.observe.log import Events
from meshctl.observe.tally import Tally
from meshctl.proxy.tasks import rest, spawn
from meshctl.store.protocol import Conflict, Store

LONGEST_TURN: Final = 1.0
SHORTEST_TURN: Final = 0.05
"""Seconds between two looks at the counters, and no less than this."""
ANSWER_WITHIN: Final = 3.0
AFTER_DEFECT: Final = 10.0
"""Seconds until it is tried again after what nobody expected."""

_HOOKS: Final = {"step": "on_step", "promote": "on_promote", "rollback": "on_rollback"}


class Driver:
    """One rollout, driven by this proxy while it has the duty. `wake` is set whenever the store has changed."""

    def __init__(self, store: Store, service: str, proxy: str, pid: int, home: str) -> None:
        self._store = store
        self._service = service
        self._home = home
        self._duty = Duty(store, f"rollout/{service}", proxy, pid)
        self._proxy = proxy
        self._looked = 0.0
        self._defect = ""
        self._events = Events("rollout")
        self.wake = asyncio.Event()

    def __repr__(self) -> str:
        return f"<Driver of {self._service} {self._duty!r}>"

    async def run(self) -> None:
        """Go on until the rollout is over, whoever drives it."""
        keeper = spawn(self._keep(), name=f"keep {self._duty!r}")
        try:
            while True:
                pause = LONGEST_TURN
                try:
                    found = rollout(self._store, self._service)
                    if found is None or (found.has_ended and not found.due):
                        return
                    pause = min(max(found.plan.every / 4, SHORTEST_TURN), LONGEST_TURN)
                    if self._duty.take(clock.monotonic()):
                        await self._turn(found, pause)
                except Conflict:
                    continue  # Somebody paused or aborted it, or drives it now.
                except MeshError as error:
                    self._events.error("rollout_failed", service=self._service, error=error.message)
                except Exception as error:  # it would begin anew with each change of the store, and change that itself
                    self._tell(error)
                    self._release()
                    await asyncio.sleep(AFTER_DEFECT)
                await self._rest(pause)
        finally:
            keeper.cancel()
            self._release()

    def _tell(self, error: Exception) -> None:
        """The rollout stays where it is, and that is told once: its next turn may well fail the same way."""
        if (defect := repr(error)) != self._defect:
            self._defect = defect
            self._events.error("rollout_failed", service=self._service, error=error)

    async def _keep(self) -> None:
        """A command may take longer than a duty lasts."""
        while True:
            await asyncio.sleep(RENEW)
            try:
                self._duty.renew(clock.monotonic())
            except MeshError as error:
                self._events.error("duty_not_kept", service=self._service, error=error.message)

    def _release(self) -> None:
        try:
            self._duty.release()
        except MeshError as error:
            self._events.warning("duty_not_released", service=self._service, error=error.message)

    async def _rest(self, seconds: float) -> None:
        self.wake.clear()
        await rest(self.wake, seconds)

    async def _turn(self, found: Rollout, pause: float) -> None:
        """What is to be done now, if anything."""
        now = clock.wall()
        if found.due:
            await self._run_due(found)
        elif found.phase == "ramping":
            if now >= found.check_at:
                self._ramp(found, now)
        elif found.phase == "running" and not found.since:
            await self._begin_counting(found)
        # The store may change for other reasons many times a second.
        elif found.phase == "running" and clock.monotonic() - self._looked >= pause / 2:
            await self._look(found, now)
            self._looked = clock.monotonic()

    async def _begin_counting(self, found: Rollout) -> None:
        """Count from the moment on that every proxy has the weights."""
        records = proxies(self._store)
        answers = await ask_each(records, f"/v1/synced?revision={found.revision}", ANSWER_WITHIN)
        if len(answers) < len(records):
            # One is ending or starting; it is asked again, unless it never answers: then its counters are not missed.
            # One that answers later is counted from then on.
            self._events.warning("proxies_silent", service=self._service, silent=len(records) - len(answers))
        begun = await tallies(self._store, self._service)
        if begun:
            now = clock.wall()
            save(self._store, found, since=now, check_at=now + found.plan.every, counted=begun)

    async def _look(self, found: Rollout, now: float) -> None:
        """Judge the version when its check is due, or before where it is hopeless."""
        told = await tallies(self._store, self._service)
        if not told:
            return
        if late := {proxy: each for proxy, each in told.items() if was_silent(found, proxy)}:
            found = save(self._store, found, counted=found.counted | late)
        new, old = measured(found, told)
        plan = compares_at(found.plan, found.weight)
        if now < found.check_at and not is_hopeless(plan, new, old):
            return
        verdict, reason = judge(plan, new, old)
        if verdict == "pass" and plan.gate:
            why = await self._gate(found, reason)
            if why is None:
                return
            if why:
                verdict, reason = "fail", f"the gate failed: {why}"
        if verdict == "pass" and not has_endpoint(self._store, self._service, plan.to):
            # What it did well it did before it ended: with all of the traffic it would take nobody's.
            verdict, reason = "inconclusive", f"{plan.to} has no endpoint any more"
        following = follow(plan, found.step, found.failures, verdict)
        event = Event(now, "check", reason, found.weight, verdict, new, old)
        match following.action:
            case "hold" if verdict == "inconclusive":
                # It goes on counting: what is too little now may be enough with what comes.
                save(self._store, found, event, check_at=now + plan.every)
            case "hold":
                save(self._store, found, event, since=0.0, failures=following.failures)
            case "advance":
                weight, step = plan.steps[following.step], Event(now, "step", "", plan.steps[following.step])
                save(
                    self._store, found, event, step,
                    step=following.step, failures=0, weight=weight, since=0.0, due="step",
                )  # fmt: skip
            case "promote":
                over = Event(now, "end", "promoted", 100.0)
                save(self._store, found, event, over, phase="promoted", weight=100.0, due="promote")
            case "roll_back":
                going = back(found, "rolled_back", now)
                over = Event(now, "end", f"rolled back: {reason}", going["weight"])
                save(self._store, found, event, over, failures=following.failures, **going)

    async def _gate(self, found: Rollout, reason: str) -> str | None:
        """What the gate says; None where somebody pauses or ends the rollout meanwhile, and nobody waits for it."""
        plan = found.plan
        asked = spawn(run_hook(plan.gate, self._facts(found, "gate", reason), plan.folder), name=f"gate {self!r}")
        try:
            while not (await asyncio.wait({asked}, timeout=LONGEST_TURN))[0]:
                latest = rollout(self._store, self._service)
                if latest is None or (latest.number, latest.phase) != (found.number, found.phase):
                    return None
            return asked.result()
        finally:
            asked.cancel()
            await asyncio.wait({asked})

    def _ramp(self, found: Rollout, now: float) -> None:
        weight = below(found.plan, found.weight, found.floor)
        if weight > found.floor:
            event = Event(now, "ramp", "", weight)
            save(self._store, found, event, weight=weight, check_at=now + ramp_every(found.plan))
        else:
            save(self._store, found, Event(now, "ramp", "", found.floor), phase=found.outcome, weight=found.floor)

    async def _run_due(self, found: Rollout) -> None:
        command = getattr(found.plan, _HOOKS[found.due])
        events = []
        if command:
            why = await run_hook(command, self._facts(found, found.due, found.log[-1].text), found.plan.folder)
            text = f"--on-{found.due} failed: {why}" if why else f"--on-{found.due} was run"
            events.append(Event(clock.wall(), "hook", text, found.weight))
        # Somebody may have paused it meanwhile, which is no reason to run the command again.
        latest = rollout(self._store, self._service)
        if latest is not None and latest.number == found.number and latest.due == found.due:
            save(self._store, latest, *events, due="")

    def _facts(self, found: Rollout, hook: str, reason: str) -> Mapping[str, str]:
        """What a command finds in its environment."""
        return {
            "MESHCTL_HOME": self._home,
            "MESHCTL_HOOK": hook,
            "MESHCTL_SERVICE": found.service,
            "MESHCTL_VERSION": found.plan.to,
            "MESHCTL_WEIGHT": f"{found.weight:g}",
            "MESHCTL_STEP": f"{found.step + 1}/{len(found.plan.steps)}",
            "MESHCTL_PHASE": found.phase,
            "MESHCTL_REASON": reason,
        }


async def tallies(store: Store, service: str) -> Counted:
    """What every running proxy counted of a service's versions since it started; of those that answer."""
    records = proxies(store)
    return counted(records, await ask_each(records, f"/v1/versions?service={quote(service)}", ANSWER_WITHIN))


def has_endpoint(store: Store, service: str, version: str) -> bool:
    """Whether there is anybody to take requests for a version: configured or registered, healthy or not."""
    if any((each.service, each.version) == (service, version) for each in registrations(store)):
        return True
    revision = current(store)
    services = revision.mesh().services if revision else ()
    return any(each.endpoints for one in services if one.name == service for each in one.versions
               if each.name == version)  # fmt: skip


def was_silent(found: Rollout, proxy: str) -> bool:
    """Whether a proxy was there when counting began, and did not tell what it had counted: how much of that is of this
    step nobody knows."""
    return proxy not in found.counted and float(proxy.rpartition("@")[2]) < found.since


def measured(found: Rollout, told: Counted) -> tuple[Measured, Measured]:
    """What the new version and those it is compared with did since counting began, over all proxies."""
    new = old = Tally()
    for proxy, versions in told.items():
        if was_silent(found, proxy):
            continue
        before = found.counted.get(proxy, {})
        for version, tally in versions.items():
            change = tally.since(before.get(version))
            if version == found.plan.to:
                new = new.plus(change)
            elif found.plan.compare in ("", BASELINE, version):
                old = old.plus(change)
    return _summary(new), _summary(old)


def _summary(tally: Tally) -> Measured:
    p99, p90 = tally.latency.quantile(0.99), tally.latency.quantile(0.9)
    return Measured(tally.requests - tally.given_up, tally.errors, p99, p90, tally.given_up)
