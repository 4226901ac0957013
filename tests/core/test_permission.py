"""Rules about what callers must have: whom they let through, and that no spelling of a path leads around them."""

from __future__ import annotations

from typing import Any

import pytest

from meshctl.core.paths import normalise
from meshctl.core.permission import Rule, first_lack
from meshctl.core.principal import Principal, joined
from meshctl.model.claims import claim_text
from meshctl.model.route import PathMatch, Require

ADA = Principal(
    "ada",
    "users",
    {"sub": "ada", "tier": "gold", "n": 5, "groups": ["a", "b"], "realm": {"x": True}},
    frozenset({"orders:read", "orders:write"}),
    frozenset({"editor"}),
)
NOBODY = Principal("", "")


def denied(principal: Principal, address: str = "10.1.2.3", path: str = "/a", method: str = "GET", **asks: Any) -> str:
    """What a rule that asks this says is lacking."""
    lack = first_lack((Rule(Require("rule", **asks)),), method, path, principal, address)
    return lack.detail if lack else ""


@pytest.mark.parametrize(
    ("asks", "is_met"),
    [
        ({"scopes": ("orders:read",)}, True),
        ({"scopes": ("orders:read", "orders:write")}, True),
        ({"scopes": ("orders:read", "orders:all")}, False),
        ({"roles": ("admin", "editor")}, True),
        ({"roles": ("admin",)}, False),
        ({"claims": (("tier", ("gold", "silver")),)}, True),
        ({"claims": (("tier", ("silver",)),)}, False),
        ({"claims": (("tier", ("gold",)), ("groups", ("c",)))}, False),
        ({"claims": (("groups", ("b",)), ("n", ("5",)), ("realm.x", ("true",)))}, True),
        ({"claims": (("absent", ("",)),)}, False),
        ({"subjects": ("bob", "ada")}, True),
        ({"subjects": ("bob",)}, False),
        ({"owners": ("acme",)}, False),
        ({"identities": ("web",)}, False),
        ({"addresses": ("10.0.0.0/8",)}, True),
        ({"addresses": ("10.1.2.0/30", "::1/128")}, True),
        ({"addresses": ("192.168.0.0/16", "::/0")}, False),
        ({"addresses": ("10.0.0.0/8",), "roles": ("admin",)}, False),
    ],
)
def test_what_is_asked(asks: dict[str, Any], is_met: bool) -> None:
    """Of scopes and claims all must be there, of everything else one."""
    assert is_met == (denied(ADA, **asks) == "")


@pytest.mark.parametrize("name", ["scopes", "roles", "subjects", "owners", "identities"])
def test_nobody_meets_nothing(name: str) -> None:
    """Whoever is not known meets no rule about who it is."""
    assert denied(NOBODY, **{name: ("x",)}) != ""


def test_owners_and_members() -> None:
    """The owner of a key, and a member of the mesh by name or by its whole identity, meet rules about them."""
    acme = Principal("acme", "partners", owner="acme")
    assert denied(acme, owners=("acme",)) == ""
    web = Principal("web", "members", identity="spiffe://shop.mesh/service/web")
    assert denied(web, identities=("web",)) == ""
    assert denied(web, identities=("spiffe://shop.mesh/service/web",)) == ""
    assert denied(web, identities=("spiffe://other.mesh/service/web", "we")) != ""


@pytest.mark.parametrize("address", ["", "unix", "10.1.2", "::ffff:9.9.9.9", "fe80::1%eth0"])
def test_no_address_is_near(address: str) -> None:
    """What is no address, or another one, is not within a network."""
    assert denied(ADA, address, addresses=("10.0.0.0/8",)) != ""


def test_the_first_rule_that_is_not_met() -> None:
    """The first rule about a request that its caller does not meet is the one that is named."""
    rules = tuple(
        map(
            Rule,
            (
                Require("fine", scopes=("orders:read",)),
                Require("elsewhere", paths=(PathMatch("prefix", "/b"),), roles=("x",)),
                Require("others", methods=("POST",), roles=("x",)),
                Require("first", scopes=("orders:read", "orders:all")),
                Require("second", roles=("x",)),
            ),
        )
    )
    lack = first_lack(rules, "GET", "/a", ADA, "")
    assert lack is not None
    assert (lack.rule, lack.detail) == ("first", "lacks the scope orders:all")
    assert lack.scopes == ("orders:read", "orders:all")


@pytest.mark.parametrize(
    "path",
    [
        "/admin",
        "/admin/",
        "/admin/x",
        "/admin%2Fx",
        "/admin%2fx",
        "//admin",
        "/%61dmin",
        "/a%64min/x",
        "/%2561dmin",
        "/admin;a=b",
        "/admin;a=b/x",
        "/x/..;/admin",
        "/x/%2e%2e/admin",
        "/.%2fadmin",
        "/\\admin",
        "/x%5c..%5cadmin/x",
        "/%2Fadmin",
        "/Admin",
        "/ADMIN/x",
        "/x/..%3Ba/%41dmin/",
    ],
)
def test_no_way_around_a_path(path: str) -> None:
    """A rule about "/admin" is about every spelling that a server could take for it."""
    try:
        found = normalise(path)
    except ValueError:
        return  # Refused before any rule.
    assert denied(ADA, path=found, paths=(PathMatch("prefix", "/admin"),), roles=("admin",)) != ""
    if not found.lower().endswith("x"):
        assert denied(ADA, path=found, paths=(PathMatch("exact", "/admin"),), roles=("admin",)) != ""
        assert denied(ADA, path=found, paths=(PathMatch("regex", "/ADM[I]N"),), roles=("admin",)) != ""


@pytest.mark.parametrize("path", ["/", "/administrator", "/x/admin", "/admi"])
def test_other_paths(path: str) -> None:
    """It is not about paths that only look like it."""
    assert denied(ADA, path=path, paths=(PathMatch("prefix", "/admin"),), roles=("admin",)) == ""


def test_get_is_head() -> None:
    """What may not be got may not be asked about with HEAD either."""
    assert denied(ADA, method="HEAD", methods=("GET",), roles=("admin",)) != ""
    assert denied(ADA, method="POST", methods=("GET",), roles=("admin",)) == ""


def test_known_in_two_ways() -> None:
    """Who is known in two ways is called as by the first, may what each of them may, and only as long as both hold."""
    key = Principal("acme", "partners", {"sub": "acme", "plan": "x"}, frozenset({"b"}), owner="acme", until=5.0)
    both = joined((ADA, key))
    assert (both.subject, both.owner, both.until) == ("ada", "acme", 5.0)
    assert {"orders:read", "orders:write", "b"} == both.scopes
    assert (claim_text(both.claims, "sub"), claim_text(both.claims, "plan")) == ("ada", "x")
