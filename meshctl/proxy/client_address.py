"""The address of whoever asks, behind the proxies that are believed."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from meshctl.proxy.exchange import Exchange


def client_address(exchange: Exchange) -> str:
    """The address of the client itself, behind proxies that are trusted; "" where they do not say."""
    stream = exchange.stream
    if not stream.trusted:
        return stream.client
    hops = exchange.request.special.get(b"x-forwarded-for", b"").decode("latin-1").split(",")
    found = stream.client
    for hop in reversed([each.strip() for each in hops if each.strip()]):
        found = hop
        try:
            if not exchange.snapshot.trusts(hop):
                break
        except ValueError:
            return ""
    return found
