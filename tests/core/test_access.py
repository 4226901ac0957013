"""Which calls rules between services allow, and which of them denies: examples, and the rules against their definition
for any calls."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshctl.core.access import DEFAULT, compile_rules
from meshctl.core.match import path_fits
from meshctl.model.mesh import Access, Allow
from meshctl.model.route import PathMatch

PAY = Allow("pay", ("web", "gateway"), ("orders",), methods=("POST",), paths=(PathMatch("prefix", "/pay"),))
READ = Allow("read", ("*",), ("orders",), methods=("GET", "HEAD"))
AUDIT = Allow("audit", ("auditor",), ("*",))


@pytest.mark.parametrize(
    ("caller", "method", "path", "denied"),
    [
        ("web", "POST", "/pay", ""),
        ("gateway", "POST", "/pay/7", ""),
        ("web", "POST", "/payments", "pay"),
        ("web", "POST", "/", "pay"),
        ("web", "PUT", "/pay", "pay"),
        ("web", "post", "/pay", "pay"),
        ("bank", "POST", "/pay", "pay"),
        ("bank", "GET", "/anything", ""),
        ("", "GET", "/anything", ""),
        ("", "POST", "/pay", "pay"),
        ("auditor", "DELETE", "/pay", ""),
        ("web", "POST", "/pay/%2E%2E%2Fother", "pay"),
        ("web", "POST", "/pay/a%2F7;x", ""),
        ("web", "POST", "/pay/..;/other", "pay"),
        ("web", "POST", "/pay/%252F7", ""),
        ("web", "POST", "/pay/..%255Cother", "pay"),
    ],
)
def test_some_rule_must_hold(caller: str, method: str, path: str, denied: str) -> None:
    """A call to a service with rules needs one that holds in its caller, its method and its path; else the first one
    about the service denies it. "*" is anybody, also who proved nothing."""
    rules = compile_rules(Access(rules=(PAY, READ, AUDIT)), "orders")
    assert rules is not None
    assert rules.denial(caller, method, path) == denied


@pytest.mark.parametrize(
    ("kind", "value", "allowed", "denied"),
    [
        ("exact", "/a", ["/a"], ["/a/", "/a/b", "/"]),
        ("prefix", "/a", ["/a", "/a/", "/a/b"], ["/ab", "/"]),
        ("prefix", "/", ["/", "/anything"], []),
        ("regex", "/a/[0-9]+", ["/a/7"], ["/a/7/8", "/x/a/7", "/a/"]),
    ],
)
def test_paths(kind: str, value: str, allowed: list[str], denied: list[str]) -> None:
    """A rule's path means what a route's does."""
    rule = Allow("r", ("web",), ("orders",), paths=(PathMatch(kind, value),))  # type: ignore[arg-type]
    rules = compile_rules(Access(rules=(rule,)), "orders")
    assert rules is not None
    assert [rules.denial("web", "GET", path) for path in allowed] == [""] * len(allowed)
    assert [rules.denial("web", "GET", path) for path in denied] == ["r"] * len(denied)


@pytest.mark.parametrize(
    ("default", "rules", "denied"),
    [("allow", (), None), ("deny", (), DEFAULT), ("allow", (PAY,), None), ("deny", (PAY,), DEFAULT)],
)
def test_services_without_rules(default: str, rules: tuple[Allow, ...], denied: str | None) -> None:
    """A service that no rule is about takes everything or nothing, as the default says."""
    compiled = compile_rules(Access(default=default, rules=rules), "stock")  # type: ignore[arg-type]
    assert (compiled and compiled.denial("web", "GET", "/")) == denied


def test_shadow_decides_alike() -> None:
    """Shadow rules say the same; that they are in shadow is said beside."""
    compiled = [compile_rules(Access(shadow=each, rules=(PAY,)), "orders") for each in (False, True)]
    assert [each and each.is_shadow for each in compiled] == [False, True]
    assert [each and each.denial("bank", "POST", "/pay") for each in compiled] == ["pay", "pay"]


NAMES = st.sampled_from(["web", "orders", "bank", "*"])
RULES = st.builds(
    Allow,
    st.sampled_from(["one", "two", "three"]),
    st.lists(NAMES, min_size=1, max_size=2).map(tuple),
    st.lists(NAMES, min_size=1, max_size=2).map(tuple),
    st.lists(st.sampled_from(["GET", "POST"]), max_size=2).map(tuple),
    st.lists(st.builds(PathMatch, st.sampled_from(["prefix", "exact", "regex"]), st.sampled_from(["/", "/a", "/a/b"])),
             max_size=2).map(tuple),
)  # fmt: skip


@given(
    st.builds(Access, st.sampled_from(["allow", "deny"]), st.booleans(), st.lists(RULES, max_size=4).map(tuple)),
    st.sampled_from(["web", "orders", "bank"]),
    st.sampled_from(["web", "bank", ""]),
    st.sampled_from(["GET", "POST"]),
    st.sampled_from(["/", "/a", "/a/", "/a/b", "/ab"]),
)
def test_the_definition(access: Access, callee: str, caller: str, method: str, path: str) -> None:
    """Whatever the rules: a call is allowed where some rule about the callee holds in every part, or where no rule is
    about it and the default allows."""
    about = [each for each in access.rules if {callee, "*"} & set(each.targets)]
    holding = [
        each
        for each in about
        if {caller, "*"} & set(each.sources)
        and (not each.methods or method in each.methods)
        and (not each.paths or any(path_fits(path, one) for one in each.paths))
    ]
    compiled = compile_rules(access, callee)
    denied = compiled.denial(caller, method, path) if compiled else ""
    if about:
        assert denied == ("" if holding else about[0].name)
    else:
        assert denied == ("" if access.default == "allow" else DEFAULT)
