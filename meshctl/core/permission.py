"""May this caller ask this of this route? The rules of `require`, compiled: the first that is not met refuses. Pure.

A rule about a path must hold however the path is spelt: an upstream may read "/%61dmin", "//admin", "/admin;x",
"/ADMIN" or "/admin/" as "/admin", so each rule is asked about all that a path could mean (`spelling`), and a rule
about GET is also one about HEAD.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from ipaddress import ip_network
from typing import Final

import msgspec

from meshctl.core.match import PATTERNS, path_pattern, path_test
from meshctl.core.principal import Principal
from meshctl.core.spelling import spellings
from meshctl.model.address import bare_address
from meshctl.model.claims import claim_values
from meshctl.model.route import PathMatch, Require

_SERVICE: Final = "/service/"


class Lack(msgspec.Struct, frozen=True):
    """What a caller lacks of a rule: the rule's name, what it asks for, and the scopes that would do."""

    rule: str
    detail: str
    scopes: tuple[str, ...] = ()


class Rule:
    """One rule, ready to be asked."""

    __slots__ = ("_asks", "_claims", "_identities", "_methods", "_networks", "_owners", "_paths", "_roles", "_scopes",
                 "_subjects", "name")  # fmt: skip

    def __init__(self, config: Require) -> None:
        self.name = config.name
        methods = {*config.methods, "HEAD"} if "GET" in config.methods else set(config.methods)
        self._methods = frozenset(methods) or None
        self._paths = tuple(map(_path_test, config.paths)) or None
        self._asks = config
        self._scopes = frozenset(config.scopes)
        self._roles = frozenset(config.roles)
        self._claims = tuple((name, frozenset(values)) for name, values in config.claims)
        self._subjects = frozenset(config.subjects)
        self._owners = frozenset(config.owners)
        self._identities = frozenset(config.identities)
        self._networks = tuple(ip_network(each, strict=False) for each in config.addresses)

    def __repr__(self) -> str:
        return f"<Rule {self.name}>"

    def concerns(self, method: str, path: str) -> bool:
        """Whether it is about such a request."""
        if self._methods is not None and method not in self._methods:
            return False
        if self._paths is None:
            return True
        read = [each.lower() for each in spellings(path)]
        read += [each.rstrip("/") or "/" for each in read if each[-1:] == "/"]
        return any(test(each) for each in read for test in self._paths)

    def lack(self, principal: Principal, address: str) -> str:
        """What the caller lacks of it, in words; "" where it is met."""
        asks = self._asks
        if self._networks and not self._is_near(address):
            return "the client's address is not among those that may"
        if missing := self._scopes - principal.scopes:
            return f"lacks the scope {_listed(asks.scopes, missing)}"
        if self._roles and self._roles.isdisjoint(principal.roles):
            return f"needs the role {' or '.join(asks.roles)}"
        for name, values in self._claims:
            if values.isdisjoint(claim_values(principal.claims, name)):
                return f"needs another value of the claim {name}"
        if self._subjects and principal.subject not in self._subjects:
            return "is not among those who may"
        if self._owners and principal.owner not in self._owners:
            return "needs the API key of another owner"
        if self._identities and self._identities.isdisjoint(_names(principal.identity)):
            return "is not one of the members of the mesh that may"
        return ""

    def scopes_for(self, principal: Principal) -> tuple[str, ...]:
        """All scopes that it asks for, where the caller lacks one."""
        return self._asks.scopes if self._scopes - principal.scopes else ()

    def _is_near(self, address: str) -> bool:
        try:
            found = bare_address(address)
        except ValueError:
            return False  # A Unix socket has no address.
        return any(found in network for network in self._networks)


def first_lack(rules: tuple[Rule, ...], method: str, path: str, principal: Principal, address: str) -> Lack | None:
    """The first rule about a request that its caller does not meet."""
    for rule in rules:
        if rule.concerns(method, path) and (lack := rule.lack(principal, address)):
            return Lack(rule.name, lack, rule.scopes_for(principal))
    return None


def _path_test(config: PathMatch) -> Callable[[str], object]:
    """Whether a path in lower case, without a slash at its end, is one that a rule is about. Many servers take case and
    that slash for nothing: what is meant to be guarded must be."""
    if config.kind in PATTERNS:
        return re.compile(path_pattern(config), re.IGNORECASE).fullmatch
    return path_test(PathMatch(config.kind, config.value.lower().rstrip("/") or "/"))


def _names(identity: str) -> Mapping[str, None]:
    """A SPIFFE ID and the service that it names."""
    _, mark, service = identity.rpartition(_SERVICE)
    return dict.fromkeys((identity, service) if mark else (identity,) if identity else ())


def _listed(order: tuple[str, ...], missing: frozenset[str]) -> str:
    return " ".join(each for each in order if each in missing)
