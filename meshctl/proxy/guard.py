"""Who calls a route: the ways it asks for, put together, and what of the request then goes on to the service.

Nothing that a client says of who it is reaches a service which is told that by the gateway: the headers that carry
claims are taken out in every spelling that an upstream could take for them, also where Connection names them or a
trailer has them, and credentials pass only where the configuration says so. What was found for a connection's fields is
kept beside them: as long as its reader gives the same fields again, nothing is looked at twice.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import unquote_plus

from meshctl import clock
from meshctl.core.principal import Principal, Refused, RefusedElsewhere, joined
from meshctl.proxy.filtering import Waiting
from meshctl.proxy.filters.reply import Reply, refusal
from meshctl.proxy.known import Known
from meshctl.proxy.ways import KEY, bearer
from meshctl.wire.cookies import without_cookies
from meshctl.wire.fields import MOST_NAMES, Fields, make, plain
from meshctl.wire.reasons import status_of

if TYPE_CHECKING:
    from collections.abc import Container, Sequence

    from meshctl.proxy.exchange import Exchange
    from meshctl.proxy.vouching import Vouching
    from meshctl.proxy.ways import Way

_AUTHORIZATION: Final = b"authorization"
_COOKIE: Final = frozenset((b"cookie",))
_LONGEST_USER: Final = 256
"""Characters of a subject in the access log."""
_LONGEST_NAME: Final = 128
"""Bytes of a field's name that is remembered."""


class Stripping:
    """The filter of a route without `auth` whose service is told claims on another one: nobody invents them. `hidden`
    are the headers that tell; `read` are those that are looked at; `cookies` are those of sessions, which no service
    sees."""

    def __init__(
        self,
        hidden: frozenset[bytes],
        read: frozenset[bytes] = frozenset(),
        cookies: frozenset[bytes] = frozenset(),
    ) -> None:
        self.hidden = hidden
        self._cookies = cookies
        self._is_odd = _Spellings(hidden | read | (_COOKIE if cookies else frozenset()))

    def __call__(self, exchange: Exchange) -> Reply | None:
        """Always None."""
        request = exchange.request
        if odd := self.odd(request.fields):
            rest = self._rest(request.fields, odd, self.hidden)
            if rest != request.fields:
                request.fields = rest
        return None

    def odd(self, fields: Fields) -> Fields:
        """The fields that may not all pass as they are."""
        is_odd = self._is_odd
        return [line for line in fields if is_odd[line[: line.index(b":")]]]

    def _rest(self, fields: Fields, odd: Fields, hidden: frozenset[bytes]) -> Fields:
        """The fields without those that are hidden and the cookies that are ours; a new list."""
        gone = [line for line in odd if plain(line[: line.index(b":")]) in hidden]
        found = [line for line in fields if line not in gone] if gone else fields.copy()
        return without_cookies(found, self._cookies) if self._cookies else found

    def visible(self, fields: Fields) -> Fields:
        """The fields but for those that are hidden, in any spelling; a new list."""
        return [line for line in fields if plain(line[: line.index(b":")]) not in self.hidden]


class Guard(Stripping):
    """The filter of a route with `auth`. `hidden` are the headers by which its service is told claims, on whatever
    route."""

    def __init__(
        self,
        vouching: Vouching,
        ways: Sequence[Way],
        hidden: frozenset[bytes],
        realm: str,
        *,
        every: bool,
        cookies: frozenset[bytes] = frozenset(),
    ) -> None:
        configs = [each.config for each in ways]
        keys = [(each.api_key, each.forward) for each in configs if each.api_key is not None]
        headers = {plain(key.header.encode()): forward for key, forward in keys if key.header}
        own = {name for name, forward in headers.items() if not forward}
        if any(each.forward_auth and "authorization" in each.forward_auth.copy_headers for each in configs):
            own.add(_AUTHORIZATION)
        super().__init__(hidden | own, frozenset((*headers, _AUTHORIZATION)), cookies)
        self._vouching = vouching
        self._ways = tuple(ways)
        self._every = every
        self._realm = realm
        self._queries = frozenset(key.query for key, _ in keys if key.query)
        self._keys = frozenset(each.name for each in ways if each.config.api_key is not None)
        self._only = self._ways[0] if len(self._ways) == 1 else None
        self._login = next((each for each in ways if each.config.oidc is not None), None)
        # They put a token in the place of the client's.
        self._tellers = frozenset(each.name for each in ways if each.config.oidc and each.config.forward)
        self._readers = frozenset(each.name for each in ways if each.uses_authorization)
        self._forwarders = frozenset(each.name for each in ways if each.uses_authorization and each.config.forward)

    def __repr__(self) -> str:
        return f"<Guard {', '.join(each.name for each in self._ways)}>"

    def __call__(self, exchange: Exchange) -> Reply | None:
        """None for a caller who is known."""
        request = exchange.request
        known = exchange.stream.known
        if (
            known is None
            or known.guard is not self
            or known.epoch is not self._vouching.moment
            or known.until <= clock.wall()
        ):
            return self._ask(exchange)
        fields = request.fields
        if known.fields is not fields and (self._cookies or not known.amend(fields, self._is_odd)):
            return self._ask(exchange)
        principal = exchange.principal = known.principal
        exchange.user = known.user
        request.claims = principal.claims
        request.fields = known.passing
        if request.named:
            request.named = protected(request.named, self.hidden)
        return None

    def _ask(self, exchange: Exchange) -> Reply | None:
        fields = exchange.request.fields
        if self._queries:
            _take_from_query(exchange, self._queries)
        odd = self.odd(fields)
        if self._only is not None:
            one = self._only.find(exchange, odd)
            if not isinstance(one, Principal):
                return self._refused(exchange, [one])
            self._accept(exchange, one, odd, (one.way,))
            return None
        found = self._found(exchange, odd)
        principals = [each for each in found if isinstance(each, Principal)]
        if len(principals) < (len(found) if self._every else 1):
            return self._refused(exchange, found)
        accepted = principals if self._every else principals[:1]
        self._accept(exchange, joined(accepted), odd, [each.way for each in accepted])
        return None

    def _found(self, exchange: Exchange, odd: Fields) -> list[Principal | Refused | Waiting]:
        """What the ways say, as far as that matters: no other server is asked in vain."""
        found: list[Principal | Refused | Waiting] = []
        for way in self._ways:
            if way.is_remote and self._every and any(isinstance(each, Refused) for each in found):
                found.append(way.silent)
                continue
            found.append(way.find(exchange, odd))
            if not self._every and isinstance(found[-1], Principal):
                break
        return found

    def _accept(self, exchange: Exchange, principal: Principal, odd: Fields, ways: Sequence[str]) -> None:
        """Let a request go on as that of `principal`, who is known by `ways`."""
        request = exchange.request
        fields = request.fields
        passing = self._passing(fields, odd, ways)
        passing += principal.told
        exchange.principal = principal
        exchange.user = user = principal.subject[:_LONGEST_USER]
        if not self._queries and request.is_bare:
            exchange.stream.known = Known(self, self._vouching.moment, principal, user, fields, passing, self._is_odd)
        request.claims = principal.claims
        request.fields = passing
        if request.named:
            request.named = protected(request.named, self.hidden)

    def _passing(self, fields: Fields, odd: Fields, ways: Sequence[str]) -> Fields:
        """The fields that go on; a new list."""
        if not odd:
            return fields.copy()
        hidden = self.hidden
        used = self._readers.intersection(ways)
        is_trusted = bool(used) and used <= self._forwarders
        if is_trusted and used <= self._keys:
            # The key may have stood elsewhere.
            is_trusted = (bearer(odd) or b"").startswith(KEY)
        if (self._readers and not is_trusted) or not self._tellers.isdisjoint(ways):
            # A token that nobody here has looked at must not look as if somebody had.
            hidden = hidden | {_AUTHORIZATION}
        return self._rest(fields, odd, hidden)

    def _may_invite(self, found: Sequence[Principal | Refused | Waiting]) -> bool:
        """Whether a login is all that is missing, or nothing else was tried."""
        for way, said in zip(self._ways, found, strict=False):
            if way is self._login:
                if not isinstance(said, Refused) or status_of(said.reason) != 401:
                    return False
            elif self._every if isinstance(said, Refused) and said.is_silent else not isinstance(said, Principal):
                return False
        return True

    def _refused(self, exchange: Exchange, found: Sequence[Principal | Refused | Waiting]) -> Reply:
        """The answer to who is not known: the first credential that is not accepted tells why."""
        refusals = [each for each in found if isinstance(each, Refused)]
        waiting = next((each for each in found if isinstance(each, Waiting)), None)
        if waiting is not None and not (self._every and refusals):
            return waiting.hold(exchange)
        if self._login is not None and self._may_invite(found):
            invitation = self._login.invite(exchange)
            if invitation is not None:
                return invitation
        why = next((each for each in refusals if not each.is_silent), refusals[0])
        pairs = zip(self._ways, found, strict=True)
        said = [way.challenge(self._realm, each) for way, each in pairs if isinstance(each, Refused)]
        if isinstance(why, RefusedElsewhere):
            reason = make("X-Meshctl-Reason", why.reason)
            return Reply(why.status, [*why.fields, *reason], why.body, why.reason)
        detail = why.detail
        if why.is_silent and not self._every:
            detail = "; or ".join(dict.fromkeys(each.detail for each in refusals))
        if status_of(why.reason) != 401:
            return refusal(exchange, why.reason, detail)
        return refusal(exchange, why.reason, detail, *filter(None, dict.fromkeys(said)))


class _Spellings(dict[bytes, bool]):
    """Whether a field's name, as it is spelt, means one of `names`: found out once for each spelling."""

    def __init__(self, names: frozenset[bytes]) -> None:
        super().__init__()
        self._names = names

    def __missing__(self, name: bytes) -> bool:
        found = plain(name) in self._names
        if len(self) < MOST_NAMES and len(name) <= _LONGEST_NAME:
            self[name] = found
        return found


def protected(named: frozenset[bytes], hidden: frozenset[bytes]) -> frozenset[bytes]:
    """What Connection may have dropped: not what the gateway itself says of the caller."""
    return frozenset(each for each in named if plain(each) not in hidden)


def split_query(query: str, names: Container[str]) -> tuple[str, bytes | None]:
    """The query without the parameters of these names, and their value: b"" where there are two, which is none; None
    where there is none.

    >>> split_query("a=1&key=x%20y&b=2", {"key"}), split_query("key=x&key=y", {"key"}), split_query("a=1", {"key"})
    (('a=1&b=2', b'x y'), ('', b''), ('a=1', None))
    """
    kept, taken = [], []
    for part in query.split("&"):
        name, _, value = part.partition("=")
        if unquote_plus(name) in names:
            taken.append(unquote_plus(value).encode("utf-8", "replace"))
        else:
            kept.append(part)
    return "&".join(kept), (taken[0] if len(taken) == 1 else b"") if taken else None


def _take_from_query(exchange: Exchange, names: frozenset[str]) -> None:
    """Take credentials out of the query, so that they are neither passed on nor logged."""
    request = exchange.request
    if request.query_string is None or exchange.query_credential is not None:
        return
    rest, credential = split_query(request.query_string, names)
    if credential is None:
        return
    exchange.query_credential = credential
    request.query_string = rest or None
    path, _, _ = request.target_text.partition("?")
    request.target_text = f"{path}?{rest}" if rest else path
    request.target = request.target_text.encode("latin-1")
