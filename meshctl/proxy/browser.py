"""Browsers: whether one asks for a page, where it believes to be, and whether another site's page had it ask. Knows
nothing of why that matters.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from meshctl.proxy.exchange import Exchange
    from meshctl.wire.message import Request


def is_navigation(request: Request) -> bool:
    """Whether a browser wants a page: it takes HTML, and says nothing that a script or an upgrade says."""
    if request.method not in {"GET", "HEAD"} or request.upgrade:
        return False
    if "text/html" not in (request.header("accept") or "").lower():
        return False
    return (request.header("sec-fetch-mode") or "navigate") == "navigate" and not request.header("x-requested-with")


def origin_of(exchange: Exchange) -> tuple[str, bool]:
    """Where the browser believes to be, behind proxies that are trusted, and whether it came there by https."""
    stream, request = exchange.stream, exchange.request
    said = request.special if stream.trusted else {}
    # Of several proxies the first one met the browser.
    scheme = said.get(b"x-forwarded-proto", stream.scheme.encode()).split(b",")[0].strip().lower()
    host = said.get(b"x-forwarded-host", request.authority).split(b",")[0].strip()
    name = "https" if scheme == b"https" else "http"
    return f"{name}://{host.decode('latin-1')}", name == "https"


def is_own(exchange: Exchange) -> bool:
    """Whether a request comes from a page of this host, or from none: no other site's link or form."""
    request = exchange.request
    site = request.header("sec-fetch-site")
    if site is not None and site not in {"same-origin", "none"}:
        return False
    origin = request.header("origin")
    return origin is None or urlsplit(origin).netloc == urlsplit(origin_of(exchange)[0]).netloc
