"""What else a server could take a path for, and which routes somebody could get around by that."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshctl.core.paths import normalise
from meshctl.core.route_table import RouteTable
from meshctl.core.spelling import exposed, read_otherwise, spellings
from meshctl.model.auth import Need
from meshctl.model.route import Match, PathMatch, Require, Route

from .request import Request

NEED = Need(("users",))


def route(name: str, path: str, service: str = "app", **settings: object) -> Route:
    """A route from a prefix."""
    return Route(name, Match(path=PathMatch("prefix", path)), service=service, **settings)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("path", "others"),
    [
        ("/plain/caf%C3%A9", {"/plain/caf%C3%A9"}),
        ("/a%2Fb", {"/a%2Fb", "/a/b"}),
        ("/a%252Fb", {"/a%252Fb", "/a%2Fb", "/a/b"}),
        ("/x/..;/a", {"/x/..;/a", "/a"}),
        ("//a;v=1/b", {"//a;v=1/b", "/a/b"}),
        ("/x%5C..%5Ca", {"/x%5C..%5Ca", "/a"}),
    ],
)
def test_spellings(path: str, others: set[str]) -> None:
    """Escapes decoded once and twice, slashes merged, parameters cut, dots resolved; all in their normal form."""
    assert set(spellings(path)) == others


@given(st.text("/%2e5c.;\\ax", max_size=30))
def test_spellings_of_anything(text: str) -> None:
    """Every path has itself among its spellings, first, and all of them are paths."""
    try:
        path = normalise("/" + text)
    except ValueError:
        return
    found = spellings(path)
    assert found[0] == path
    assert all(each.startswith("/") for each in found)


@pytest.mark.parametrize(
    ("routes", "names"),
    [
        ([route("admin", "/admin", auth=NEED), route("open", "/")], {"open"}),
        ([route("admin", "/admin", auth=NEED), route("open", "/", "other")], set()),
        ([route("admin", "/admin", auth=NEED), route("users", "/", auth=NEED)], set()),
        ([route("admin", "/admin", auth=NEED), route("users", "/", auth=Need(("keys",)))], {"admin", "users"}),
        ([route("admin", "/admin", require=(Require("r", roles=("x",)),)), route("open", "/")], {"open"}),
        ([route("admin", "/admin", allow_addresses=("10.0.0.0/8",)), route("open", "/")], {"open"}),
        ([route("admin", "/admin", auth=NEED), route("open", "/", entry="inbound")], set()),
        ([route("a", "/a"), route("b", "/")], set()),
    ],
)
def test_who_is_exposed(routes: list[Route], names: set[str]) -> None:
    """A route to a service that another one guards otherwise, and no other."""
    assert exposed(routes) == names


@pytest.mark.parametrize(
    "path", ["//admin", "/%2561dmin", "/admin%2Fx", "/x/..;/admin", "/admin;x", "/x%2F..%2Fadmin/x"]
)
def test_no_way_around_a_route(path: str) -> None:
    """A path that could be read as one of the guarded route is not one of the open route."""
    routes = [route("admin", "/admin", auth=NEED), route("open", "/")]
    table = RouteTable([(each.match, each) for each in routes])
    request = Request(path=path)
    found = table.find(request)
    assert found is routes[1]
    other = read_otherwise(table.find, request, found)
    assert other is not None
    assert other[0] == "admin"
    assert read_otherwise(table.find, Request(path="/files//a%2Fb;x"), found) is None
