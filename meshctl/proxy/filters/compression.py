"""Which coding the answer may have, by what the client takes. The answer itself is `compressing`'s business."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from meshctl.core.accept_encoding import preferred
from meshctl.proxy.filters.reply import Filter, Reply
from meshctl.wire.fields import Fields

if TYPE_CHECKING:
    from meshctl.model.route import Route
    from meshctl.model.service import Service
    from meshctl.proxy.exchange import Exchange

_INITIALS: Final = frozenset(b"AaRr")


def compile_filter(route: Route, _service: Service | None, _guard: Filter | None) -> Filter | None:
    """The filter of a route with `compression`."""
    settings = route.compression
    if settings is None:
        return None
    from meshctl.proxy.codings import there
    from meshctl.proxy.compressing import Compressing

    offered = there(settings.codings)

    def choose(exchange: Exchange) -> Reply | None:
        request = exchange.request
        accepted = taken(request.fields)
        # An answer to HEAD has nothing to compress, and what follows an upgrade is no answer.
        if not accepted or request.method == "HEAD" or request.upgrade:
            return None
        coding = preferred(accepted, offered)
        if coding:
            exchange.stream = Compressing(exchange, settings, coding)
        return None

    return choose


def taken(fields: Fields) -> str:
    """What a client takes; "" where it wants a part, which must be one of what it has already.

    >>> taken([b"Accept: */*", b"accept-encoding: gzip", b"Accept-Encoding: br"])
    'gzip,br'
    """
    found: list[bytes] = []
    for line in fields:
        # Asked of every field of every request: most are told by their first letter.
        if line[0] in _INITIALS:
            name, _, value = line.partition(b":")
            low = name.lower()
            if low == b"range":
                return ""
            if low == b"accept-encoding":
                found.append(value.strip())
    return b",".join(found).decode("latin-1")
