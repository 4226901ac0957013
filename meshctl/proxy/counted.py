"""Whose request it is to a limit: the text under which it is counted, by what the limit asks for.

Addresses of IPv6 are counted by their network of 64 bits, which is what one client has; those of IPv4 within IPv6 are
those of IPv4. What a request does not have, or has more than once, is "", which all such requests share.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from hashlib import sha256
from ipaddress import IPv6Address
from typing import TYPE_CHECKING, Final

from meshctl.model.address import bare_address
from meshctl.model.limits import By
from meshctl.proxy.client_address import client_address
from meshctl.proxy.ways import value_of
from meshctl.wire.cookies import every_cookie
from meshctl.wire.fields import REQUEST_READ

if TYPE_CHECKING:
    from meshctl.proxy.exchange import Exchange

LONGEST: Final = 96
"""Characters of a key that is written down as it is."""
_LONGEST_ADDRESS: Final = 64
"""Characters of an address that is remembered: its zone can be as long as somebody likes."""

Counted = Callable[["Exchange"], str]


def counted(by: By) -> Counted:
    """How the requests of this limit are told apart."""
    name = by.name
    if by.kind == "client_ip":
        return _client
    if by.kind == "route":
        return lambda _exchange: ""
    if by.kind == "key":
        return _caller
    if by.kind == "claim":
        return lambda exchange: exchange.request.claim(name) or ""
    if by.kind == "identity":
        return lambda exchange: exchange.stream.identity or exchange.stream.peer
    if by.kind == "header":
        return _header(name)
    if by.kind == "cookie":
        return lambda exchange: _only(every_cookie(exchange.request.fields, name))
    return lambda exchange: _only(exchange.request.every(name))


def salt(route: str, name: str, by: By) -> int:
    """What tells the keys of one limit from those of others. It and all that is hashed with it is the same for all
    processes that were forked from one, and for no others: nobody can choose keys that meet."""
    return hash((route, name, by.kind, by.name))


def shown(key: str, by: By) -> str:
    """A key as it may be written down and shown: short, readable, and no secret of anybody."""
    if not key or (len(key) <= LONGEST and key.isprintable() and not is_hidden(by)):
        return key
    return f"sha256:{sha256(key.encode()).hexdigest()[:32]}"


@lru_cache(maxsize=256)
def is_hidden(by: By) -> bool:
    """Whether such keys may be worth stealing."""
    from meshctl.core.differences import is_secret

    return by.kind == "cookie" or (by.kind in {"header", "query"} and is_secret(by.name))


def _client(exchange: Exchange) -> str:
    stream = exchange.stream
    address = client_address(exchange) if stream.trusted else stream.client
    return network(address) if ":" in address else address


def _header(name: str) -> Counted:
    if name.encode() in REQUEST_READ:
        return lambda exchange: exchange.request.header(name) or ""
    start = name.encode() + b":"
    return lambda exchange: (value_of(exchange.request.fields, start) or b"").decode("latin-1")


def _only(values: list[str]) -> str:
    """The one value that there is. Of several nobody knows which one the service takes, so that a request with them is
    counted as one without any: else each would have a count of its own that only adds another value."""
    return values[0] if values and values.count(values[0]) == len(values) else ""


def _caller(exchange: Exchange) -> str:
    principal = exchange.principal
    return f"{principal.way}/{principal.subject}" if principal is not None else ""


def network(address: str) -> str:
    """What an address with colons is counted as; itself where it is none.

    >>> network("2001:db8:1:2:3::4"), network("::ffff:192.0.2.7")
    ('2001:db8:1:2::/64', '192.0.2.7')
    """
    return _known(address) if len(address) <= _LONGEST_ADDRESS else _network(address)


def _network(address: str) -> str:
    try:
        found = bare_address(address)
    except ValueError:
        return address
    if not isinstance(found, IPv6Address):
        return str(found)
    return f"{IPv6Address(int(found) >> 64 << 64)}/64"


_known: Final = lru_cache(maxsize=4096)(_network)
