"""What a request would meet at the cache of its route, in words, for `routes explain`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from meshctl.core.cache_control import asked
from meshctl.model.units import format_duration, format_size

if TYPE_CHECKING:
    from meshctl.model.caching import Caching
    from meshctl.model.route import Route
    from meshctl.wire.message import Request

_PARTIAL: Final = ("range", "if-range", "if-match", "if-unmodified-since")
_CALLERS: Final = {
    "anonymous": "for all",
    "each": "for this caller alone",
    "all": "for all who may call",
}


def describe_cache(route: Route, request: Request) -> tuple[str, ...]:
    """A line where the route has a cache."""
    config = route.cache
    if config is None or route.service is None:
        return ()
    if request.method not in {"GET", "HEAD", "OPTIONS", "TRACE"}:
        return ("cache: passes by, and ends what is kept of this URL unless it fails",)
    why = _passes(config, request)
    if why:
        return (f"cache: passes by: {why}",)
    control = asked(request.header("cache-control"), request.header("pragma")) if config.reload else asked(None)
    if control.no_cache or not control.max_age:
        first = "the service is asked, as the client wants"
    elif control.only_if_cached:
        first = "answered from it, or refused with not_cached"
    else:
        first = "answered from it where it has a fresh answer, else by the service"
    return (f"cache: {first}; {_kept(config, request)}",)


def _passes(config: Caching, request: Request) -> str:
    if request.method not in {"GET", "HEAD"}:
        return f"{request.method} is never answered from it"
    for name in _PARTIAL:
        if request.header(name) is not None:
            return f"{name} is for the service"
    if config.callers == "anonymous":
        for name in ("authorization", "cookie"):
            if request.header(name) is not None:
                return f'{name} says who calls, and callers = "anonymous"'
    if config.reload and asked(request.header("cache-control")).no_store:
        return "the client says no-store"
    return ""


def _kept(config: Caching, request: Request) -> str:
    if request.method == "HEAD":
        return "an answer to HEAD is not kept"
    default = f", or for {format_duration(config.default)} where it does not say" if config.default else ""
    return (
        f"the service's answer is kept as that says{default}, {_CALLERS[config.callers]}, "
        f"up to {format_size(config.largest)}"
    )
