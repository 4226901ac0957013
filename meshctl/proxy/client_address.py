"""The address of whoever asks, behind the proxies that are believed."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from meshctl.proxy.exchange import Exchange
    from meshctl.proxy.snapshot import Snapshot
    from meshctl.wire.message import Request


def client_address(exchange: Exchange) -> str:
    """The address of the client itself, behind proxies that are trusted; "" where they do not say."""
    stream = exchange.stream
    return told_address(stream.client, exchange.request, exchange.snapshot) if stream.trusted else stream.client


def told_address(client: str, request: Request, snapshot: Snapshot) -> str:
    """The same for a request that comes from a proxy at `client` which is believed."""
    hops = request.special.get(b"x-forwarded-for", b"").decode("latin-1").split(",")
    found = client
    for hop in reversed([each.strip() for each in hops if each.strip()]):
        found = hop
        try:
            if not snapshot.trusts(hop):
                break
        except ValueError:
            return ""
    return found
