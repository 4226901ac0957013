"""What is wrong with a mesh, or is as somebody wants it for now, and the command that tells more of each: judged from
what its proxies tell. Reads no store and asks nobody."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from meshctl.control.at_start import told as told_pending
from meshctl.control.checks.certificates import judge_end, judge_leaves, judge_renewals
from meshctl.control.checks.finding import Finding, counted
from meshctl.control.health import LATELY, Told
from meshctl.model.health import Area, Line, ProxyHealth, State
from meshctl.model.views import OUT, Acknowledgement, BreakerView, EndpointView, ProxyView, ServiceView

_BREAKER: Final = {"open": 3, "half_open": 2, "ramping": 1}
_SHOWN: Final = 2
"""How many endpoints a line names."""
_GRAVITY: Final[Mapping[State, int]] = {"pass": 0, "note": 1, "warn": 2, "fail": 3}
_PROXIES: Final = "meshctl doctor --group proxies"


def gravest(lines: Iterable[Line]) -> State:
    """The gravest state of all lines."""
    return max((each.state for each in lines), key=_GRAVITY.__getitem__, default="pass")


def with_passes(area: Area, lines: Sequence[Line], well: str) -> list[Line]:
    """The lines of an area, the gravest first; one that says `well` where there are none."""
    if not lines:
        return [Line(area, "pass", area, well)]
    return sorted(lines, key=lambda each: -_GRAVITY[each.state])


# proxies


def proxy_lines(told: Iterable[Told], answers: Mapping[str, Acknowledgement], current: int) -> Iterator[Line]:
    """Proxies that do not answer, do not serve revision `current`, or fail otherwise. `answers` is what each said to
    the last revision it heard of."""
    for each in told:
        if each.health is None:
            yield Line("proxies", "fail", each.record.id, _silent(each, answers.get(each.record.id), current), _PROXIES)
        else:
            yield from _proxy(each.health.proxy, answers.get(each.record.id), current)


def _silent(told: Told, answer: Acknowledgement | None, current: int) -> str:
    # The name stands before it already.
    why = told.error.message.removeprefix(f'proxy "{told.record.id}" ') if told.error else "it does not answer"
    if answer is None or answer.revision < current:
        heard = f"revision {answer.revision}" if answer and answer.accepted else "none"
        return f"{why}; {current} is applied, and the last it has taken is {heard}"
    return why if answer.accepted else f"{why}; it has refused revision {answer.revision}: {answer.reason}"


def _proxy(view: ProxyView, answer: Acknowledgement | None, current: int) -> Iterator[Line]:
    refusal = view.refusal or (answer.reason if answer and not answer.accepted else "")
    if view.revision < current:
        behind = f"serves revision {view.revision}, and {current} is applied"
        yield Line("proxies", "fail", view.id, f"{behind}{refusal and f': it refused that: {refusal}'}", _PROXIES)
    restarting = [each for each in view.workers if each.state == "restarting"]
    if restarting:
        what = f"{counted(len(restarting), 'worker')} of {len(view.workers)} ended and is being started again"
        yield Line("proxies", "fail", view.id, what, _PROXIES)
    if view.state == "draining":
        yield Line("proxies", "note", view.id, "is draining: it ends when what is in flight is done", _PROXIES)
    if view.pending:
        yield Line("proxies", "warn", view.id, told_pending(view.pending), _PROXIES)
    app = view.app
    if app is not None and app.state in {"late", "ended", "restarting"}:
        detail = f"its app is {app.state}{app.problem and f': {app.problem}'}"
        yield Line("proxies", "fail", view.id, detail, "meshctl sidecar ls")
    elif app is not None and app.state == "drained":
        yield Line("proxies", "note", view.id, "its app is kept from requests by hand", "meshctl sidecar ls")


# services


def service_lines(told: Sequence[ProxyHealth], endpoints: Mapping[tuple[str, str], int]) -> Iterator[Line]:
    """Services with endpoints that take no requests, or with none, and breakers that are not closed. `endpoints` is how
    many each version of each service has by configuration and registration."""
    views: dict[str, list[ServiceView]] = {}
    for health in told:
        for view in health.services:
            views.setdefault(view.name, []).append(view)
    for name in sorted({service for service, _ in endpoints} | views.keys()):
        command = f"meshctl services show {name}"
        state, detail = _endpoints(name, views.get(name, []), endpoints)
        if detail:
            yield Line("services", state, name, detail, command)
        breaker = _breaker(views.get(name, []))
        if breaker is not None:
            state = "fail" if breaker.state == "open" else "warn"
            said = breaker.state.replace("_", "-")
            yield Line("services", state, name, f"breaker {said}{breaker.reason and f': {breaker.reason}'}", command)


def _endpoints(name: str, views: Sequence[ServiceView], known: Mapping[tuple[str, str], int]) -> tuple[State, str]:
    """What is wrong with the endpoints of a service, by the proxy that sees the worst of each; "" where nothing is."""
    versions = {version: count for (service, version), count in known.items() if service == name}
    if not sum(versions.values()):
        return "fail", "it has no endpoint"
    seen: dict[str, EndpointView] = {}
    for view in views:
        for each in view.endpoints:
            before = seen.setdefault(each.address, each)
            if _worse(each) > _worse(before):
                seen[each.address] = each
    out = [each for each in seen.values() if each.is_out]
    if out:
        most = "; ".join(f"{each.address} {each.state}{each.reason and f' ({each.reason})'}" for each in out[:_SHOWN])
        more = f"; and {len(out) - _SHOWN} more" if len(out) > _SHOWN else ""
        return (
            "fail",
            f"{len(out)} of {counted(len(seen), 'endpoint')} take{'s' * (len(out) == 1)} no requests: {most}{more}",
        )
    failing = [each for each in seen.values() if each.is_failing]
    if failing:
        told = [f"{each.address} failed its last {each.row} requests: {each.failure}" for each in failing[:_SHOWN]]
        told += [f"and {len(failing) - _SHOWN} more"] if len(failing) > _SHOWN else []
        return "fail", "; ".join(told)
    weighted = {each.name for view in views for each in view.versions if each.weight > 0}
    empty = sorted(version for version in weighted if not versions.get(version))
    if empty:
        return "fail", f"{', '.join(empty)} has weight and no endpoint"
    return "pass", ""


def _worse(view: EndpointView) -> tuple[int, bool]:
    return OUT.get(view.state, 0), view.is_failing


def _breaker(views: Iterable[ServiceView]) -> BreakerView | None:
    """The worst breaker that any proxy has for a service; None where all are closed."""
    found = [view.breaker for view in views if view.breaker is not None and view.breaker.state in _BREAKER]
    return max(found, key=lambda each: _BREAKER[each.state], default=None)


# callers


def denied_lines(told: Iterable[ProxyHealth]) -> Iterator[Line]:
    """Calls that rules denied lately. Whoever denies counts, and nobody else: none of them counts twice."""
    found: dict[tuple[str, str, str], int] = {}
    for health in told:
        for each in health.denied:
            key = (each.service, each.caller, each.rule)
            found[key] = found.get(key, 0) + each.count
    for (service, caller, rule), count in sorted(found.items()):
        minutes = f"{LATELY / 60:g}m"
        detail = f"{counted(count, 'call')} to {service or 'a route'} denied by {rule} in the last {minutes}"
        command = (
            f"meshctl edges {service} --window {minutes}" if service else f"meshctl stat --by route --window {minutes}"
        )
        yield Line("callers", "warn", caller or "(unknown)", detail, command)


# certificates


def certificate_lines(views: Iterable[ProxyView], revoked: Iterable[str], now: float) -> Iterator[Line]:
    """Certificates that running proxies present and should not, or not for long."""
    refused = set(revoked)
    for view in views:
        identity = view.identity
        if identity is None:
            continue
        command = f"meshctl certs show {view.service or 'gateway'}"
        yield from certificate_line(view.id, judge_leaves([(view, identity)], now), command)
        yield from certificate_line(view.id, judge_renewals([(view, identity)], now), command)
        if identity.intermediate_not_after:
            said = judge_end("the intermediate that signed its certificate", identity.intermediate_not_after, now, "")
            yield from certificate_line(view.id, said, "meshctl certs ls")
        if identity.serial in refused:
            yield Line("certificates", "fail", view.id, "presents a certificate that is revoked", command)


def certificate_line(name: str, finding: Finding, command: str) -> Iterator[Line]:
    """A finding of doctor's about a certificate as a line, where there is anything to tell."""
    if finding.status != "pass":
        yield Line("certificates", finding.status, name, finding.detail, command)
