"""Waiting for running proxies, in front of somebody who watches: each one told as it gets there, or why it does not."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from meshctl.cli.session import Session

if TYPE_CHECKING:
    from meshctl.control.confirming import Standing
    from meshctl.store.protocol import Store


def follow(
    session: Session,
    store: Store,
    lack: Callable[[Standing], str],
    timeout: float,
    *,
    seen: dict[str, Standing] | None = None,
    services: Sequence[str] = (),
) -> dict[str, str]:
    """Wait until no proxy lacks anything, telling of each as it gets there; what is still lacking, by proxy. `seen`
    takes the proxies of these services (all, where none is named) as they were last."""
    from meshctl.control.confirming import await_all

    def tell(standing: Standing, lacking: str) -> None:
        if services and standing.service and standing.service not in services:
            return
        if seen is not None:
            seen[standing.proxy] = standing
        if not lacking and standing.identity is not None:
            serial = standing.identity.serial[:16]
            session.terminal.say(f"  {standing.proxy}  {standing.service}  has it, certificate {serial}")

    behind = await_all(store, lack, timeout, tell)
    for proxy, lacking in behind.items():
        session.terminal.say(f"  {proxy}  behind: {lacking}")
    return behind
