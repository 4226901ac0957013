"""What the store keeps of services that have gone: live weights, their history, rollouts. It is there when the service
comes back; but where each branch or each review has services of its own there are ever more of them, so of those that
have gone the last ones are kept.

Knows nothing of what the entries say.
"""

from __future__ import annotations

from typing import Final

from meshctl.control.discovery import registrations
from meshctl.control.driving import ROLLOUTS
from meshctl.control.revisions import Revision
from meshctl.control.rollout_state import PAST
from meshctl.control.weights import HISTORY, WEIGHTS
from meshctl.store.protocol import Delete, Store

MOST: Final = 1_000
"""Services of which is kept what was once changed, though they have gone."""


def outlived(store: Store, new: Revision) -> list[Delete]:
    """The changes that drop all that is kept of services that neither `new` nor a sidecar has, but for the ones whose
    weights were changed last."""
    if store.count(WEIGHTS) <= MOST:
        return []
    there = {each.name for each in new.mesh().services} | {each.service for each in registrations(store)}
    entries = sorted(store.list(WEIGHTS), key=lambda entry: entry.revision)
    gone = [name for entry in entries if (name := entry.key.removeprefix(WEIGHTS)) not in there]
    return [Delete(key) for name in gone[:-MOST] for key in _keys(store, name)]


def _keys(store: Store, service: str) -> list[str]:
    of_many = [entry.key for prefix in (HISTORY, PAST) for entry in store.list(f"{prefix}{service}/")]
    return [WEIGHTS + service, ROLLOUTS + service, *of_many]
