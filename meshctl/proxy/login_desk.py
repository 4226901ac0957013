"""Where browsers come back from an OpenID provider, and where they sign out.

    callback ──state, nonce──▶ code redeemed ──▶ session in cookies, back to where it began
           └──anything else──▶ 400 login_failed: a page, never another redirect to the provider
    logout ──▶ cookies gone ──▶ the provider's own logout, where it has one, else the path configured

Both are routes of their own, which no service sees.
"""

from __future__ import annotations

import html
from hmac import compare_digest
from typing import TYPE_CHECKING, Final

from meshctl import clock
from meshctl.core.oidc import Failed, code_of, logout_url, read_callback
from meshctl.core.session import LOGIN_LIFE, SLOTS, Pending, decode_pending, joined, login_name
from meshctl.proxy.browser import is_own, origin_of
from meshctl.proxy.filtering import Waiting
from meshctl.proxy.filters.reply import LATER, Reply, refusal
from meshctl.proxy.guard import Stripping
from meshctl.proxy.login import LoginWay
from meshctl.proxy.outward import Unreachable
from meshctl.proxy.tasks import spawn
from meshctl.wire.cookies import cookies, set_cookie
from meshctl.wire.fields import Fields, make

if TYPE_CHECKING:
    from meshctl.proxy.exchange import Exchange

PATIENCE: Final = 30.0
"""Seconds in which a code is redeemed, with all that the provider is asked."""

_PAGE: Final = """<!doctype html>
<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>Login failed</title>
<body style="font: 1rem/1.5 system-ui; max-width: 36rem; margin: 4rem auto; padding: 0 1rem">
<h1>Login failed</h1><p>{detail}</p><p><a href="{back}">Try again</a></p><p><small>{reason} · {id}</small></p>
"""


class Desk(Stripping):
    """See the module: the filter of a login's own routes."""

    def __init__(self, way: LoginWay) -> None:
        super().__init__(frozenset())
        self._way = way

    def __repr__(self) -> str:
        return f"<Desk {self._way.name}>"

    def __call__(self, exchange: Exchange) -> Reply | None:
        """Always an answer, at once or later."""
        way = self._way
        if not way.sessions.is_ready:
            return way.sessions.waiting.hold(exchange)
        if exchange.path == way.oidc.logout:
            return self._logout(exchange)
        try:
            return self._callback(exchange)
        except Failed as error:
            return self._failed(exchange, str(error))

    # back from the provider

    def _callback(self, exchange: Exchange) -> Reply:
        if exchange.request.method != "GET":
            raise Failed("this is where the provider sends browsers, by GET")
        found = read_callback(exchange.request.query_string)
        pending = self._pending(exchange, found.get("state", ""))
        provider = self._way.source.provider
        if provider is None:
            absent = self._way.source.absent()
            if isinstance(absent, Waiting):
                return absent.hold(exchange)
            return refusal(exchange, absent.reason, absent.detail)
        code = code_of(found, provider)
        waiting = Waiting("login_unavailable", PATIENCE)
        waiting.hold(exchange)
        spawn(self._redeem(exchange, waiting, code, pending), name="login")
        return LATER

    def _pending(self, exchange: Exchange, state: str) -> Pending:
        """The login that this browser began. Raises Failed where it began none, or another one."""
        way = self._way
        slot = int(state[0]) if state[:1] in frozenset("01234567") else SLOTS
        sealed = cookies(exchange.request.fields).get(login_name(way.cookie, slot), "")
        data = way.sessions.unseal(sealed, way.pending_purpose) if sealed else None
        pending = decode_pending(data) if data is not None else None
        if pending is None or not compare_digest(pending.state.encode(), state.encode("utf-8", "replace")):
            raise Failed("this browser has not begun this login, or has ended it already")
        if clock.wall() >= pending.began + LOGIN_LIFE:
            raise Failed("the login took too long")
        if pending.origin != origin_of(exchange)[0]:
            raise Failed("the login began at another address")
        return pending

    async def _redeem(self, exchange: Exchange, waiting: Waiting, code: str, pending: Pending) -> None:
        way = self._way
        try:
            session = await way.redeeming.redeem(code, pending)
            present, secure = frozenset(cookies(exchange.request.fields)), origin_of(exchange)[1]
            lines = way.cookie_lines(session, present, secure=secure, now=clock.wall())
            answer = _sent(pending.back, [*lines, *self._done(pending, secure=secure)], 302)
            exchange.user = str(session.claims.get("sub", ""))[:256]
        except Failed as error:
            answer = self._failed(exchange, str(error), pending)
        except Unreachable as error:
            exchange.worker.notice("login_failed", way=way.name, error=str(error))
            answer = refusal(exchange, "login_unavailable", "the login provider cannot be reached at the moment")
        except ValueError as error:
            exchange.worker.notice("login_failed", way=way.name, error=str(error))
            answer = self._failed(exchange, "the provider says more than fits into cookies", pending)
        if not exchange.finished and exchange.pending is waiting:
            exchange.pending = None
            exchange.reply_with(answer)

    def _done(self, pending: Pending, *, secure: bool) -> Fields:
        """The login is over: its cookie goes, so that nobody comes back by it again."""
        name = login_name(self._way.cookie, int(pending.state[0]))
        return [set_cookie(name, "", path=self._way.oidc.callback, seconds=0, secure=secure)]

    def _failed(self, exchange: Exchange, detail: str, pending: Pending | None = None) -> Reply:
        fields = self._done(pending, secure=origin_of(exchange)[1]) if pending is not None else []
        said = refusal(exchange, "login_failed", detail)
        if "text/html" not in (exchange.request.header("accept") or "").lower():
            return Reply(
                said.status, [*said.fields, *fields, *make("Cache-Control", "no-store")], said.body, said.reason
            )
        page = _PAGE.format(
            detail=html.escape(f"{detail[:1].upper()}{detail[1:]}."),
            back=html.escape(pending.back if pending is not None else "/"),
            reason=said.reason,
            id=html.escape(exchange.request_id.decode("latin-1")),
        )
        kind = (
            "Content-Type",
            "text/html; charset=utf-8",
            "Content-Security-Policy",
            "default-src 'none'; style-src 'unsafe-inline'",
        )
        head = make(*kind, "X-Meshctl-Reason", said.reason, "Cache-Control", "no-store")
        return Reply(said.status, [*head, *fields], page.encode(), said.reason)

    # signing out

    def _logout(self, exchange: Exchange) -> Reply:
        way = self._way
        if exchange.request.method not in {"GET", "POST"} or not is_own(exchange):
            return refusal(exchange, "logout_refused", "another site's page may not sign anybody out")
        found = cookies(exchange.request.fields)
        sealed = joined(found, way.cookie)
        opened = way.sessions.open(sealed, way.purpose) if sealed else None
        session = way.sessions.latest(opened) if opened is not None else None
        origin, secure = origin_of(exchange)
        where = way.oidc.after_logout
        if session is not None:
            way.sessions.end(session, way.name)
            if way.source.provider is not None:
                where = logout_url(way.source.provider, way.oidc, origin=origin, id_token=session.id_token) or where
        return _sent(where, way.gone_lines(frozenset(found), secure=secure), 303)


def _sent(where: str, lines: Fields, status: int) -> Reply:
    return Reply(status, [*make("Location", where, "Cache-Control", "no-store"), *lines])
