"""Waiting until every running proxy really has what the store asks for: by asking the proxies, not the store.

Whoever rotates certificates or roots must not go on while one proxy is behind: here is which, and why.
"""

from __future__ import annotations

from collections.abc import Callable
from threading import Event
from typing import Final

import msgspec

from meshctl import clock
from meshctl.control.acks import proxies
from meshctl.control.client import ask_all
from meshctl.model.views import IdentityView, ProxyView
from meshctl.store.protocol import Store

# How often proxies are asked again: a proxy needs some tenths of a second for a new certificate.
_LOOK: Final = 0.1


class Standing(msgspec.Struct, frozen=True):
    """One running proxy and the identity it has now: None where it has none, or did not say (`silence` tells why)."""

    proxy: str
    service: str
    identity: IdentityView | None
    silence: str = ""


def standings(store: Store) -> list[Standing]:
    """How all running proxies stand, in the order of their ids. Those that have no part in the mesh are left out."""
    found = []
    for answer in ask_all(records, "/v1/status") if (records := proxies(store)) else []:
        if answer.error is not None:
            found.append(Standing(answer.record.id, "", None, answer.error.message))
            continue
        view = msgspec.json.decode(answer.body, type=ProxyView)
        if view.identity is not None:
            # The path of an identity of ours is "/service/<name>".
            service = view.identity.spiffe.rpartition("/")[2]
            found.append(Standing(view.id, service, view.identity))
    return sorted(found, key=lambda each: each.proxy)


def await_all(
    store: Store,
    lack: Callable[[Standing], str],
    timeout: float,
    on_change: Callable[[Standing, str], None],
) -> dict[str, str]:
    """Wait until no running proxy lacks anything, or `timeout` seconds: what is still lacking, by proxy.

    `lack` says what a proxy lacks, or nothing; one that does not answer lacks that. `on_change` is told of each proxy,
    at first and whenever that has changed; one that ended is not waited for."""
    deadline = clock.monotonic() + timeout
    told: dict[str, str] = {}
    pause = Event()
    while True:
        now = {each.proxy: (each, each.silence or lack(each)) for each in standings(store)}
        for proxy, (standing, lacking) in now.items():
            if told.get(proxy) != lacking:
                told[proxy] = lacking
                on_change(standing, lacking)
        behind = {proxy: lacking for proxy, (_, lacking) in now.items() if lacking}
        if not behind or clock.monotonic() >= deadline:
            return behind
        pause.wait(_LOOK)
