"""The keys that tokens are verified with, fetched for all workers of a proxy and kept fresh.

    source ──discover──▶ JWK Set ──good──▶ workers, and a file for the next start
                            └──bad, late, none──▶ what was good before stays; again after a pause

What is fetched comes from another party: it is bounded in size and time, never followed elsewhere, and good keys are
only replaced by a set with keys in it. Each source has one task, so that one that hangs delays no other.
"""

from __future__ import annotations

import asyncio
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Final

from meshctl import clock
from meshctl.control.fleet import Fleet
from meshctl.control.sessions import Sessions
from meshctl.errors import MeshError
from meshctl.model.mesh import Mesh
from meshctl.observe.log import Events
from meshctl.proxy.messages import Fetched, Wanted
from meshctl.proxy.tasks import rest, spawn
from meshctl.store.home import Home, write_private

if TYPE_CHECKING:
    from meshctl.control.fetching import Answer

PAUSE: Final = 5.0
"""Seconds between two fetches of a source, however often it is wanted."""
LONGEST_PAUSE: Final = 60.0
"""Seconds after which a source that fails is tried again, at the latest."""


class _Kept:
    """One source: what it said last that was good."""

    def __init__(self, document: bytes) -> None:
        self.document = document
        self.is_known = bool(document)
        """Whether there is anything to say of it: keys, or that there are none."""
        self.tried = float("-inf")
        self.failures = 0
        self.wanted = asyncio.Event()
        self.task: asyncio.Task[None] | None = None


class Jwks:
    """See the module."""

    def __init__(self, home: Home, fleet: Fleet) -> None:
        self._folder = home.path / "jwks"
        self._fleet = fleet
        self._kept: dict[str, _Kept] = {}
        self._sessions = Sessions(home, fleet)
        self._events = Events("jwks")
        fleet.on[Wanted] = self.want

    def __repr__(self) -> str:
        return f"<Jwks {list(self._kept)}>"

    def adopt(self, mesh: Mesh) -> None:
        """Have the keys that a configuration needs, and no others; those of logins are the mesh's own, too."""
        wanted = {way.jwt.source for way in mesh.asked if way.jwt is not None and way.jwt.source}
        wanted |= {way.oidc.source for way in mesh.asked if way.oidc is not None}
        for name in self._kept.keys() - wanted:
            self._end(self._kept.pop(name))
        for name in sorted(wanted - self._kept.keys()):
            kept = self._kept[name] = _Kept(self._load(name))
            kept.task = spawn(self._keep(name, kept), name=f"jwks {name}")
        if wanted:
            self._tell()
        self._sessions.adopt(mesh)

    def want(self, message: Wanted) -> None:
        """A worker has seen a token with a key that it does not know."""
        kept = self._kept.get(message.source)
        if kept is None or clock.monotonic() < kept.tried + PAUSE:
            self._tell()
        else:
            kept.wanted.set()

    def sets(self) -> dict[str, bytes]:
        """The JWK Sets by source, of those that have one."""
        return {name: kept.document for name, kept in self._kept.items() if kept.document}

    def stop(self) -> None:
        """Fetch no more."""
        for kept in self._kept.values():
            self._end(kept)

    async def _keep(self, name: str, kept: _Kept) -> None:
        while True:
            pause = await self._refresh(name, kept)
            kept.wanted.clear()
            await rest(kept.wanted, pause)

    async def _refresh(self, name: str, kept: _Kept) -> float:
        """Fetch a source once; the seconds after which it is due again."""
        from meshctl.control.fetching import Unfetched, fetch

        kept.tried = clock.monotonic()
        try:
            answer: Answer = await fetch(name)
        except Unfetched as error:
            kept.failures += 1
            kept.is_known = True
            self._events.warning("keys_not_fetched", source=name, error=str(error), has_keys=bool(kept.document))
            self._tell()
            return min(2.0 ** (kept.failures - 1), LONGEST_PAUSE)
        if answer.document != kept.document:
            kept.document = answer.document
            self._save(name, answer.document)
            self._events.info("keys_fetched", source=name, keys=answer.keys)
        kept.failures = 0
        kept.is_known = True
        self._tell()
        return answer.fresh

    def _tell(self) -> None:
        known = {name: kept.document for name, kept in self._kept.items() if kept.is_known}
        self._fleet.tell(Fetched(known), standing=True)

    def _load(self, name: str) -> bytes:
        """What was good when it was last fetched, in this run or an earlier one."""
        from meshctl.core.jwk import LARGEST, read_keys

        try:
            with self._file(name).open("rb") as file:
                document = file.read(LARGEST + 1)
            read_keys(document, with_secrets=False)
        except (OSError, ValueError):
            return b""
        return document

    def _save(self, name: str, document: bytes) -> None:
        try:
            self._folder.mkdir(mode=0o700, exist_ok=True)
            write_private(self._file(name), document)
        except (OSError, MeshError) as error:
            self._events.warning("keys_not_kept", source=name, error=str(error))

    def _file(self, name: str) -> Path:
        return self._folder / f"{sha256(name.encode()).hexdigest()[:32]}.json"

    @staticmethod
    def _end(kept: _Kept) -> None:
        if kept.task is not None:
            kept.task.cancel()
