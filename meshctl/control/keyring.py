"""The API keys as a proxy follows them: read again only where one was written since, told to every worker there is and
will be."""

from __future__ import annotations

from meshctl.control.fleet import Fleet
from meshctl.control.keys import KEYS
from meshctl.control.revisions import decode
from meshctl.model.api_key import StoredKey
from meshctl.proxy.messages import Keyed
from meshctl.store.protocol import Store


class Keyring:
    """See the module."""

    def __init__(self, store: Store, fleet: Fleet) -> None:
        self._store = store
        self._fleet = fleet
        self._keys: dict[str, StoredKey] = {}
        self._seen = 0

    def __repr__(self) -> str:
        return f"<Keyring {len(self._keys)} keys>"

    def refresh(self) -> bool:
        """Have the workers know what the store has; whether that is anything else than before."""
        store = self._store
        entries = store.list(KEYS, after=self._seen)
        changed = bool(entries)
        for entry in entries:
            self._keys[entry.key] = decode(entry, StoredKey)
            self._seen = max(self._seen, entry.revision)
        if store.count(KEYS) != len(self._keys):
            # Some are gone, which only the whole list tells.
            self._keys = {entry.key: decode(entry, StoredKey) for entry in store.list(KEYS)}
            changed = True
        if changed:
            self._fleet.tell(Keyed(tuple(self._keys.values())), standing=True)
        return changed
