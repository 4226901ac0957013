"""The proxies that run: whether they answer, which revision they serve, and how their workers and apps fare."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from meshctl import __version__
from meshctl.control.acks import acknowledgements
from meshctl.control.at_start import told
from meshctl.control.checks.facts import Facts, Told
from meshctl.control.checks.finding import Finding, Unknown, counted, failed, passed, warned, worst
from meshctl.model.views import Acknowledgement, ProxyView

CRASHES: Final = 3
"""Restarts of one worker from which on it looks like a habit."""


def present(facts: Facts) -> Finding:
    """What runs."""
    found = facts.living()
    if not found:
        return passed("nothing runs", "meshctl gateway up, or meshctl up")
    return passed(", ".join(each.id for each in found))


def answering(facts: Facts) -> Finding:
    """Every running proxy answers on its admin socket."""
    found = facts.told()
    if not found:
        raise Unknown("nothing runs")
    return judge_answering(found)


def judge_answering(found: Iterable[Told]) -> Finding:
    """See `answering`."""
    told = list(found)
    return worst(
        (
            failed(each.error, f"see its log; if it hangs, end it and start it again: kill -9 {each.record.pid}")
            for each in told
            if each.view is None
        ),
        f"{counted(len(told), 'proxy', 'proxies')} answered in time",
    )


def accepted(facts: Facts) -> Finding:
    """No proxy has refused the applied revision."""
    applied = facts.applied()
    living = {record.id for record in facts.living()}
    answers = {proxy: each for proxy, each in acknowledgements(facts.read()).items() if proxy in living}
    return judge_accepted(answers, applied.number if applied else 0)


def judge_accepted(answers: Mapping[str, Acknowledgement], current: int) -> Finding:
    """See `accepted`; `current` is the number of the applied revision."""
    return worst(
        (
            failed(
                f"{proxy} has refused revision {each.revision} and serves the one before: {each.reason}",
                "mend that and: meshctl apply; or go back for good: meshctl config rollback",
            )
            for proxy, each in answers.items()
            if not each.accepted and each.revision >= current
        ),
        f"{counted(len(answers), 'answer')}, none refused",
    )


def current(facts: Facts) -> Finding:
    """Every proxy serves the applied revision."""
    applied = facts.applied()
    return judge_current(facts.views(), applied.number if applied else 0)


def judge_current(found: Iterable[ProxyView], number: int) -> Finding:
    """See `current`. One that has refused it is told of by `accepted`."""
    views = list(found)
    behind = [each for each in views if each.revision < number]
    return worst(
        (
            warned(f"{each.id} has refused it and serves revision {each.revision}", "see the check accepted")
            if each.refusal
            else failed(
                f"{each.id} serves revision {each.revision}, and {number} is applied",
                "its log says why; apply again: meshctl apply, or start it again",
            )
            for each in behind
        ),
        f"revision {number} everywhere" if number else "nothing is applied",
    )


def pending(facts: Facts) -> Finding:
    """What is read only at the start of a gateway is as it is applied."""
    return judge_pending(facts.views())


def judge_pending(found: Iterable[ProxyView]) -> Finding:
    """See `pending`."""
    views = list(found)
    return worst(
        (warned(told(each.pending), "meshctl gateway down, and start it again") for each in views if each.pending),
        "what is applied",
    )


def same_version(facts: Facts) -> Finding:
    """All proxies are of this version of meshctl."""
    return judge_same_version(facts.views(), __version__)


def judge_same_version(found: Iterable[ProxyView], own: str) -> Finding:
    """See `same_version`."""
    return worst(
        (
            warned(f"{each.id} is meshctl {each.version}, this command is {own}", "start it again to have it upgraded")
            for each in found
            if each.version != own
        ),
        f"all of them {own}",
    )


def workers(facts: Facts) -> Finding:
    """Worker processes live: none has to be started again and again."""
    return judge_workers(facts.views())


def judge_workers(found: Iterable[ProxyView]) -> Finding:
    """See `workers`."""
    views = list(found)
    findings = []
    for view in views:
        hint = (
            f"see worker_ended and worker_failed in its log{': meshctl gateway logs' if view.role == 'gateway' else ''}"
        )
        for worker in view.workers:
            name = f"worker {worker.pid} of {view.id}"
            if worker.state == "restarting":
                detail = f"{name} has ended and is being started again, {counted(worker.restarts, 'time')} by now"
                findings.append(failed(detail, hint))
            elif worker.restarts:
                again = f"{name} had to be started again {counted(worker.restarts, 'time')}"
                findings.append((failed if worker.restarts >= CRASHES else warned)(again, hint))
    return worst(findings, counted(sum(len(view.workers) for view in views), "worker"))


def states(facts: Facts) -> Finding:
    """No proxy hangs between starting and serving, or between draining and its end."""
    return judge_states(facts.views(), facts.now)


def judge_states(found: Iterable[ProxyView], now: float) -> Finding:
    """See `states`."""
    findings = []
    for each in found:
        if each.state == "draining":
            hint = "it ends when what is in flight is done; a second SIGTERM ends it at once"
            findings.append(warned(f"{each.id} is draining", hint))
        elif each.state != "ready" and now - each.started > 30:
            findings.append(failed(f"{each.id} is {each.state} since {now - each.started:.0f} s", "see its log"))
    return worst(findings, "all of them ready")


def apps(facts: Facts) -> Finding:
    """Wrapped apps take requests."""
    return judge_apps(facts.views())


def judge_apps(found: Iterable[ProxyView]) -> Finding:
    """See `apps`."""
    wrapped = [(view, view.app) for view in found if view.app is not None]
    if not wrapped:
        raise Unknown("no app is wrapped")
    findings = []
    for view, app in wrapped:
        why = f": {app.problem}" if app.problem else ""
        if app.state in ("late", "ended", "restarting"):
            hint = "its output says why; it must listen on $PORT: see meshctl sidecar ls"
            findings.append(failed(f"the app of {view.id} is {app.state}{why}", hint))
        elif app.state == "drained":
            hint = f"meshctl sidecar drain {view.id} --undo"
            findings.append(warned(f"{view.id} is kept from requests by hand", hint))
        elif app.restarts:
            hint = "its output says why it ended"
            findings.append(warned(f"the app of {view.id} was started again {counted(app.restarts, 'time')}", hint))
    return worst(findings, counted(len(wrapped), "app"))
