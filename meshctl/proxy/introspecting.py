"""Tokens that a server is asked about (RFC 7662) as a way to know who calls: asked once, however many show a token at
once, then known by its hash for as long as the answer holds. While the server cannot be asked nobody new is let in.
"""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, Final

import msgspec

from meshctl import clock
from meshctl.core.introspection import BadAnswer, basic, flaw, form, judge
from meshctl.core.principal import Principal, Refused, told
from meshctl.model.auth import Auth
from meshctl.proxy.answers import Unreachable, origin
from meshctl.proxy.asking import Asking, asked, note
from meshctl.proxy.outward import outward
from meshctl.proxy.secret_file import SecretFile
from meshctl.proxy.tasks import spawn
from meshctl.proxy.ways import Way, bearer, bearer_challenge, drop, is_key

if TYPE_CHECKING:
    from meshctl.proxy.exchange import Exchange
    from meshctl.proxy.filtering import Waiting
    from meshctl.proxy.worker import Worker
    from meshctl.wire.fields import Fields

MOST_KNOWN: Final = 10_000
"""Tokens that are remembered: so many good ones and so many bad ones."""
MOST_ASKED: Final = 256
"""Tokens that are asked about at once; more are refused."""
BAD_LASTS: Final = 5.0
"""Seconds for which a bad token is remembered, against trying it again and again."""
LARGEST: Final = 65_536
"""Bytes of an answer."""

_REASON: Final = "introspection_unavailable"
_UNAVAILABLE: Final = Refused(_REASON, "the server that knows tokens cannot be asked at the moment")
_BUSY: Final = Refused(_REASON, "too many tokens are being asked about")


class IntrospectionWay(Way):
    """See the module."""

    uses_authorization = True
    is_remote = True

    def __init__(self, config: Auth, worker: Worker) -> None:
        super().__init__(config, "a token is needed, in Authorization: Bearer")
        assert config.introspection is not None
        self._config = config.introspection
        self._secret = SecretFile(self._config.client_secret_file)
        self._worker = worker
        self._outward = outward(worker)
        self._known: dict[bytes, Principal] = {}
        self._bad: dict[bytes, tuple[float, Refused]] = {}
        self._asking: dict[bytes, Asking] = {}

    def find(self, exchange: Exchange, shown: Fields) -> Principal | Refused | Waiting:
        """See `Way`."""
        token = bearer(shown)
        if token is None or is_key(token):
            return self.silent
        if (before := asked(exchange, self)) is not None:
            return before.outcome
        if why := flaw(token):
            return Refused("token_invalid", why)
        digest = sha256(token).digest()
        found = self._remembered(digest, clock.wall())
        if found is not None:
            return found
        asking = self._asking.get(digest)
        if asking is None:
            if len(self._asking) >= MOST_ASKED:
                return _BUSY
            asking = self._asking[digest] = Asking(_REASON, self._config.timeout)
            spawn(self._ask(digest, token, asking), name="introspection")
        return note(exchange, self, asking)

    def challenge(self, realm: str, refused: Refused) -> str:
        """See `Way`."""
        return bearer_challenge(realm, refused)

    def refresh(self) -> None:
        """See `Way`."""
        self._secret.refresh()

    def forget(self, now: float) -> None:
        """See `Way`."""
        drop(self._known, [each for each, found in self._known.items() if found.until <= now])
        drop(self._bad, [each for each, (until, _) in self._bad.items() if until <= now])

    def _remembered(self, digest: bytes, now: float) -> Principal | Refused | None:
        found = self._known.pop(digest, None)
        if found is not None and found.until > now:
            # The one that was used last stands last.
            self._known[digest] = found
            return found
        until, refused = self._bad.get(digest, (0.0, None))
        return refused if until > now else None

    async def _ask(self, digest: bytes, token: bytes, asking: Asking) -> None:
        found: Principal | Refused = _UNAVAILABLE
        try:
            found = await self._answer(token)
        except Unreachable as error:
            self._complain(str(error))
        except BadAnswer as error:
            self._complain(f"{origin(self._config.url)} {error}")
        else:
            self._remember(digest, found, clock.wall())
        finally:
            del self._asking[digest]
            asking.answered(found, self._worker.loop)

    async def _answer(self, token: bytes) -> Principal | Refused:
        config = self._config
        said = await self._outward.ask(
            "POST",
            config.url,
            fields=[
                b"Authorization: " + basic(config.client_id, self._secret.secret()),
                b"Content-Type: application/x-www-form-urlencoded",
                b"Accept: application/json",
            ],
            body=form(token, config),
            timeout=config.timeout,
            limit=LARGEST,
            ca=config.ca,
            may_repeat=True,
        )
        if said.status in (401, 403):
            raise BadAnswer(f"does not take our client_id and secret ({said.status})")
        if said.status != 200:
            raise BadAnswer(f"answers {said.status}")
        found = judge(said.body, config, self.name, clock.wall())
        if isinstance(found, Refused):
            return found
        return msgspec.structs.replace(found, told=told(self.config.headers, found.claims))

    def _remember(self, digest: bytes, found: Principal | Refused, now: float) -> None:
        if isinstance(found, Refused):
            self._bad[digest] = now + min(BAD_LASTS, self._config.cache), found
        else:
            self._known[digest] = found
        for each in (self._known, self._bad):
            if len(each) > MOST_KNOWN:
                del each[next(iter(each))]

    def _complain(self, error: str) -> None:
        self._worker.complaints.tell("introspection_failed", _REASON, way=self.name, error=error)
