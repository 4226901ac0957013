"""Endpoints, as the running proxies see them: who is healthy, who is not, and why."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from meshctl.control.checks.facts import Facts
from meshctl.control.checks.finding import Finding, counted, failed, warned, worst
from meshctl.model.views import EndpointView, ProxyRecord, ServiceView

Seen = Iterable[tuple[ProxyRecord, ServiceView]]
"""Services as proxies see them."""

USABLE: Final = ("healthy", "unknown")
FAILING: Final = 0.5
_ENOUGH: Final = 20


def services(facts: Facts) -> Finding:
    """Every service has an endpoint that can be asked."""
    return judge_services(facts.services())


def judge_services(seen: Seen) -> Finding:
    """See `services`."""
    found = list(seen)
    return worst(
        _once(
            failed(
                f'no endpoint of "{service.name}" can be asked, as {record.id} sees it: {_why(service)}',
                f"start it, then see: meshctl services show {service.name}",
            )
            for record, service in found
            if service.endpoints and not any(each.state in USABLE for each in service.endpoints)
        ),
        counted(len({service.name for _, service in found}), "service"),
    )


def healthy(facts: Facts) -> Finding:
    """No single endpoint is unhealthy."""
    return judge_state(facts.services(), "unhealthy", "mend or remove it")


def ejected(facts: Facts) -> Finding:
    """No endpoint is ejected for failing."""
    return judge_state(facts.services(), "ejected", "its own log says why it fails; it is tried again by itself")


def resolved(facts: Facts) -> Finding:
    """Every endpoint's name is known to the resolver."""
    return judge_state(facts.services(), "unresolved", "see whether the name is right: getent hosts NAME")


def judge_state(seen: Seen, state: str, hint: str) -> Finding:
    """No endpoint is in `state`, by any proxy that sees it."""
    return worst(
        _once(
            warned(
                f"{each.address} of {service.name} {each.version} is {state}{_because(each)}",
                f"{hint}; see: meshctl services show {service.name}",
            )
            for _, service in seen
            for each in service.endpoints
            if each.state == state
        ),
        f"none is {state}",
    )


def failing(facts: Facts) -> Finding:
    """No endpoint fails more often than it answers."""
    return judge_failing(facts.services())


def judge_failing(seen: Seen) -> Finding:
    """See `failing`. Of few requests nothing follows."""
    return worst(
        _once(
            warned(
                f"{each.address} of {service.name} {each.version} failed {each.failures} of {each.requests} requests",
                f"its own log says why; see: meshctl services show {service.name}",
            )
            for _, service in seen
            for each in service.endpoints
            if each.requests >= _ENOUGH and each.failures / each.requests > FAILING
        ),
        "none fails more often than it answers",
    )


def breakers(facts: Facts) -> Finding:
    """No breaker is open, which answers every request of a service at once."""
    return judge_breakers(facts.services())


def judge_breakers(seen: Seen) -> Finding:
    """See `breakers`."""
    found = [(record, service, service.breaker) for record, service in seen if service.breaker is not None]
    return worst(
        (
            (failed if breaker.state == "open" else warned)(
                f'the breaker of "{service.name}" is {breaker.state.replace("_", " ")} at {record.id}'
                f"{f' ({breaker.reason})' if breaker.reason else ''}",
                f"mend the service: the breaker tries it by itself; see: meshctl services show {service.name}",
            )
            for record, service, breaker in found
            if breaker.state != "closed"
        ),
        f"{counted(len(found), 'breaker')} closed" if found else "no service has a breaker",
    )


def limited(facts: Facts) -> Finding:
    """No service is at its limit with requests waiting."""
    return judge_limited(facts.services())


def judge_limited(seen: Seen) -> Finding:
    """See `limited`."""
    found = [(record, service, service.limit) for record, service in seen if service.limit is not None]
    return worst(
        (
            warned(
                f'"{service.name}" is at its limit of {limit.limit} at {record.id}, and {limit.waiting} wait',
                f"give it more endpoints, or raise [services.{service.name}.limit]",
            )
            for record, service, limit in found
            if limit.waiting
        ),
        counted(len(found), "limit") if found else "no service is limited",
    )


def _once(findings: Iterable[Finding]) -> Iterator[Finding]:
    """What several proxies see alike is told once."""
    seen = set()
    for each in findings:
        if each.detail not in seen:
            seen.add(each.detail)
            yield each


def _why(service: ServiceView) -> str:
    return "; ".join(f"{each.address} is {each.state}{_because(each)}" for each in service.endpoints[:3])


def _because(endpoint: EndpointView) -> str:
    return f" ({endpoint.reason})" if endpoint.reason else ""
