"""Who may call the wrapped app: the rules between services, kept by the sidecar of the one that is called."""

from __future__ import annotations

from typing import TYPE_CHECKING

from meshctl.proxy.filters.reply import Filter, Reply, refusal

if TYPE_CHECKING:
    from meshctl.model.route import Route
    from meshctl.model.service import Service
    from meshctl.proxy.exchange import Exchange


def compile_filter(route: Route, _service: Service | None, _guard: Filter | None) -> Filter | None:
    """The filter of a route to the wrapped app."""
    return check if route.entry == "inbound" else None


def check(exchange: Exchange) -> Reply | None:
    """403 for a call that no rule allows, or with shadow rules its count."""
    snapshot = exchange.snapshot
    rules = snapshot.rules
    if rules is None:
        return None
    method, path, caller = exchange.request.method, exchange.path, exchange.stream.peer
    rule = rules.denial(caller, method, path)
    if not rule or (path == snapshot.own_health and method in {"GET", "HEAD"} and caller):
        # Every member balances over the endpoints by their health, also one that may ask for nothing else.
        return None
    exchange.worker.counters.deny(rule, caller, is_shadow=rules.is_shadow)
    if rules.is_shadow:
        return None
    who = f'"{caller}"' if caller else "a caller without identity"
    return refusal(exchange, f"denied:{rule}", f"{who} may not {method} {path} here")
