"""May this caller ask this of this service? The rules between services, compiled for the one that is called. Pure;
knows callers by the names that they proved, "" for one that proved none.

>>> from meshctl.model.mesh import Access, Allow
>>> rules = compile_rules(Access(rules=(Allow("pay", ("web",), ("orders",), methods=("POST",)),)), "orders")
>>> rules.denial("web", "POST", "/"), rules.denial("web", "GET", "/")
('', 'pay')
"""

from __future__ import annotations

from typing import Final

from meshctl.core.match import path_test
from meshctl.core.spelling import spellings
from meshctl.model.mesh import Access, Allow

ANYONE: Final = "*"
DEFAULT: Final = "default"
"""What denies where no rule is about the service."""


class _Rule:
    """One rule, ready to be asked."""

    __slots__ = ("_methods", "_paths", "_sources", "name")

    def __init__(self, rule: Allow) -> None:
        self.name = rule.name
        self._sources = None if ANYONE in rule.sources else frozenset(rule.sources)
        self._methods = frozenset(rule.methods) or None
        self._paths = tuple(path_test(each) for each in rule.paths) or None

    def allows(self, caller: str, method: str, path: str) -> bool:
        """Whether the rule holds for the call."""
        if self._sources is not None and caller not in self._sources:
            return False
        if self._methods is not None and method not in self._methods:
            return False
        # However the app reads the path, it must be one that may be asked for.
        return self._paths is None or all(any(test(each) for test in self._paths) for each in spellings(path))


class Rules:
    """All that is said about calls to one service."""

    def __init__(self, rules: tuple[Allow, ...], *, is_shadow: bool) -> None:
        self.is_shadow = is_shadow
        """Whether a denial is only counted."""
        self._rules = tuple(_Rule(each) for each in rules)
        self._first = rules[0].name if rules else DEFAULT

    def __repr__(self) -> str:
        return f"<Rules {len(self._rules)}{' in shadow' if self.is_shadow else ''}>"

    def denial(self, caller: str, method: str, path: str) -> str:
        """The name of what denies the call, "" where it is allowed: the first rule about the service, or `DEFAULT`."""
        for rule in self._rules:
            if rule.allows(caller, method, path):
                return ""
        return self._first


def compile_rules(access: Access, callee: str) -> Rules | None:
    """The rules about calls to `callee`; None where anybody may ask anything."""
    about = tuple(each for each in access.rules if callee in each.targets or ANYONE in each.targets)
    if not about and access.default == "allow":
        return None
    return Rules(about, is_shadow=access.shadow)
