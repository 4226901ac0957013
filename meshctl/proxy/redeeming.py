"""A code, or a refresh token, becomes a session: the provider is asked, and nothing that it answers is believed before
it was verified. Each question has a deadline and a bound. What goes wrong is said without a word of a token.
"""

from __future__ import annotations

from math import inf
from secrets import token_bytes
from typing import TYPE_CHECKING, Any, Final

import msgspec

from meshctl import clock
from meshctl.core.oidc import Failed, Provider, Tokens, check_claims, read_tokens, token_request, with_userinfo
from meshctl.core.principal import Refused
from meshctl.core.session import Pending, Session, due_at, kept_claims
from meshctl.core.tokens import BadToken, judge, read, read_json
from meshctl.core.verify import verify
from meshctl.model.auth import Auth, Jwt
from meshctl.proxy.outward import Answered, outward
from meshctl.proxy.secret_file import SecretFile

if TYPE_CHECKING:
    from meshctl.proxy.provider import ProviderSource
    from meshctl.proxy.worker import Worker

TIMEOUT: Final = 10.0
"""Seconds for one question."""
LARGEST: Final = 262_144


class Ended(Failed):
    """The provider does not renew the tokens of a session any more."""


class Redeeming:
    """See the module. Raises ValueError where the client's secret cannot be used."""

    def __init__(self, config: Auth, source: ProviderSource, worker: Worker) -> None:
        assert config.oidc is not None
        self._forwards = config.forward
        self._oidc = oidc = config.oidc
        self._source = source
        self._out = outward(worker)
        self._secret = SecretFile(oidc.client_secret_file) if oidc.client_secret_file else None
        self._judged = Jwt(oidc.issuer, (oidc.client_id,), oidc.algorithms, leeway=oidc.leeway, roles=oidc.roles)

    def __repr__(self) -> str:
        return f"<Redeeming {self._oidc.issuer}>"

    def refresh(self) -> None:
        """A new revision is compiled: look at the secret again. Raises ValueError."""
        if self._secret is not None:
            self._secret.refresh()

    async def redeem(self, code: str, pending: Pending) -> Session:
        """The session of who comes back with `code`. Raises Failed, and Unreachable."""
        provider = self._provider()
        asked = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": pending.origin + self._oidc.callback,
            "code_verifier": pending.verifier,
        }
        tokens = await self._ask(provider, asked)
        if not tokens.id_token:
            raise Failed("the provider gives no ID token")
        claims = await self._claims(tokens.id_token, pending.nonce)
        if provider.userinfo_endpoint and self._oidc.userinfo:
            fields = [f"Authorization: Bearer {tokens.access_token}".encode(), b"Accept: application/json"]
            answer = await self._out.ask(
                "GET", provider.userinfo_endpoint, fields=fields, timeout=TIMEOUT, limit=LARGEST, may_repeat=True
            )
            claims = with_userinfo(claims, answer.status, answer.body)
        now = clock.wall()
        first = Session(
            token_bytes(16),
            0,
            now,
            kept_claims(claims),
            tokens.scope or " ".join(self._oidc.scopes),
            id_token=tokens.id_token if provider.end_session_endpoint else "",
        )
        return self._with(first, tokens, now)

    async def renew(self, session: Session) -> Session:
        """The session with new tokens. Raises Ended where there are none any more, Failed, and Unreachable."""
        asked = {"grant_type": "refresh_token", "refresh_token": session.refresh}
        tokens = await self._ask(self._provider(), asked)
        if tokens.id_token:
            claims = await self._claims(tokens.id_token, "")
            if claims["sub"] != session.claims.get("sub"):
                raise Ended("the provider answers for somebody else")
            session = _changed(session, claims={**session.claims, **kept_claims(claims)})
        return self._with(_changed(session, turn=session.turn + 1), tokens, clock.wall())

    def _provider(self) -> Provider:
        provider = self._source.provider
        if provider is None:
            raise Failed("the provider is not known")
        return provider

    async def _ask(self, provider: Provider, asked: dict[str, str]) -> Tokens:
        secret = self._secret.secret() if self._secret is not None else ""
        headers, body = token_request(provider, self._oidc, secret, asked)
        fields = [f"{name}: {value}".encode() for name, value in headers]
        answer: Answered = await self._out.ask(
            "POST", provider.token_endpoint, fields=fields, body=body, timeout=TIMEOUT, limit=LARGEST
        )
        if answer.status in {400, 401} and b'"invalid_grant"' in answer.body:
            raise Ended("the provider does not take the code or the refresh token any more")
        return read_tokens(answer.status, answer.body)

    async def _claims(self, text: str, nonce: str) -> dict[str, Any]:
        """What an ID token claims, once everything about it is right."""
        try:
            token = read(text.encode("ascii", "replace"))
            keys = await self._source.keys_for(token.header.get("kid"))
            verify(token, keys, self._oidc.algorithms)
            claims = read_json(token.payload)
        except BadToken as error:
            raise Failed(f"{error}".replace("the token", "the ID token")) from None
        found = judge(claims, self._judged, "", clock.wall())
        if isinstance(found, Refused):
            raise Failed(found.detail.replace("the token", "the ID token"))
        check_claims(claims, self._oidc.client_id, nonce)
        return claims

    def _with(self, session: Session, tokens: Tokens, now: float) -> Session:
        refresh = tokens.refresh_token or session.refresh
        life = tokens.expires_in
        if life is not None:
            # Nobody is sent to the provider, or asks it, all the time because its tokens hold for no time.
            life = max(life, 1.0 if refresh else 60.0)
        return _changed(
            session,
            access=tokens.access_token if self._forwards else "",
            access_until=inf if life is None else now + life,
            refresh=refresh if life is not None else "",
            due=due_at(now, life) if life is not None and refresh else inf,
        )


def _changed(session: Session, **changes: Any) -> Session:
    return msgspec.structs.replace(session, **changes)
