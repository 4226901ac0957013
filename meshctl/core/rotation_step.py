"""How the mesh goes from one root to another without a moment in which two proxies do not trust each other. Pure.

    planned ──▶ trusting ──▶ reissuing ──▶ dropping ──▶ over, on the new root
       │            │            │
       │            │            └──▶ returning ──┐                             down: an abort
       └────────────┴─────────────────────────────┴──▶ untrusting ──▶ over, on the old root

A step says which roots are trusted and under which one certificates are issued. It may be left only when each running
proxy trusts exactly these and has a certificate under that one: then whatever its neighbours do next, it understands.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final, Literal, NamedTuple

Step = Literal["planned", "trusting", "reissuing", "dropping", "returning", "untrusting"]
Side = Literal["old", "new"]


class Rule(NamedTuple):
    """What holds during a step, which one follows it (None: the rotation is over), and where an abort goes from it
    (None: too late)."""

    trusted: tuple[Side, ...]
    issuing: Side
    then: Step | None
    back: Step | None
    meaning: str


RULES: Final[dict[Step, Rule]] = {
    "planned": Rule(("old",), "old", "trusting", "untrusting", "the new root is made"),
    "trusting": Rule(("old", "new"), "old", "reissuing", "untrusting", "both roots are trusted"),
    "reissuing": Rule(("old", "new"), "new", "dropping", "returning", "certificates are issued under the new root"),
    "dropping": Rule(("new",), "new", None, None, "the old root is trusted no longer"),
    "returning": Rule(
        ("old", "new"), "old", "untrusting", "returning", "certificates are issued under the old root again"
    ),
    "untrusting": Rule(("old",), "old", None, "untrusting", "the new root is trusted no longer"),
}


def lacks(step: Step, *, old: str, new: str, issuer: str, roots: Collection[str]) -> str:
    """What a proxy lacks before the step may be left, or nothing. `issuer` is the fingerprint of the root its
    certificate is under, `roots` are those it trusts."""
    rule = RULES[step]
    sides = {"old": old, "new": new}
    names = {old: "the old root", new: "the new root"}
    wanted = {sides[side] for side in rule.trusted}
    if missing := wanted - set(roots):
        return f"does not trust {' and '.join(sorted(names[each] for each in missing))} yet"
    if extra := set(roots) - wanted:
        return f"still trusts {' and '.join(sorted(names.get(each, f'the root {each[:8]}') for each in extra))}"
    if issuer != sides[rule.issuing]:
        return f"has its certificate under {names.get(issuer, f'the root {issuer[:8]}')}"
    return ""
