"""The sessions of one worker: opened and sealed, and renewed by one worker at a time.

    due ──claim──▶ supervisor ──claimed──▶ one worker asks the provider; the others wait
                        ◀──────renewed──────┘
                        └──renewed──▶ all: whoever still comes with the old cookie is given the new one

What a session became is remembered here alone, so that a refresh token is never used twice and a session that was ended
is over in every worker; cookies have all the rest.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from secrets import token_bytes
from typing import TYPE_CHECKING, Final

from meshctl.core.oidc import Failed
from meshctl.core.sealing import NONCE_BYTES, Sealer
from meshctl.core.session import Pending, Session, decode_session, encode
from meshctl.model.login import Claim, Claimed, LoginMessage, Renewed, Sealing
from meshctl.proxy.filtering import Waiting
from meshctl.proxy.outward import Unreachable
from meshctl.proxy.redeeming import Ended
from meshctl.proxy.tasks import spawn

if TYPE_CHECKING:
    from meshctl.proxy.worker import Worker

PATIENCE: Final = 16.0
"""Seconds that a request waits for its session to be renewed."""
MOST: Final = 10_000
"""Sessions of which is remembered what became of them."""

Renew = Callable[[Session], Awaitable[Session]]


class Sessions:
    """See the module."""

    def __init__(self, worker: Worker, on_ended: Callable[[], None]) -> None:
        self._worker = worker
        self._on_ended = on_ended
        self._sealer: Sealer | None = None
        self.waiting = Waiting("login_unavailable", PATIENCE)
        """For the keys."""
        self._latest: dict[bytes, Session | None] = {}
        """The newest turn of sessions, None of those that have ended."""
        self._renewals: dict[bytes, tuple[Session, str, bytes, Renew, Waiting]] = {}

    def __repr__(self) -> str:
        return f"<Sessions {len(self._latest)} remembered, {len(self._renewals)} being renewed>"

    @property
    def is_ready(self) -> bool:
        """Whether the keys have come."""
        return self._sealer is not None

    def take(self, message: LoginMessage, purposes: dict[str, bytes]) -> None:
        """What the supervisor says. `purposes` are those of the ways by name."""
        match message:
            case Sealing(keys):
                self._sealer = Sealer(keys)
                self.waiting.over(self._worker.loop)
            case Claimed(number, worker):
                if worker == self._worker.index and number in self._renewals:
                    spawn(self._renew(number), name="renew session")
            case Renewed(way, number, outcome, sealed):
                found = None
                if outcome == "renewed":
                    found = self.open(sealed, purposes.get(way, b""))
                if outcome == "ended" or found is not None:
                    self._remember(number, found)
                self._over(number)
            case _:
                pass

    def seal(self, value: Session | Pending, purpose: bytes) -> str:
        """The sealed text of a session or a login."""
        assert self._sealer is not None
        return self._sealer.seal(encode(value), purpose, token_bytes(NONCE_BYTES))

    def unseal(self, text: str, purpose: bytes) -> bytes | None:
        """What was sealed for this purpose, if it was."""
        return self._sealer.open(text, purpose) if self._sealer is not None else None

    def open(self, text: str, purpose: bytes) -> Session | None:
        """The session that was sealed, if it was."""
        data = self.unseal(text, purpose)
        return decode_session(data) if data is not None else None

    def latest(self, session: Session) -> Session | None:
        """What became of a session by now; None of one that has ended."""
        found = self._latest.get(session.id, session)
        return found if found is None or found.turn > session.turn else session

    def renew(self, session: Session, way: str, purpose: bytes, renew: Renew) -> Waiting:
        """Have the tokens of a session renewed; what is to be waited for."""
        known = self._renewals.get(session.id)
        if known is not None:
            return known[-1]
        waiting = Waiting("login_unavailable", PATIENCE)
        self._renewals[session.id] = session, way, purpose, renew, waiting
        if self._worker.workers == 1:
            spawn(self._renew(session.id), name="renew session")
        else:
            self._worker.orders.send(Claim(session.id, self._worker.index))
            # Whoever had the claim may have died with it.
            self._worker.loop.call_later(PATIENCE, self._give_up, session.id, waiting)
        return waiting

    def is_renewing(self, session: Session) -> bool:
        """Whether its tokens are being renewed."""
        return session.id in self._renewals

    def end(self, session: Session, way: str) -> None:
        """Have nobody use a session any more."""
        self._remember(session.id, None)
        self._tell(Renewed(way, session.id, "ended"))

    async def _renew(self, number: bytes) -> None:
        session, way, purpose, renew, _ = self._renewals[number]
        told = Renewed(way, number, "failed")
        newest = self.latest(session)
        try:
            if newest is session:
                newest = await renew(session)
                self._remember(number, newest)
                told = Renewed(way, number, "renewed", self.seal(newest, purpose))
        except Ended:
            self._remember(number, None)
            told = Renewed(way, number, "ended")
        except (Failed, Unreachable) as error:
            self._worker.notice("session_not_renewed", way=way, error=str(error))
        self._tell(told)
        self._over(number)

    def _tell(self, message: Renewed) -> None:
        if self._worker.workers > 1:
            self._worker.orders.send(message)

    def _remember(self, number: bytes, session: Session | None) -> None:
        self._latest.pop(number, None)
        self._latest[number] = session
        if len(self._latest) > MOST:
            del self._latest[next(iter(self._latest))]
        if session is None:
            self._on_ended()

    def _give_up(self, number: bytes, waiting: Waiting) -> None:
        if number in self._renewals and self._renewals[number][-1] is waiting:
            self._over(number)

    def _over(self, number: bytes) -> None:
        found = self._renewals.pop(number, None)
        if found is not None:
            found[-1].over(self._worker.loop)
