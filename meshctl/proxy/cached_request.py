"""What a request is to the cache of its route: what it asks for, for whom, under which conditions. Compiled once for
each route; nothing here knows what is kept.

Whose an answer is, is part of its key: the version of the service, the caller where each has answers of its own, all
that the route itself puts into the request which differs from one to the other, and what a client says that could make
the service answer something else than it was asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from typing import TYPE_CHECKING, Final

from meshctl.core.cache_control import NOTHING, Asked, asked
from meshctl.core.template import literal
from meshctl.proxy.shaping import lines, made
from meshctl.wire.fields import REQUEST_READ, plain

if TYPE_CHECKING:
    from meshctl.core.caching import Head
    from meshctl.model.caching import Caching
    from meshctl.model.route import Route
    from meshctl.proxy.exchange import Exchange
    from meshctl.proxy.service import LiveVersion

Owner = tuple[str, str, bytes]
"""A route, a version of its service and a digest of the caller, b"" for everybody."""

_INITIALS: Final = frozenset(b"AaCcIiPpRrXx")
_CONDITIONS: Final = frozenset((b"if-none-match", b"if-modified-since"))
_PASSING: Final = frozenset((b"range", b"if-range", b"if-match", b"if-unmodified-since"))
"""What a request says that only its service can answer."""
_OVERRIDES: Final = frozenset((b"x-http-method-override", b"x-http-method", b"x-method-override"))
"""By which a request says to some services that it is no GET."""
_STEERING: Final = frozenset(
    (
        *(b"x-original-url", b"x-rewrite-url", b"x-original-uri", b"x-original-host", b"x-host"),
        *(b"x-forwarded-port", b"x-forwarded-prefix", b"x-forwarded-scheme", b"x-forwarded-server", b"x-forwarded-ssl"),
    )
)
"""By which it says to some what they are asked for, and by what address: in the answer to one who says so stands what
is nobody else's."""
_READ: Final = (
    _CONDITIONS | _PASSING | _OVERRIDES | _STEERING | {b"authorization", b"cookie", b"cache-control", b"pragma"}
)
_CREDENTIALS: Final = (b"authorization", b"cookie")


class CachedRequest:
    """A request that may be answered from what is kept. `said` are its conditions."""

    __slots__ = ("_exchange", "control", "is_authorized", "owner", "said", "target", "version")

    def __init__(
        self, exchange: Exchange, version: LiveVersion, owner: Owner, said: Head, control: Asked, *, is_authorized: bool
    ) -> None:
        self._exchange = exchange
        self.version = version
        self.owner = owner
        self.target = target_of(exchange)
        self.said = said
        self.control = control
        self.is_authorized = is_authorized
        """Whether its service is told who calls, where others are answered with what it says."""

    def __repr__(self) -> str:
        return f"<CachedRequest {self.target} of {self.owner[:2]}>"

    def select(self, names: tuple[bytes, ...]) -> tuple[bytes, ...]:
        """The values of its headers of these names, as its service is told them."""
        request = self._exchange.request
        found: list[bytes] = []
        for name in names:
            if name in request.named:
                # Its service does not see it: what that says is no answer to those who do send it.
                found.append(b"")
                continue
            if name in REQUEST_READ:
                found.append((request.header(name.decode("latin-1")) or "").encode("latin-1"))
                continue
            start, size = name + b":", len(name) + 1
            values = [line[size:].strip(b" \t") for line in request.fields if line[:size].lower() == start]
            found.append(values[0] if len(values) == 1 else b", ".join(values))
        return tuple(found)

    def owned_by(self, version: LiveVersion) -> Owner:
        """Whose the answer of that version is: another one may have answered in the end."""
        route, _, caller = self.owner
        return route, version.name, caller


class Reader:
    """Reads the requests of one route."""

    def __init__(self, route: Route, config: Caching) -> None:
        self._route = route.name
        self._callers = config.callers
        self._reload = config.reload
        self._ways = route.auth.names if route.auth is not None else ()
        self._forwards: bool | None = None
        """Whether credentials go on to the service; not known before the first request."""
        is_alike = config.callers == "all"
        self._lines = () if is_alike else lines(route.request_headers, route.match.path)
        query = route.request_query
        self._has_query = not is_alike and any(literal(value) is None for _, value in (*query.set, *query.add))

    def read(self, exchange: Exchange) -> CachedRequest | None:
        """The request; None for one that is no business of the cache."""
        request = exchange.request
        if request.length or request.upgrade:
            return None
        said = _read(request.fields)
        if said and not (_PASSING.isdisjoint(said) and _OVERRIDES.isdisjoint(said)):
            return None
        service = exchange.service
        assert service is not None
        version = service.only or service.choose(request, exchange.stream)
        if version is None:
            return None
        caller = b"" if self._callers == "all" else self._caller(exchange, said)
        if caller is None:
            return None
        if said and not _STEERING.isdisjoint(said):
            caller = _digest([caller, *(b"%b: %b" % (name, said[name]) for name in sorted(_STEERING & said.keys()))])
        control = NOTHING
        if said and self._reload:
            control = _control(said)
            if control.no_store:
                return None
        is_authorized = self._callers == "all" and self._is_told(exchange, said)
        owner = self._route, version.name, caller
        said = {name: said[name] for name in _CONDITIONS & said.keys()} if said else said
        return CachedRequest(exchange, version, owner, said, control, is_authorized=is_authorized)

    def _is_told(self, exchange: Exchange, said: Head) -> bool:
        """Whether the service is told who calls."""
        principal = exchange.principal
        if b"authorization" in said or exchange.stream.identity:
            return True
        if principal is None:
            return False
        if self._forwards is None:
            self._forwards = any(each.forward for each in exchange.snapshot.mesh.auth if each.name in self._ways)
        return self._forwards or bool(principal.told)

    def _caller(self, exchange: Exchange, said: Head) -> bytes | None:
        """A digest of who calls and of what the route says differently to its service for each; b"" for nobody in
        particular, None for somebody who is to be answered by the service."""
        told: list[bytes] = []
        principal, identity = exchange.principal, exchange.stream.identity
        if principal is not None or identity or not said.keys().isdisjoint(_CREDENTIALS):
            if self._callers == "anonymous":
                return None
            told += [name + b": " + said[name] for name in _CREDENTIALS if name in said]
            told.append(identity.encode())
            if principal is not None:
                told += [each.encode() for each in (principal.way, principal.subject, principal.owner)]
                told += [principal.identity.encode(), *principal.told]
        if self._lines:
            told += made(self._lines, exchange)
        if self._has_query and exchange.route is not None and exchange.route.query is not None:
            told.append((exchange.route.query.made(exchange) or "").encode())
        return _digest(told) if told else b""


def target_of(exchange: Exchange) -> str:
    """What is asked for (RFC 9111 §2), in the words that its service is told."""
    request, stream = exchange.request, exchange.stream
    scheme, host = stream.scheme, request.authority.decode("latin-1").lower()
    if stream.trusted:
        special = request.special
        scheme = special.get(b"x-forwarded-proto", scheme.encode()).decode("latin-1")
        if b"x-forwarded-host" in special:
            host += "," + special[b"x-forwarded-host"].decode("latin-1")
    query = request.query_string
    return f"{scheme}://{host}{exchange.path}" if query is None else f"{scheme}://{host}{exchange.path}?{query}"


def _read(fields: Sequence[bytes]) -> dict[bytes, bytes]:
    found: dict[bytes, bytes] = {}
    for line in fields:
        # Asked of every field of every request: most are told by their first letter.
        if line[0] in _INITIALS:
            name, _, value = line.partition(b":")
            low = plain(name)
            if low in _READ:
                value = value.strip(b" \t")
                found[low] = found[low] + b", " + value if low in found else value
    return found


def _control(said: Head) -> Asked:
    control, pragma = said.get(b"cache-control"), said.get(b"pragma")
    if control is None and pragma is None:
        return NOTHING
    return asked(control.decode("latin-1") if control is not None else None, (pragma or b"").decode("latin-1"))


def _digest(told: Sequence[bytes]) -> bytes:
    """A few bytes for all of them: what is secret does not stay."""
    return sha256(b"".join(b"%d:%b," % (len(each), each) for each in told)).digest()
