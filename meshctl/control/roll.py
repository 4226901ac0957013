"""Who is registered, as it was last read from the store: what has changed since is read alone.

In a mesh with a thousand sidecars one comes or goes all the time, and every proxy looks. Must not know what follows
from that (`changing`).
"""

from __future__ import annotations

from meshctl.control.discovery import PREFIX, Name, Registrations
from meshctl.control.revisions import decode
from meshctl.model.registration import Listed, Registration
from meshctl.store.protocol import Store


class Roll:
    """See the module."""

    def __init__(self) -> None:
        self.changed: set[Name] = set()
        """The services and versions with others than when somebody last emptied this."""
        self._known: dict[str, Registration] = {}
        self._by_name: dict[Name, dict[str, Registration]] = {}
        self._listed: dict[Name, Listed] = {}
        self._revision = 0
        self._all: Registrations | None = ()

    def __repr__(self) -> str:
        return f"<Roll of {len(self._known)} endpoints at store revision {self._revision}>"

    @property
    def names(self) -> frozenset[Name]:
        """The services and versions that endpoints are registered for."""
        return frozenset(self._by_name)

    @property
    def registrations(self) -> Registrations:
        """All that are registered, by service and proxy."""
        if self._all is None:
            self._all = _in_order(self._known)
        return self._all

    @property
    def listed(self) -> tuple[Listed, ...]:
        """The same as workers take it."""
        return tuple(map(self.of, self._by_name))

    def of(self, name: Name) -> Listed:
        """Those registered for one version of a service."""
        known = self._listed.get(name)
        if known is None:
            found = _in_order(self._by_name.get(name, {}))
            known = Listed(*name, tuple(each.endpoint for each in found))
            if found:
                self._listed[name] = known
        return known

    def refresh(self, store: Store) -> None:
        """Read what has changed. Raises MeshError, and then reads it the next time."""
        revision = store.revision()
        for entry in store.list(PREFIX, after=self._revision):
            self._put(entry.key, decode(entry, Registration))
        # Nothing tells which have gone, by whatever way: where any has, it is seen by who is still there.
        if store.count(PREFIX) != len(self._known):
            there = {entry.key: entry for entry in store.list(PREFIX)}
            for key in self._known.keys() - there.keys():
                self._drop(key)
            for key in there.keys() - self._known.keys():
                self._put(key, decode(there[key], Registration))
        self._revision = revision

    def _put(self, key: str, registration: Registration) -> None:
        if self._known.get(key) == registration:
            return
        self._drop(key)
        name = registration.service, registration.version
        self._known[key] = self._by_name.setdefault(name, {})[key] = registration
        self._touch(name)

    def _drop(self, key: str) -> None:
        before = self._known.pop(key, None)
        if before is None:
            return
        name = before.service, before.version
        of_name = self._by_name[name]
        del of_name[key]
        if not of_name:
            del self._by_name[name]
        self._touch(name)

    def _touch(self, name: Name) -> None:
        self.changed.add(name)
        self._listed.pop(name, None)
        self._all = None


def _in_order(found: dict[str, Registration]) -> Registrations:
    return tuple(found[key] for key in sorted(found))
