"""A login at an OpenID provider as a way to know who calls: a session in an encrypted cookie, and a browser without one
is sent to the provider. What happens when it comes back stands in `login_desk`.

Nothing of a session is kept here but what was opened last; whoever has the mesh's keys can open it, and nobody else.
"""

from __future__ import annotations

from hashlib import sha256
from math import inf
from secrets import randbelow, token_urlsafe
from typing import TYPE_CHECKING, Final

from meshctl import clock
from meshctl.core.oidc import authorization_url, is_loopback, own_path
from meshctl.core.principal import Principal, Refused, told
from meshctl.core.session import LOGIN_LIFE, SLOTS, Pending, Session, joined, login_name, part_names, split
from meshctl.model.auth import Auth, Oidc
from meshctl.model.claims import words
from meshctl.proxy.browser import is_navigation, origin_of
from meshctl.proxy.filters.reply import Reply, refusal
from meshctl.proxy.redeeming import Redeeming
from meshctl.proxy.ways import Way, drop
from meshctl.wire.challenge import challenge
from meshctl.wire.cookies import cookies, set_cookie
from meshctl.wire.fields import CRLF, Fields, make

if TYPE_CHECKING:
    from meshctl.proxy.exchange import Exchange
    from meshctl.proxy.filtering import Waiting
    from meshctl.proxy.provider import ProviderSource
    from meshctl.proxy.sessions import Sessions
    from meshctl.proxy.worker import Worker

MOST_KNOWN: Final = 10_000
"""Sessions that are remembered as they were opened."""
AGAIN: Final = 20.0
"""Seconds between two tries to renew a session's tokens where the provider is away; longer than one takes."""

_INVALID: Final = Refused("session_invalid", "the session is not one of this mesh")
_EXPIRED: Final = Refused("session_expired", "the session is over: log in again")
_UNAVAILABLE: Final = Refused("login_unavailable", "the login provider cannot be reached to renew the session")


class LoginWay(Way):
    """See the module. Raises ValueError where the client's secret cannot be used."""

    def __init__(self, config: Auth, source: ProviderSource, sessions: Sessions, worker: Worker) -> None:
        super().__init__(config, "a login is needed, in a browser")
        assert config.oidc is not None
        self.oidc: Oidc = config.oidc
        self.cookie = config.cookie
        self.source = source
        self.sessions = sessions
        self.redeeming = Redeeming(config, source, worker)
        # Another provider's or client's sessions are none here.
        self.purpose = "\0".join(("session", config.name, self.oidc.issuer, self.oidc.client_id)).encode()
        self.pending_purpose = b"login" + self.purpose
        self._known: dict[bytes, Session] = {}
        self._tried: dict[tuple[bytes, int], float] = {}

    def find(self, exchange: Exchange, shown: Fields) -> Principal | Refused | Waiting:
        """See `Way`."""
        sealed = joined(cookies(shown), self.cookie)
        if sealed is None:
            return self.silent
        if not self.sessions.is_ready:
            return self.sessions.waiting
        shown_one = self._opened(sealed)
        if shown_one is None:
            return _INVALID
        session = self.sessions.latest(shown_one)
        now = clock.wall()
        if session is None or session.began + self.oidc.session <= now or self._is_empty(session, now):
            return _EXPIRED
        if session.due <= now:
            found = self._due(session, now)
            if found is not None:
                return found
        if session is not shown_one:
            self.hand_out(exchange, session)
        return self._principal(session, now)

    def challenge(self, realm: str, refused: Refused) -> str:
        """See `Way`: no scheme is registered for cookies."""
        return challenge("Cookie", realm=realm, **{"cookie-name": self.cookie})

    def refresh(self) -> None:
        """See `Way`."""
        self.redeeming.refresh()

    def forget(self, now: float) -> None:
        """See `Way`."""
        drop(self._known, [each for each, found in self._known.items() if found.began + self.oidc.session <= now])
        drop(self._tried, [each for each, at in self._tried.items() if at + AGAIN <= now])

    def invite(self, exchange: Exchange) -> Reply | None:
        """Send a browser that wants a page to the provider; None for whoever is no browser."""
        if not is_navigation(exchange.request):
            return None
        provider = self.source.provider
        if provider is None:
            absent = self.source.absent()
            if isinstance(absent, Refused):
                return refusal(exchange, absent.reason, absent.detail)
            return absent.hold(exchange)
        if not self.sessions.is_ready:
            return self.sessions.waiting.hold(exchange)
        origin, secure = origin_of(exchange)
        if not secure and not is_loopback(origin):
            detail = (
                "a login needs https, here or at a proxy among trusted_proxies: its cookie is as good as a password"
            )
            return refusal(exchange, "login_failed", detail)
        slot = randbelow(SLOTS)
        pending = Pending(
            f"{slot}{token_urlsafe(24)}",
            token_urlsafe(24),
            token_urlsafe(48),
            origin,
            own_path(exchange.path, exchange.request.query_string),
            clock.wall(),
        )
        name = login_name(self.cookie, slot)
        sealed = self.sessions.seal(pending, self.pending_purpose)
        where = authorization_url(
            provider, self.oidc, origin=origin, state=pending.state, nonce=pending.nonce, verifier=pending.verifier
        )
        line = set_cookie(name, sealed, path=self.oidc.callback, seconds=int(LOGIN_LIFE), secure=secure)
        return Reply(302, [*make("Location", where, "Cache-Control", "no-store"), line])

    def cookie_lines(self, session: Session, present: frozenset[str], *, secure: bool, now: float) -> Fields:
        """The fields that set a session's cookies, and take away those of an earlier one that it does not need. Raises
        ValueError where it does not fit."""
        left = max(int(session.began + self.oidc.session - now), 1)
        values = split(self.sessions.seal(session, self.purpose))
        names = part_names(self.cookie)
        lines = [
            set_cookie(name, value, path="/", seconds=left, secure=secure)
            for name, value in zip(names, values, strict=False)
        ]
        spare = [name for name in names[len(values) :] if name in present]
        return [*lines, *(set_cookie(name, "", path="/", seconds=0, secure=secure) for name in spare)]

    def gone_lines(self, present: frozenset[str], *, secure: bool) -> Fields:
        """The fields that take a session's cookies away."""
        names = [name for name in part_names(self.cookie) if name in present]
        return [set_cookie(name, "", path="/", seconds=0, secure=secure) for name in names]

    def hand_out(self, exchange: Exchange, session: Session) -> None:
        """Have the answer bring the session as it is by now."""
        present = frozenset(cookies(exchange.request.fields))
        try:
            lines = self.cookie_lines(session, present, secure=origin_of(exchange)[1], now=clock.wall())
        except ValueError:
            return  # Its tokens have grown. It goes on here, and elsewhere ends with the old ones.
        exchange.say(CRLF.join(lines))

    def _opened(self, sealed: str) -> Session | None:
        digest = sha256(sealed.encode("latin-1")).digest()
        found = self._known.pop(digest, None) or self.sessions.open(sealed, self.purpose)
        if found is not None:
            # The one that was used last stands last.
            self._known[digest] = found
            if len(self._known) > MOST_KNOWN:
                del self._known[next(iter(self._known))]
        return found

    def _is_empty(self, session: Session, now: float) -> bool:
        """Whether the service was to have an access token, and there is none to be had any more."""
        return self.config.forward and session.due == inf and session.access_until <= now

    def _due(self, session: Session, now: float) -> Refused | Waiting | None:
        """Have the tokens renewed, and wait for that. Where somebody else waits already, or it was tried just now, the
        session goes on as long as they hold."""
        if self.sessions.is_renewing(session):
            is_over = session.access_until <= now
            return self.sessions.renew(session, self.name, self.purpose, self.redeeming.renew) if is_over else None
        turn = session.id, session.turn
        if now >= self._tried.get(turn, -inf) + AGAIN:
            self._tried.pop(turn, None)
            self._tried[turn] = now
            if len(self._tried) > MOST_KNOWN:
                del self._tried[next(iter(self._tried))]
            return self.sessions.renew(session, self.name, self.purpose, self.redeeming.renew)
        return _UNAVAILABLE if session.access_until <= now else None

    def _principal(self, session: Session, now: float) -> Principal:
        until = session.began + self.oidc.session
        due = session.due if session.due > now else now + AGAIN
        claims = session.claims
        subject = claims.get("sub")
        lines = told(self.config.headers, claims)
        if self.config.forward and session.access:
            lines += (f"Authorization: Bearer {session.access}".encode("latin-1", "replace"),)
        return Principal(
            subject if isinstance(subject, str) else "",
            self.name,
            claims,
            frozenset(session.scope.split()),
            words(claims, self.oidc.roles),
            until=min(until, due),
            told=lines,
        )
