"""What is known of an OpenID provider: where browsers are sent, where codes are redeemed, and the keys that its ID
tokens are verified with. The supervisor fetches it; while there is nothing, logins wait for a moment and are then
refused.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from meshctl.core.jwk import has_kid
from meshctl.core.oidc import Provider, read_provider
from meshctl.core.principal import Refused
from meshctl.proxy.filtering import Waiting
from meshctl.proxy.sources import PATIENCE, RemoteSource
from meshctl.proxy.tasks import rest

if TYPE_CHECKING:
    from meshctl.core.jwk import VerifyingKey

_ABSENT: Final = Refused("login_unavailable", "the login provider cannot be reached at the moment")


class ProviderSource(RemoteSource):
    """See the module."""

    def __init__(self, name: str, loop: asyncio.AbstractEventLoop, ask: Callable[[str], None]) -> None:
        super().__init__(name, loop, ask)
        self.waiting = Waiting("login_unavailable", PATIENCE)
        self.provider: Provider | None = None
        self._told = asyncio.Event()

    def absent(self) -> Waiting | Refused:
        """See `Source`."""
        found = super().absent()
        return found if isinstance(found, Waiting) else _ABSENT

    def take(self, document: bytes) -> bool:
        """See `RemoteSource`."""
        changed = super().take(document)
        self.provider = (read_provider(document) if document else None) or self.provider
        self._told.set()
        return changed

    async def keys_for(self, kid: str | None) -> tuple[VerifyingKey, ...]:
        """The keys, looked for anew where none has this id and that is due."""
        if not has_kid(self.keys, kid) and self.may_know_more():
            self._told.clear()
            # Where nothing comes it is a key that is not known.
            await rest(self._told, PATIENCE)
        return self.keys
