"""Asking for new certificates: a greater generation in the store, which every proxy of the service follows."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from meshctl import clock
from meshctl.control import trust_state
from meshctl.control.confirming import Standing
from meshctl.control.trust_state import EVERY_SERVICE
from meshctl.control.who import who
from meshctl.store.protocol import Audit, Store


def rotate(store: Store, services: Sequence[str]) -> None:
    """Have all running proxies of these services, or of every service where none is named, take new certificates."""
    at, me = clock.wall(), who()
    changes = [trust_state.next_generation(store, each, at=at, who=me) for each in services or (EVERY_SERVICE,)]
    audit = Audit(me, at, f"rotate {', '.join(services) if services else 'the certificates of every service'}")
    store.transact(changes, audit=audit)


def lacking_generation(store: Store, services: Sequence[str]) -> Callable[[Standing], str]:
    """Says of a proxy of these services (of any, where none is named) whether its certificate is of an older generation
    than the store asks for now."""
    wanted = {each: trust_state.generation(store, each) for each in services}

    def lack(standing: Standing) -> str:
        if standing.identity is None or (services and standing.service not in wanted):
            return ""
        least = wanted.setdefault(standing.service, trust_state.generation(store, standing.service))
        if standing.identity.generation >= least:
            return ""
        return f"still has the certificate {standing.identity.serial} of generation {standing.identity.generation}"

    return lack
