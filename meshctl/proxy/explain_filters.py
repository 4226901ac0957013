"""What each filter would say of a request, for `routes explain`: one entry for each filter there is, in their order.

It knows which words belong to which filter; the words themselves are found by the modules beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Final, NamedTuple

from meshctl.model.names import LOCAL
from meshctl.proxy.described import describe_login
from meshctl.proxy.explain_cache import describe_cache
from meshctl.proxy.explain_checked import describe_checked
from meshctl.proxy.explain_limits import describe_addresses, describe_bandwidth, describe_quotas, describe_rates
from meshctl.proxy.explain_passing import describe_api, describe_compression, describe_cors, describe_json
from meshctl.proxy.filters import FILTERS

if TYPE_CHECKING:
    from meshctl.core.principal import Principal
    from meshctl.model.mesh import Mesh
    from meshctl.model.part import Part
    from meshctl.model.route import Route
    from meshctl.model.service import Service
    from meshctl.proxy.explain_auth import Vouched
    from meshctl.proxy.meters import Meters
    from meshctl.wire.message import Request


class Asked(NamedTuple):
    """A request that nobody sent, the route that takes it, and what is known of both."""

    mesh: Mesh
    route: Route
    service: Service | None
    request: Request
    vouched: Vouched | None
    meters: Meters | None
    destination: Callable[[Part], tuple[str, str]]
    """The version and the endpoint that a part would get, in words."""
    callers: list[Principal]
    """Who calls, once that was found."""


def describe_filters(asked: Asked) -> tuple[str, ...]:
    """What they would say, in the order in which the request would meet them."""
    return tuple(line for name in FILTERS for line in EXPLAINED[name](asked))


def _access(asked: Asked) -> Iterable[str]:
    if asked.route.entry != "inbound" or asked.service is None:
        return
    from meshctl.core.access import compile_rules

    rules = compile_rules(asked.mesh.access, asked.service.name.removeprefix(f"{LOCAL}:"))
    if rules is None:
        yield "access: anybody may call"
        return
    denial = rules.denial("", asked.request.method, asked.request.path)
    said = f"denied:{denial}" + (", which is only counted" if rules.is_shadow else "") if denial else "let in"
    yield f"access: by the caller's identity; one without is {said}"


def _raw_only(asked: Asked) -> Iterable[str]:
    if asked.service is not None and asked.service.protocol == "tcp":
        yield "protocol: raw TCP, requests are refused: 400 not_http"


def _auth(asked: Asked) -> Iterable[str]:
    mesh, route = asked.mesh, asked.route
    if route.login:
        return (describe_login(mesh, route),)
    if route.auth is None and not route.require:
        return ()
    from meshctl.proxy.explain_auth import Vouched, describe_auth

    return describe_auth(mesh, route, asked.request, asked.vouched or Vouched(), asked.callers)


def _parts(asked: Asked) -> Iterable[str]:
    if not asked.route.parts:
        return ()
    from meshctl.proxy.explain_parts import describe_parts

    return describe_parts(asked.route, asked.request, asked.destination)


def _said_elsewhere(_asked: Asked) -> Iterable[str]:
    return ()


EXPLAINED: Final[Mapping[str, Callable[[Asked], Iterable[str]]]] = {
    "access": _access,
    "raw_only": _raw_only,
    "addresses": lambda asked: describe_addresses(asked.mesh, asked.route),
    "cors": lambda asked: describe_cors(asked.route, asked.request),
    "rate_limits": lambda asked: describe_rates(
        asked.route, asked.request, asked.callers, asked.meters, of_callers=False
    ),
    "api_versions": lambda asked: describe_api(asked.route),
    "auth": _auth,
    # Whether rules are met follows from who was found to call: `auth` says both.
    "require": _said_elsewhere,
    # So does `api_versions` with the end of a version.
    "api_versions_that_go": _said_elsewhere,
    "rate_limits_of_callers": lambda asked: describe_rates(
        asked.route, asked.request, asked.callers, asked.meters, of_callers=True
    ),
    "quotas": lambda asked: describe_quotas(asked.route, asked.request, asked.callers, asked.meters),
    "validation": lambda asked: describe_checked(asked.route, asked.request),
    "bandwidth": lambda asked: describe_bandwidth(asked.route),
    "compression": lambda asked: describe_compression(asked.route, asked.request),
    "response_body": lambda asked: describe_json("answer's body", asked.route.response_body),
    "request_body": lambda asked: describe_json("request body", asked.route.request_body),
    "cache": lambda asked: describe_cache(asked.route, asked.request),
    # Both are the target, which stands in a line of its own.
    "redirect": _said_elsewhere,
    "respond": _said_elsewhere,
    "parts": _parts,
}
