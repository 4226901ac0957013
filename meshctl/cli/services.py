"""`meshctl services`: the services as the running proxies see them, with their versions and endpoints."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from meshctl.cli.command import Output, OutputOption, examples
from meshctl.cli.proxies import ask_running, with_proxy
from meshctl.cli.render import milliseconds, share
from meshctl.cli.routes import is_overridden, versions
from meshctl.cli.session import Session
from meshctl.cli.steered import remind, steered
from meshctl.errors import MeshError, nearest

if TYPE_CHECKING:
    from meshctl.model.steering import Fault, Mirror
    from meshctl.model.views import BreakerView, EndpointView, LimitView, ProxyRecord, ServiceView, VersionView


@examples("""
    meshctl services ls
    meshctl services ls -o json
""")
def ls(session: Session, output: OutputOption = Output.TABLE) -> None:
    """List the services of every running proxy, with their versions' weights and healthy endpoints."""
    from meshctl.model.views import ServiceView

    answers = ask_running(session, "/v1/services", list[ServiceView])
    if output is Output.JSON:
        session.terminal.document([{"proxy": record.id, "services": services} for record, services in answers])
        return
    several = with_proxy(answers)
    rows = [
        (*((record.id,) if several else ()), *_row(service)) for record, services in answers for service in services
    ]
    columns = ["SERVICE", "BALANCE", "VERSIONS", "HEALTHY", "REQUESTS>", "FAILURES>", "BREAKER"]
    session.terminal.table(["PROXY", *columns] if several else columns, rows, empty="no services", spare=["BALANCE"])
    remind(session)


@examples("""
    meshctl services show orders
    meshctl services show orders -o json
""")
def show(
    session: Session,
    name: Annotated[str, typer.Argument(metavar="NAME", help="The service.")],
    output: OutputOption = Output.TABLE,
) -> None:
    """Show a service: each version's weight and real share, each endpoint's health, and why it is what it is.

    It is shown as each proxy sees it, but for those that sent it nothing and find nothing amiss. Requests of versions
    are counted anew with each revision, those of endpoints as long as they are there."""
    from meshctl.model.views import ServiceView

    answers = ask_running(session, "/v1/services", list[ServiceView])
    found = [(record, service) for record, services in answers for service in services if service.name == name]
    if not found:
        known = sorted({service.name for _, services in answers for service in services})
        hint = nearest(name, known) or (f"there are: {', '.join(known)}" if known else "")
        raise MeshError("not_found", f'there is no service "{name}"', hint=hint)
    faults, mirrors = _steering(session, name)
    if output is Output.JSON:
        also = {"faults": faults, "mirrors": mirrors}
        session.terminal.document([{"proxy": record.id, "service": service, **also} for record, service in found])
        return
    lines = steered(faults, mirrors)
    shown = [each for each in found if not is_uneventful(each[1])] or found[:1]
    for at, (record, service) in enumerate(shown):
        if at:
            session.terminal.data("")
        _show(session, record, service, lines)
    if others := [record.id for record, service in found if (record, service) not in shown]:
        session.terminal.say(f"nothing sent, nothing amiss: {', '.join(others)}; -o json has all")


def is_uneventful(service: ServiceView) -> bool:
    """Whether a proxy has nothing to tell of a service: it sent no request, and finds nothing wrong."""
    return (
        not any(each.requests or each.in_flight or each.is_out or each.reason for each in service.endpoints)
        and (service.breaker is None or service.breaker.state == "closed")
        and (service.limit is None or not service.limit.in_flight + service.limit.waiting)
    )


def _row(service: ServiceView) -> tuple[str | int, ...]:
    healthy = sum(not each.is_out and not each.is_failing for each in service.endpoints)
    return (
        service.name,
        service.policy,
        versions(service.versions),
        f"{healthy}/{len(service.endpoints)}",
        sum(endpoint.requests for endpoint in service.endpoints),
        sum(endpoint.failures for endpoint in service.endpoints),
        _breaker(service.breaker),
    )


def _breaker(breaker: BreakerView | None) -> str:
    """A breaker in a line: "open, 3s left: 10 of 20 requests failed in the last 10s: upstream_timeout"."""
    if breaker is None:
        return ""
    return f"{breaker.state}{_until(breaker.until)}{breaker.reason and f': {breaker.reason}'}"


def _until(end: float) -> str:
    """What is left until a moment; nothing where it is past, or none."""
    from meshctl import clock
    from meshctl.cli.lifetimes import left

    now = clock.wall()
    return f", {left(end, now)} left" if end > now else ""


def _steering(session: Session, name: str) -> tuple[Sequence[Fault], Sequence[Mirror]]:
    """The faults and the mirror that hold for a service."""
    from meshctl.control.faults import faults
    from meshctl.control.mirrors import mirrors

    with session.store() as store:
        return faults(store, name), mirrors(store, name)


def _show(session: Session, record: ProxyRecord, service: ServiceView, lines: Sequence[tuple[str, str]]) -> None:
    terminal = session.terminal
    live = f"live; `meshctl traffic split {service.name}` tells more" if is_overridden(service.versions) else ""
    terminal.pairs(
        [
            ("service", service.name),
            ("proxy", record.id),
            ("balance", service.policy),
            ("weights", live),
            ("limit", _limited(service.limit)),
            ("breaker", _breaker(service.breaker)),
            *lines,
        ]
    )
    terminal.data("")
    _show_versions(session, service.versions)
    terminal.data("")
    terminal.table(
        ["ENDPOINT", "VERSION", "STATE", "REQUESTS>", "FAILURES>", "IN FLIGHT>", "LATENCY>", "WHY"],
        [
            (
                each.address,
                each.version,
                "failing" if each.is_failing else f"{each.state}{_until(each.until)}",
                each.requests,
                each.failures,
                each.in_flight,
                milliseconds(each.latency),
                _why(each),
            )
            for each in service.endpoints
        ],
    )


def _why(endpoint: EndpointView) -> str:
    failing = f"its last {endpoint.row} requests failed: {endpoint.failure}" if endpoint.is_failing else ""
    return endpoint.reason or failing


def _limited(limit: LimitView | None) -> str:
    if limit is None:
        return ""
    waiting = f", {limit.waiting} waiting" if limit.waiting else ""
    return f"{limit.in_flight} of {limit.limit} under way{waiting}"


def _show_versions(session: Session, versions: Sequence[VersionView]) -> None:
    weight = sum(version.weight for version in versions) or 1
    declared = sum(version.declared or 0 for version in versions) or 1
    requests = sum(version.requests for version in versions)
    several = is_overridden(versions)
    session.terminal.table(
        ["VERSION", "WEIGHT>", *(["IN THE FILE>"] if several else []), "REAL SHARE>", "REQUESTS>", "HEALTHY"],
        [
            (
                each.name,
                share(each.weight / weight),
                *([share((each.declared or 0) / declared)] if several else []),
                share(each.requests / requests) if requests else "–",
                each.requests,
                f"{each.healthy}/{each.endpoints}",
            )
            for each in versions
        ],
    )
