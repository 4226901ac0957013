"""The keys that the sessions of logins are sealed with, and which worker renews one. The keys stand in one file of the
home, which is made when they are first needed: so sessions outlive restarts, are the same for all workers and all
gateways of the home, and end when the file is taken away.

Each line of the file is a key. The first one seals, all of them open: a new line before the others replaces a key
without ending a session.
"""

from __future__ import annotations

import binascii
import fcntl
import os
from base64 import b64decode, b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from secrets import token_bytes
from typing import TYPE_CHECKING, Final

from meshctl import clock
from meshctl.core.sealing import KEY_BYTES
from meshctl.errors import MeshError
from meshctl.model.login import Claim, Claimed, Renewed, Sealing
from meshctl.observe.log import Events
from meshctl.store.home import Home, write_private

if TYPE_CHECKING:
    from meshctl.control.fleet import Fleet
    from meshctl.model.mesh import Mesh

FILE: Final = "sessions.keys"
HELD: Final = 20.0
"""Seconds after which a worker that would renew a session and says no more has lost its turn."""
_MOST: Final = 1_000
_LARGEST: Final = 4_096


class Sessions:
    """See the module."""

    def __init__(self, home: Home, fleet: Fleet) -> None:
        self._path = home.path / FILE
        self._fleet = fleet
        self._held: dict[bytes, tuple[int, float]] = {}
        self._events = Events("sessions")
        fleet.on[Claim] = self._claim
        fleet.on[Renewed] = self._renewed

    def __repr__(self) -> str:
        return f"<Sessions {self._path}, {len(self._held)} being renewed>"

    def adopt(self, mesh: Mesh) -> None:
        """Give the workers the keys where a configuration has logins."""
        if not any(way.oidc is not None for way in mesh.asked):
            return
        try:
            keys = self._keys()
        except (OSError, MeshError, ValueError) as error:
            self._events.error("session_keys_unusable", file=str(self._path), error=str(error))
            return
        self._fleet.tell(Sealing(keys), standing=True)

    def _keys(self) -> tuple[bytes, ...]:
        """The keys; made, where there are none. Raises OSError, MeshError and ValueError."""
        with self._locked():
            try:
                with self._path.open("rb") as file:
                    lines = file.read(_LARGEST).split()
            except FileNotFoundError:
                lines = [b64encode(token_bytes(KEY_BYTES))]
                write_private(self._path, lines[0] + b"\n")
        try:
            keys = tuple(b64decode(line, validate=True) for line in lines)
        except binascii.Error as error:
            raise ValueError("a line is not base64") from error
        if not keys or any(len(key) != KEY_BYTES for key in keys):
            raise ValueError(f"expected lines of {KEY_BYTES} bytes in base64")
        return keys

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Alone with the file; the kernel lets go of the lock even after kill -9."""
        handle = os.open(self._path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)

    def _claim(self, message: Claim) -> None:
        now = clock.monotonic()
        worker, until = self._held.get(message.session, (message.worker, 0.0))
        if worker != message.worker and now < until:
            return  # It will hear what became of it.
        if len(self._held) >= _MOST:
            self._held = {number: held for number, held in self._held.items() if now < held[1]}
        self._held[message.session] = message.worker, now + HELD
        self._fleet.tell(Claimed(message.session, message.worker))

    def _renewed(self, message: Renewed) -> None:
        self._held.pop(message.session, None)
        self._fleet.tell(message)
