"""From where a route may be asked: 403 with the name of the list that says no."""

from __future__ import annotations

from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import TYPE_CHECKING, Final

from meshctl.proxy.client_address import client_address
from meshctl.proxy.filters.reply import Filter, Reply, refusal

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from meshctl.model.route import Route
    from meshctl.model.service import Service
    from meshctl.proxy.exchange import Exchange

_REMEMBERED: Final = 4096
"""Addresses whose verdict is kept."""
_LONGEST: Final = 64
"""Characters of an address whose verdict is kept: its zone can be as long as somebody likes."""


def compile_filter(route: Route, _service: Service | None, _guard: Filter | None) -> Filter | None:
    """The filter of a route with lists."""
    return fence(route.allow_addresses, route.deny_addresses)


def fence(allow: Sequence[str], deny: Sequence[str], where: str = "") -> Filter | None:
    """A filter of these lists, None where they are empty. `where` precedes their names."""
    if not (allow or deny):
        return None
    judge = verdict(allow, deny)

    def check(exchange: Exchange) -> Reply | None:
        rule = judge(client_address(exchange))
        if not rule:
            return None
        return refusal(exchange, f"denied:{where}{rule}", "requests from the client's address are not served here")

    return check


def verdict(allow: Sequence[str], deny: Sequence[str]) -> Callable[[str], str]:
    """Which list refuses an address: "deny_addresses", "allow_addresses" or none. What is no address is in no network,
    so that it passes no list of those that may."""
    allowed, denied = ([ip_network(each, strict=False) for each in listed] for listed in (allow, deny))

    def judge(address: str) -> str:
        if _is_in(address, denied):
            return "deny_addresses"
        return "allow_addresses" if allowed and not _is_in(address, allowed) else ""

    known = lru_cache(maxsize=_REMEMBERED)(judge)
    return lambda address: known(address) if len(address) <= _LONGEST else judge(address)


def _is_in(address: str, networks: Sequence[IPv4Network | IPv6Network]) -> bool:
    try:
        found = ip_address(address.partition("%")[0])
    except ValueError:
        return False  # A Unix socket has no address.
    mapped = getattr(found, "ipv4_mapped", None)
    return any(found in network or (mapped is not None and mapped in network) for network in networks)
