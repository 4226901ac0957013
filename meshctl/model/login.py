"""What supervisor and workers say to each other about logins: the keys that sessions are sealed with, and who renews
one. Values that cross a process's border; what they are for is not known here.
"""

from __future__ import annotations

from typing import Literal

import msgspec


class Sealing(msgspec.Struct, frozen=True, tag=True):
    """The keys that sessions are sealed with: the first one seals, all of them open."""

    keys: tuple[bytes, ...]

    def __repr__(self) -> str:
        # What may stand in a log or a traceback has no key in it.
        return f"<Sealing, {len(self.keys)} keys>"


class Claim(msgspec.Struct, frozen=True, tag=True):
    """A worker would renew the tokens of a session, which one of them may do at a time."""

    session: bytes
    worker: int


class Claimed(msgspec.Struct, frozen=True, tag=True):
    """Which worker renews the tokens of a session. The others wait."""

    session: bytes
    worker: int


class Renewed(msgspec.Struct, frozen=True, tag=True):
    """What became of that, for all workers: new tokens, sealed; the end of the session; or nothing for now."""

    way: str
    session: bytes
    outcome: Literal["renewed", "ended", "failed"]
    sealed: str = ""


LoginMessage = Sealing | Claim | Claimed | Renewed
