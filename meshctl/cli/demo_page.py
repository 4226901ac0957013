"""What `meshctl demo` shows of its mesh: routes, who calls whom over what, and the identities they prove."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import msgspec

from meshctl import clock
from meshctl.cli.lifetimes import left
from meshctl.cli.render import Row, cells, milliseconds, number, rich_table, share
from meshctl.cli.routes import versions
from meshctl.control.client import ask_all
from meshctl.model.names import GATEWAY
from meshctl.model.service import DIRECT
from meshctl.model.views import ProxyRecord, ProxyView, RouteView, ServiceView

if TYPE_CHECKING:
    from meshctl.cli.demo_stage import Stage
    from meshctl.model.registration import Registration

_ROUTES: Final = ("ROUTE", "MATCH", "VERSIONS", "RPS>", "ERRORS>", "P50>", "P99>")
_CALLS: Final = ("CALLER", "CALLED", "OVER", "REQUESTS>", "FAILED>", "LATENCY>")
_IDENTITIES: Final = ("IDENTITY", "OF", "SERIAL", "VALID FOR", "PROCESS>")
_SERIAL: Final = 8


@dataclass(frozen=True, slots=True)
class Look:
    """What the proxies of the demo said at one moment. One that was busy is not in it."""

    routes: Sequence[RouteView]
    calls: Sequence[Row]
    identities: Sequence[Row]

    @property
    def orders(self) -> RouteView | None:
        """The route to orders."""
        return next((route for route in self.routes if route.name == "orders"), None)

    @property
    def encrypted(self) -> tuple[int, int]:
        """How many calls went over mutual TLS, of how many."""
        counts = [(int(row[3] or 0), row[2] == "mutual TLS") for row in self.calls]
        return sum(count for count, is_mutual in counts if is_mutual), sum(count for count, _ in counts)


def look(stage: Stage) -> Look:
    """Ask all proxies of the demo."""
    records, registered = stage.proxies()
    routes = [view for _, views in _ask(records, "/v1/routes", list[RouteView]) for view in views]
    services = _ask(records, "/v1/services", list[ServiceView])
    status = _ask(records, "/v1/status", ProxyView)
    own = {route.name: route for route in routes}
    return Look(
        [own[name] for name in ("orders", "old-orders", "web") if name in own],
        list(_calls(services, registered)),
        list(_identities([view for _, view in status])),
    )


def page(seen: Look, footer: str) -> Any:
    """All of it as tables."""
    from rich.console import Group

    routes = [_route(route) for route in seen.routes]
    tables = [(_ROUTES, routes), (_CALLS, seen.calls), (_IDENTITIES, seen.identities)]
    parts: list[Any] = []
    for columns, rows in tables:
        parts += [rich_table(columns, map(cells, rows)), ""]
    return Group(*parts, footer)


def line(seen: Look, footer: str) -> str:
    """The most important of it on one line."""
    mutual, calls = seen.encrypted
    route = seen.orders
    figures = f"; orders {number(route.rps)} rps, p99 {milliseconds(route.p99)}" if route else ""
    return f"{footer}{figures}; {mutual} of {calls} calls over mutual TLS"


def _ask(records: Sequence[ProxyRecord], target: str, kind: Any) -> list[tuple[ProxyRecord, Any]]:
    answers = ask_all(records, target)
    return [(each.record, msgspec.json.decode(each.body, type=kind)) for each in answers if not each.error]


def _route(route: RouteView) -> Row:
    return (
        route.name,
        route.match,
        versions(route.weights),
        route.rps,
        share(route.errors),
        milliseconds(route.p50),
        milliseconds(route.p99),
    )


def _calls(
    services: Sequence[tuple[ProxyRecord, list[ServiceView]]], registered: Sequence[Registration]
) -> Iterator[Row]:
    """Who calls whom. What is registered is a sidecar's port, to which all proxies speak mutual TLS."""
    sidecars = {each.endpoint.address for each in registered}
    for record, views in sorted(services, key=lambda each: each[0].service != GATEWAY):
        for view in views:
            for each in view.endpoints:
                # An app's own sidecar calls it, too: in plain, on this machine's loopback.
                if not each.requests or ":" in view.name:
                    continue
                over = "mutual TLS" if each.address in sidecars else "plain HTTP"
                yield (
                    record.service,
                    _name(view.name, each.version),
                    over,
                    each.requests,
                    each.failures,
                    milliseconds(each.latency),
                )


def _identities(views: Sequence[ProxyView]) -> Iterator[Row]:
    now = clock.wall()
    for view in sorted(views, key=lambda each: (each.service != GATEWAY, each.service, each.app_version)):
        if view.identity is not None:
            own = view.identity
            name = _name(view.service, view.app_version)
            yield own.spiffe, name, own.serial[:_SERIAL], left(own.not_after, now), view.pid


def _name(service: str, version: str) -> str:
    return service if version in ("", DIRECT) else f"{service} {version}"
