"""The parts of a route, compiled: for each what it asks for, of whom, what it needs for that and what is made of it.

A part is a route of its own as far as forwarding goes: it has the service's retries, a time and a limit, and is counted
under its own name, `ROUTE#PART`. Must not know of any request that is under way (`assembling`).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from meshctl.core.json_edits import Edits
from meshctl.core.part_target import Target
from meshctl.core.template import PART, Variable
from meshctl.model.part import Part, part_name
from meshctl.model.policy import Retry
from meshctl.model.route import Match, PathMatch, Rewrite, Route
from meshctl.model.service import Service
from meshctl.proxy.variables import Value, value
from meshctl.wire.fields import Fields, pairs, without

if TYPE_CHECKING:
    from meshctl.proxy.exchange import Exchange
    from meshctl.proxy.service import LiveService
    from meshctl.proxy.snapshot import CompiledRoute

Compile = Callable[[Route, "LiveService"], "CompiledRoute"]

_ACCEPT: Final = b"Accept: application/json"
_ALWAYS: Final = frozenset((b"tracestate",))


class Step:
    """One part."""

    def __init__(self, part: Part, whole: Route, route: CompiledRoute) -> None:
        self.name = part.name
        self.need = part.need
        self.group = part.group
        self.timeout = part.timeout
        self.is_pinned = part.version is not None
        self.route = route
        self.target = Target(part.path)
        self.needs = self.target.parts
        """The parts of whose answers it needs values."""
        self.values: dict[Variable, Value] = {
            each: value(each, whole.match.path) for each in self.target.variables if each.kind != PART
        }
        self.edits = Edits(part.edits)
        self.headers = frozenset(name.encode("latin-1") for name in part.headers)
        self._default = part.default

    def __repr__(self) -> str:
        return f"<Step {self.name} of {self.route.name}>"

    @property
    def default(self) -> Any:
        """What stands in its place where it fails; a new one each time, for it may be changed."""
        return json.loads(self._default)


class Plan:
    """The parts of one route, in the order of the file."""

    def __init__(self, route: Route, services: Mapping[str, LiveService], compile_route: Compile) -> None:
        self._services = {part.service: services[part.service] for part in route.parts}
        self.steps = tuple(
            Step(part, route, compile_route(part_route(route, part, live.config), live))
            for part in route.parts
            for live in [_meant(part, services)]
        )
        services_of_parts = ((each.is_pinned, each.route.service) for each in self.steps)
        self.pinned = tuple(live for is_pinned, live in services_of_parts if is_pinned and live is not None)
        """The services of parts that mean one version of them."""
        self.needed = frozenset(name for each in self.steps for name in each.needs)
        """Those of which others need values."""
        edits = route.request_headers
        named = (*edits.set, *edits.add, *((new, old) for old, new in edits.rename))
        self._own = frozenset(name.encode("latin-1") for name, _ in named)

    def __repr__(self) -> str:
        return f"<Plan {', '.join(each.name for each in self.steps)}>"

    def fits(self, services: Mapping[str, LiveService]) -> bool:
        """Whether its services are these."""
        # One version of a service is another object each time.
        return not self.pinned and all(services.get(name) is live for name, live in self._services.items())

    def fields(self, exchange: Exchange, step: Step) -> Fields:
        """The fields of a part's request: those of the client that it may have, and all that the gateway says itself:
        who calls, and what the route sets."""
        route, request = exchange.route, exchange.request
        assert route is not None
        found = without(request.fields, request.named) if route.edits is None else route.edits.edited(exchange)
        may_pass = step.headers | self._own | _ALWAYS
        told = exchange.principal.told if exchange.principal is not None else ()
        kept = [line for line in found if line[: line.index(b":")].lower() in may_pass or line in told]
        if not any(name.lower() == b"accept" for name, _ in pairs(kept)):
            kept.append(_ACCEPT)
        return kept


def _meant(part: Part, services: Mapping[str, LiveService]) -> LiveService:
    service = services[part.service]
    return service.pinned(part.version) if part.version else service


def part_route(route: Route, part: Part, service: Service) -> Route:
    """A part as the route that its requests take."""
    return Route(
        part_name(route.name, part.name),
        # Nothing is matched by it: it says in traces what kind of request it is.
        Match(path=PathMatch("exact", part.path.partition("?")[0])),
        service=part.service,
        rewrite=Rewrite(host=route.rewrite.host),
        timeout=part.timeout,
        retry=service.retry or Retry(),
        priority=route.priority,
        response_bytes=part.edits.limit,
        entry=route.entry,
    )
