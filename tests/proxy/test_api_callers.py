"""Who called a version of an API, by the best that is known, and never more of them than a bound."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from meshctl.core.principal import Principal
from meshctl.model.views import ApiCallerView
from meshctl.proxy.api_callers import MOST_CALLERS, ApiCallers

SPIFFE = "spiffe://shop.mesh/service/web"


@dataclass
class Stream:
    """As much of a client as is looked at."""

    client: str = "192.0.2.1"
    identity: str = ""
    peer: str = ""
    trusted: bool = False


@dataclass
class Exchange:
    """As much of an exchange."""

    stream: Stream = field(default_factory=Stream)
    principal: Principal | None = None


@pytest.mark.parametrize(
    ("exchange", "via", "caller"),
    [
        (Exchange(), "address", "192.0.2.1"),
        (Exchange(Stream("2001:db8:1:2:3::4")), "address", "2001:db8:1:2::/64"),
        (Exchange(Stream("")), "address", ""),
        (Exchange(Stream(identity=SPIFFE, peer="web")), "identity", SPIFFE),
        (Exchange(Stream(peer="web")), "identity", "web"),
        (Exchange(Stream(identity=SPIFFE), Principal("acme", "keys")), "keys", "acme"),
    ],
)
def test_who(exchange: Exchange, via: str, caller: str) -> None:
    """A caller is known by its route's auth, else by its certificate, else by its address or network."""
    callers = ApiCallers()
    callers.came("a", "v1", exchange, 7.0)  # type: ignore[arg-type]
    callers.came("a", "v1", exchange, 8.0)  # type: ignore[arg-type]
    assert callers.views() == [ApiCallerView("a", "v1", caller, via, 2, 8.0)]


@pytest.mark.parametrize("subject", ["x" * 10_000, "a\x1b[2Jb", "a\nb"])
def test_what_cannot_be_shown(subject: str) -> None:
    """What is long, or would not stay on its line, is remembered by its hash."""
    callers = ApiCallers()
    callers.came("a", "v1", Exchange(principal=Principal(subject, "users")), 1.0)  # type: ignore[arg-type]
    (found,) = callers.views()
    assert found.caller.startswith("sha256:")
    assert len(found.caller) < 100


def test_many() -> None:
    """Of more callers than are remembered those are forgotten that were seen longest ago, of each version by itself."""
    callers = ApiCallers()
    callers.came("a", "v2", Exchange(principal=Principal("first", "keys")), 0.0)  # type: ignore[arg-type]
    for number in range(MOST_CALLERS + 10):
        callers.came("a", "v1", Exchange(principal=Principal(f"s{number}", "keys")), float(number))  # type: ignore[arg-type]
        callers.came("a", "v1", Exchange(principal=Principal("s0", "keys")), float(number))  # type: ignore[arg-type]
    found = {(each.version, each.caller) for each in callers.views()}
    assert len(found) == MOST_CALLERS + 1
    assert {("v2", "first"), ("v1", "s0"), ("v1", f"s{MOST_CALLERS + 9}")} <= found
    assert ("v1", "s1") not in found
