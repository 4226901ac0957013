"""What is configured against what is live: the file, the applied revision, and what was changed since beside them."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from meshctl.control.checks.facts import Facts
from meshctl.control.checks.finding import Finding, Unknown, counted, failed, passed, warned, worst
from meshctl.control.discovery import names
from meshctl.control.revisions import nothing
from meshctl.control.rollout_state import Rollout, unfinished
from meshctl.control.steered import live_steering
from meshctl.control.weights import live, live_weights
from meshctl.core.faults import active, told
from meshctl.errors import MeshError
from meshctl.model.mesh import Mesh
from meshctl.model.steering import Fault, Mirror
from meshctl.model.units import format_duration
from meshctl.model.weights import LiveWeights, Shares

OLD: Final = 7 * 86400.0
"""Seconds after which a live weight was probably forgotten."""
_TOLD: Final = 3


def file(facts: Facts) -> Finding:
    """There is a mesh.toml, or none is needed."""
    found = facts.file()
    if found is not None:
        return passed(str(found))
    applied = _applied_or_none(facts)
    if applied is not None and applied.startswith("/"):
        detail = f"what is applied came from {applied}, which is not there any more"
        return warned(detail, "put it back, or name another one with -c FILE")
    hint = "write one with: meshctl init" if applied is None else "routes given on the command line need none"
    return passed("there is none here or in a folder above", hint)


def valid(facts: Facts) -> Finding:
    """The file holds."""
    try:
        loaded = facts.loaded()
    except MeshError as error:
        problems = [str(each) for each in getattr(error, "problems", ()) if each.severity == "error"]
        shown = "; ".join(problems[:_TOLD]) or error.message
        rest = f"; and {len(problems) - _TOLD} more" if len(problems) > _TOLD else ""
        return failed(shown + rest, f"meshctl validate {facts.file()}")
    if loaded.warnings:
        return warned("; ".join(map(str, loaded.warnings[:_TOLD])), f"meshctl validate {facts.file()}")
    return passed(f"{counted(len(loaded.mesh.routes), 'route')}, {counted(len(loaded.mesh.services), 'service')}")


def applied(facts: Facts) -> Finding:
    """What the file says is what is applied."""
    from meshctl.config.diff import changes

    try:
        loaded = facts.loaded()
    except MeshError:
        raise Unknown("the file does not hold", status="warn", hint=f"meshctl validate {facts.file()}") from None
    revision = facts.applied()
    if revision is None:
        raise Unknown("nothing is applied yet", hint="meshctl apply")
    if not revision.summary.source.startswith("/"):
        raise Unknown(f"revision {revision.number} came from {revision.summary.source}, not from a file")
    found = changes(revision.mesh(), loaded.mesh)
    if found:
        shown = ", ".join(each.path for each in found[:_TOLD])
        detail = f"{counted(len(found), 'difference')} between the file and revision {revision.number}: {shown}"
        return warned(detail, f"see them with `meshctl diff -c {facts.file()}`, then: meshctl apply -c {facts.file()}")
    return passed(f"revision {revision.number}")


def revision(facts: Facts) -> Finding:
    """A configuration is applied, and which."""
    found = facts.applied()
    if found is None:
        raise Unknown("nothing is applied yet", hint="meshctl apply")
    return passed(f"revision {found.number}, by {found.summary.who}, from {found.summary.source}")


def targets(facts: Facts) -> Finding:
    """Every route leads to a service that somebody answers for."""
    return judge_targets(facts.mesh(), {service for service, _ in names(facts.registered())})


def judge_targets(mesh: Mesh, registered: Iterable[str]) -> Finding:
    """See `targets`; `registered` are the services that sidecars have endpoints of."""
    served = {each.name for each in mesh.services if each.has_endpoints} | set(registered)
    return worst(
        (
            warned(
                f'route "{route.name}" leads to "{name}", which has no endpoint: it answers no_endpoint',
                f"start one: meshctl sidecar wrap --service {name} -- COMMAND, or write its endpoints",
            )
            for route in mesh.routes
            for name in route.services
            if name not in served
        ),
        f"{counted(len(mesh.routes), 'route')}",
    )


def weights(facts: Facts) -> Finding:
    """The versions that have the weight have endpoints."""
    served = names(facts.registered())
    return judge_weights(facts.mesh(), served, live_weights(facts.read()))


def judge_weights(mesh: Mesh, registered: Iterable[tuple[str, str]], held: Mapping[str, Shares]) -> Finding:
    """See `weights`; `held` are the live weights, in percent, by service."""
    known = set(registered)
    findings = []
    for service in mesh.services:
        shares = held.get(service.name) or {each.name: each.weight for each in service.versions}
        served = {each.name for each in service.versions if each.endpoints}
        served |= {version for name, version in known if name == service.name}
        taking = {name for name, share in shares.items() if share > 0}
        empty = sorted(taking - served)
        if not served or not empty:
            continue
        hint = f"see `meshctl traffic split {service.name}`"
        back = f"; go back with: meshctl traffic reset {service.name}" if service.name in held else ""
        whose = f'"{service.name}" sends requests to version {", ".join(empty)}, which has no endpoint'
        findings.append(failed(whose, hint + back) if not taking & served else warned(whose, hint + back))
    return worst(findings, "versions with a weight have endpoints")


def overrides(facts: Facts) -> Finding:
    """Live weights that nobody thinks of any more are not what decides."""
    store = facts.read()
    found = [held for name in live_weights(store) if (held := live(store, name)) is not None]
    return judge_overrides(found, facts.now)


def judge_overrides(found: Iterable[LiveWeights], now: float) -> Finding:
    """See `overrides`."""
    held = list(found)
    old = [each for each in held if now - each.now.at > OLD]
    return worst(
        (
            warned(
                f'live weights of "{each.service}" hold for {_days(now - each.now.at)}, by {each.now.who}',
                f"write them into mesh.toml and: meshctl traffic reset {each.service}",
            )
            for each in old
        ),
        f"{counted(len(held), 'service')} with live weights" if held else "none",
    )


def rollouts(facts: Facts) -> Finding:
    """Rollouts that have begun go on."""
    return judge_rollouts(unfinished(facts.read()), facts.now, has_driver=bool(facts.living()))


def judge_rollouts(found: Iterable[Rollout], now: float, *, has_driver: bool) -> Finding:
    """See `rollouts`; without a running proxy nobody drives them."""
    running = list(found)
    findings = []
    for each in running:
        name = f'the rollout of "{each.service}" to {each.plan.to}'
        if each.phase == "paused":
            began = max((event.at for event in each.log if event.kind == "pause"), default=each.began)
            detail = f"{name} is paused at {each.weight:g}% for {format_duration(float(round(now - began)))}"
            findings.append(warned(detail, f"meshctl traffic resume {each.service}, or abort {each.service}"))
        elif not has_driver:
            findings.append(warned(f"{name} stands still: no proxy runs that drives it", "meshctl gateway up"))
    return worst(findings, counted(len(running), "rollout") if running else "none is under way")


def faults(facts: Facts) -> Finding:
    """No fault is injected on purpose."""
    return judge_faults(live_steering(facts.read()).faults, facts.now)


def judge_faults(found: Iterable[Fault], now: float) -> Finding:
    """See `faults`."""
    return worst(
        (
            warned(
                f'"{each.service}" gets faults on purpose: {told(each, now)}',
                f"meshctl traffic fault {each.service} --clear",
            )
            for each in active(tuple(found), now)
        ),
        "none",
    )


def mirrors(facts: Facts) -> Finding:
    """Copies of requests go to versions that are there."""
    mesh = facts.mesh()
    served = names(facts.registered())
    served |= {(each.name, version.name) for each in mesh.services for version in each.versions if version.endpoints}
    return judge_mirrors(live_steering(facts.read()).mirrors, served)


def judge_mirrors(found: Iterable[Mirror], served: Iterable[tuple[str, str]]) -> Finding:
    """See `mirrors`."""
    there, all_of_them = set(served), list(found)
    return worst(
        (
            warned(
                f'"{each.service}" is mirrored to {each.to}, which has no endpoint',
                f"meshctl traffic mirror {each.service} --stop",
            )
            for each in all_of_them
            if (each.service, each.to) not in there
        ),
        counted(len(all_of_them), "mirror") if all_of_them else "none",
    )


def strangers(facts: Facts) -> Finding:
    """Nothing is set live for services that are not there."""
    store = facts.read()
    steering = live_steering(store)
    found = {
        **{name: f"meshctl traffic reset {name}" for name in live_weights(store)},
        **{
            each.service: f"meshctl traffic fault {each.service} --clear" for each in active(steering.faults, facts.now)
        },
        **{each.service: f"meshctl traffic mirror {each.service} --stop" for each in steering.mirrors},
    }
    known = {each.name for each in facts.mesh().services}
    return worst(
        (
            warned(f'something is set live for "{name}", and there is no such service', hint)
            for name, hint in found.items()
            if name not in known
        ),
        "none",
    )


def access(facts: Facts) -> Finding:
    """Rules between services are enforced, where there are any."""
    mesh = (facts.applied() or nothing()).mesh()
    if mesh.access.shadow:
        hint = 'when meshctl_denied_calls_total counts nothing unexpected, set policy = "enforce" in [mesh]'
        return warned('policy = "shadow": calls that the rules deny are only counted', hint)
    plain = [each.name for each in mesh.services if each.mtls == "permissive"]
    if plain:
        detail = f"{', '.join(plain)} also take calls without mutual TLS"
        return warned(detail, 'see who would be refused: meshctl certs mtls --dry-run; then write mtls = "strict"')
    return passed(f"{counted(len(mesh.access.rules), 'rule')}, else {mesh.access.default}")


def credentials(facts: Facts) -> Finding:
    """The files that callers are known by are there, and password hashes are nobody else's to read."""
    mesh = (facts.applied() or nothing()).mesh()
    keys = {each.jwt.keys: False for each in mesh.auth if each.jwt and each.jwt.keys}
    private = {each.basic.users: True for each in mesh.auth if each.basic}
    private |= {each.secret_file: True for each in mesh.auth if each.secret_file}
    found = keys | private
    if not found:
        raise Unknown("no way to know callers names a file")
    return worst((_judge_credentials(Path(name), is_private) for name, is_private in found.items()), ", ".join(found))


def _judge_credentials(path: Path, is_private: bool) -> Finding:
    if not os.access(path, os.R_OK):
        why = "cannot be read" if path.exists() else "is missing"
        return failed(f"{path}, which [auth] names, {why}", "put it back: the next revision would be refused")
    bits = stat.S_IMODE(path.stat().st_mode)
    if is_private and bits & 0o007:
        detail = f"{path} holds passwords, their hashes or a secret, and everybody may read it (mode {bits:04o})"
        return warned(detail, f"chmod 600 {path}")
    return passed(str(path))


def _applied_or_none(facts: Facts) -> str | None:
    try:
        found = facts.applied()
    except (Unknown, MeshError):
        return None
    return found.summary.source if found else None


def _days(seconds: float) -> str:
    return counted(int(seconds // 86400), "day")
