"""What `routes explain` says of filters: something of each that there is, in the order in which requests meet them."""

from __future__ import annotations

from typing import Any, cast

import pytest

from meshctl.model.api import ApiRoute
from meshctl.model.auth import ApiKey, Auth, Need
from meshctl.model.caching import Caching
from meshctl.model.checked import BodySchema
from meshctl.model.explained import ExplainView
from meshctl.model.limits import By, Quota, RateLimit
from meshctl.model.mesh import Access, Allow, Mesh
from meshctl.model.part import Part
from meshctl.model.passing import Compression, Cors, JsonEdits
from meshctl.model.route import Redirect, Require, Respond, Route
from meshctl.model.service import Endpoint, Service, Version
from meshctl.proxy.explain import explain
from meshctl.proxy.explain_filters import EXPLAINED
from meshctl.proxy.filters import FILTERS
from meshctl.proxy.filters.reply import Filter

from .lone_proxy import mesh_of

ENDPOINTS = (Version("default", (Endpoint("127.0.0.1", 1),)),)
APP = Service("app", ENDPOINTS)
OWN = Service("local:app", ENDPOINTS)
RAW = Service("app", ENDPOINTS, protocol="tcp")
KEYS = Auth("keys", api_key=ApiKey())
RULES = Access(rules=(Allow("pay", ("web",), ("app",)),))
GUARD = cast("Filter", object())


def to_app(**settings: Any) -> Route:
    """A route to the service."""
    return Route("r", service="app", **settings)


CASES: dict[str, tuple[Service, Route, str]] = {
    "access": (OWN, Route("r", service="local:app", entry="inbound"),
               "access: by the caller's identity; one without is denied:pay"),
    "raw_only": (RAW, to_app(), "protocol: raw TCP, requests are refused: 400 not_http"),
    "addresses": (APP, to_app(deny_addresses=("127.0.0.0/8",)), "addresses: from 127.0.0.1 denied:deny_addresses"),
    "cors": (APP, to_app(cors=Cors(("https://a.example",))), "cors: pages of https://a.example may read the answer"),
    "rate_limits": (APP, to_app(rate_limits=(RateLimit("one", 9, 1.0, 9),)),
                    "rate limit one: 9/s, 9 at once, by client address"),
    "api_versions": (APP, Route("r", respond=Respond(404), api=ApiRoute("shop", "r", "unknown", status=404)),
                     "api: none of the versions of shop: 404 unknown_api_version"),
    "auth": (APP, to_app(auth=Need(("keys",))),
             "auth keys (api_key): an API key is needed, in the header x-api-key: unauthenticated"),
    "require": (APP, to_app(require=(Require("admins", roles=("admin",)),)),
                "require admins: the caller needs the role admin: denied:admins"),
    "api_versions_that_go": (APP, to_app(api=ApiRoute("shop", "r", "version", "v1", sunset=0.0, is_enforced=True)),
                             "api: version v1 of shop, refused from 1970-01-01 on: 410 api_version_gone"),
    "rate_limits_of_callers": (APP, to_app(rate_limits=(RateLimit("one", 9, 1.0, 9, By("key")),)),
                               "rate limit one: 9/s, 9 at once, by caller"),
    "quotas": (APP, to_app(quotas=(Quota("daily", 7),)), "quota daily: 7 in a day, by client address"),
    "validation": (APP, to_app(request_schema=BodySchema("/s.json", schema="{}")),
                   "body: JSON of up to 1MiB that meets s.json"),
    "bandwidth": (APP, to_app(bandwidth=1024), "bandwidth: 1KiB/s for the body of an answer"),
    "compression": (APP, to_app(compression=Compression()), "compression: none that the client takes"),
    "response_body": (APP, to_app(response_body=JsonEdits(keep=("$.a",))), "answer's body: keep in JSON of up to 1MiB"),
    "request_body": (APP, to_app(request_body=JsonEdits(keep=("$.a",))), "request body: keep in JSON of up to 1MiB"),
    "cache": (APP, to_app(cache=Caching()),
              "cache: answered from it where it has a fresh answer, else by the service; the service's answer is kept "
              "as that says, for all, up to 1MiB"),
    "redirect": (APP, Route("r", redirect=Redirect(path="/new")), "redirect 302 /new"),
    "respond": (APP, Route("r", respond=Respond(204)), "respond 204"),
    "parts": (APP, Route("r", parts=(Part("one", "app", "/1"),)),
              "part one: GET /1 of app; 127.0.0.1:1; up to 1MiB; the whole fails without it"),
}  # fmt: skip
"""For each filter a service, a route that has the filter, and what is said of it."""


def asked(service: Service, route: Route) -> ExplainView:
    """What is said of a request to the route."""
    mesh: Mesh = mesh_of(service, routes=(route,), auth=(KEYS,), access=RULES)
    return explain(mesh, "GET", "/")


def test_every_filter_is_explained() -> None:
    """No filter is without words, here and there."""
    assert list(EXPLAINED) == list(FILTERS)
    assert list(CASES) == list(FILTERS)


@pytest.mark.parametrize("name", FILTERS)
def test_what_is_said(name: str) -> None:
    """A route that has the filter says so, and one that has not does not."""
    service, route, said = CASES[name]
    assert FILTERS[name](route, service, GUARD if route.auth is not None else None) is not None
    view = asked(service, route)
    assert said in (*view.policies, view.target)
    plain = asked(APP, to_app())
    assert said not in (*plain.policies, plain.target)


def test_the_order() -> None:
    """What is said stands in the order in which the filters are met."""
    route = to_app(
        auth=Need(("keys",)),
        cors=Cors(("https://a.example",)),
        quotas=(Quota("daily", 7),),
        rate_limits=(RateLimit("one", 9, 1.0, 9),),
        response_body=JsonEdits(),
        deny_addresses=("10.0.0.0/8",),
    )
    first = [each.partition(" ")[0].rstrip(":") for each in asked(APP, route).policies]
    assert first[:7] == ["addresses", "cors", "rate", "auth", "auth", "quota", "answer's"]


def test_rules_between_services() -> None:
    """Rules that are only counted, or that nobody has written, refuse nobody; so it is said."""
    route = Route("r", service="local:app", entry="inbound")
    shadow = Access(shadow=True, rules=RULES.rules)
    for access, said in (
        (shadow, "access: by the caller's identity; one without is denied:pay, which is only counted"),
        (Access(), "access: anybody may call"),
        (Access(rules=(Allow("any", ("*",), ("app",)),)), "access: by the caller's identity; one without is let in"),
    ):
        assert said in explain(mesh_of(OWN, routes=(route,), access=access), "GET", "/").policies
