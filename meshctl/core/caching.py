"""Whether an answer may be kept, how long it is fresh, and whether what is kept may answer a request: RFC 9111 as a
shared cache has it, and stale answers by RFC 5861. Pure: heads, ages and moments are arguments.

A head is its fields by lower-case name, those that repeat joined by commas.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Final, Literal, NamedTuple

from meshctl.core.cache_control import Asked, Directives, directives, seconds
from meshctl.model.caching import Caching

Head = Mapping[bytes, bytes]

HEURISTIC: Final = frozenset((200, 203, 204, 300, 301, 308, 404, 405, 410, 414, 501))
"""Statuses of answers that may be kept although they do not say how long (RFC 9110 §15.1), but for parts."""
UNDERSTOOD: Final = HEURISTIC | {302, 303, 307, 400, 401, 403, 500, 502, 503, 504}
"""Statuses whose answers this cache knows how to keep, for who asks that (must-understand)."""
ERRORS: Final = frozenset((500, 502, 503, 504))
"""In whose place an older answer may stand (RFC 5861 §4)."""
UNREADABLE: Final = frozenset(
    (
        *(b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host", b"forwarded", b"via"),
        *(b"x-request-id", b"traceparent", b"x-request-timeout", b"grpc-timeout", b"x-meshctl-identity"),
        b"x-meshctl-mirror",
    )
)
"""What the proxy itself tells a service anew with each request: an answer that varies by it fits no other request."""
_LONGEST: Final = 256
"""Bytes of a Vary that is remembered: a service may say what its client said."""
_UNREPEATED: Final = UNREADABLE | {b"*"}
_BEHIND, _ON_ERROR = "stale-while-revalidate", "stale-if-error"
_STRICT: Final = ("must-revalidate", "proxy-revalidate")

Use = Literal["fresh", "stale", "refresh", "ask"]
"""May be given; may although it is stale, for the request says so; may while a new one is fetched; or the service is to
be asked first."""


class Keeping(NamedTuple):
    """How an answer may be kept. Times are in seconds; those of grace count from when it is stale."""

    lifetime: float
    revalidating: float = 0.0
    """For which it may be given while a new one is fetched."""
    on_error: float = 0.0
    """For which it may be where a new one cannot be had."""
    is_asked_for: bool = False
    """Whether the service is asked each time whether it still holds."""
    is_strict: bool = False
    """Whether no client may ask for it when it is stale."""

    @property
    def is_shared(self) -> bool:
        """Whether requests that came at the same time may be answered with it."""
        return self.lifetime > 0 and not self.is_asked_for


class Refusal(NamedTuple):
    """Why an answer is not kept, in words."""

    why: str


def kept(
    config: Caching, status: int, head: Head, *, date: float, expires: float | None, authorized: bool
) -> Keeping | Refusal:
    """How an answer to GET may be kept (§3). `date` is when it was made, `expires` what its Expires says, `authorized`
    whether its service was told who calls, and others may be answered with it."""
    said = directives(head.get(b"cache-control", b"").decode("latin-1"))
    why = _refused(config, status, head, said, authorized=authorized)
    if why:
        return Refusal(why)
    lifetime = _lifetime(config, status, head, said, date, expires)
    if lifetime is None:
        return Refusal("it does not say how long")
    keeping = _keeping(config, lifetime, said)
    has_validator = b"etag" in head or b"last-modified" in head
    if (keeping.is_asked_for or lifetime <= 0) and not has_validator and not keeping.revalidating + keeping.on_error:
        return Refusal("it holds for no other request")
    return keeping


def use(keeping: Keeping, age: float, asked: Asked) -> Use:
    """What an answer of that age is good for (§4.2, §5.2.1)."""
    left = keeping.lifetime - age
    if keeping.is_asked_for or asked.no_cache or age > asked.max_age or asked.min_fresh > max(left, 0.0):
        return "ask"
    if left > 0:
        return "fresh"
    if not keeping.is_strict and -left <= asked.max_stale and asked.max_stale:
        return "stale"
    return "refresh" if keeping.revalidating and -left <= keeping.revalidating else "ask"


def stands_in(keeping: Keeping, age: float, asked: Asked) -> bool:
    """Whether an answer of that age may be given where the service has none (RFC 5861 §4)."""
    if keeping.is_asked_for or asked.no_cache:
        return False
    return keeping.on_error > 0 and age - keeping.lifetime <= keeping.on_error


def first_age(age: bytes, date: float, sent: float, received: float) -> float:
    """How old an answer with that Age was when it came (§4.2.3): asked for at `sent`, there at `received`."""
    told = seconds(age.partition(b",")[0].strip().decode("latin-1")) if age else 0.0
    return max(0.0, received - date, told + received - sent)


def varies_by(config: Caching, head: Head) -> tuple[bytes, ...]:
    """The request headers that an answer is for, in lower case and order (§4.1). Not asked of one that is not kept."""
    return _names(config.vary, head.get(b"vary", b""))


def holds_still(said: Head, status: int, head: Head, *, since: float | None, modified: float | None) -> bool:
    """Whether a client that asked with these conditions has the answer already (RFC 9110 §13.2.2): the moment it has it
    from, and the one at which it was modified."""
    if status != 200:
        return False
    tags = said.get(b"if-none-match")
    if tags is not None:
        own = _opaque(head.get(b"etag", b""))
        return tags.strip() == b"*" or (bool(own) and own in {_opaque(each) for each in tags.split(b",")})
    return since is not None and modified is not None and modified <= since


def _refused(config: Caching, status: int, head: Head, said: Directives, *, authorized: bool) -> str:
    if status in {206, 304}:
        return "it is a part of an answer"
    if "must-understand" in said:
        if status not in UNDERSTOOD:
            return "its status is not understood"
    elif "no-store" in said:
        return "no-store"
    if "private" in said:
        return "private"
    if b"vary" in head and not _UNREPEATED.isdisjoint(_names((), head[b"vary"])):
        return "it varies by what no request repeats"
    if authorized and not said.keys() & {"public", "s-maxage", "must-revalidate"}:
        return "it is for one caller"
    if b"set-cookie" in head and not config.set_cookie:
        return "it sets a cookie"
    return ""


def _lifetime(
    config: Caching, status: int, head: Head, said: Directives, date: float, expires: float | None
) -> float | None:
    """How long it is fresh from its date (§4.2.1); None where neither it nor the route says so."""
    for name in ("s-maxage", "max-age"):
        if name in said:
            return seconds(said[name])
    if b"expires" in head:
        return 0.0 if expires is None else max(0.0, expires - date)
    if "no-cache" in said:
        return 0.0
    if status not in HEURISTIC:
        return None
    return config.default or (0.0 if b"etag" in head or b"last-modified" in head else None)


def _keeping(config: Caching, lifetime: float, said: Directives) -> Keeping:
    # s-maxage alone forbids stale answers, too (§5.2.2.10), but not to who says beside it that they may be given.
    is_strict = any(name in said for name in _STRICT)
    is_quiet = is_strict or "s-maxage" in said or "no-cache" in said
    behind, on_error = (0.0, 0.0) if is_quiet else (config.stale_while_revalidate, config.stale_if_error)
    if not is_strict:
        behind = seconds(said[_BEHIND]) if _BEHIND in said else behind
        on_error = seconds(said[_ON_ERROR]) if _ON_ERROR in said else on_error
    return Keeping(lifetime, behind, on_error, is_asked_for="no-cache" in said, is_strict=is_quiet)


def _names(own: tuple[str, ...], vary: bytes) -> tuple[bytes, ...]:
    return _known(own, vary) if len(vary) <= _LONGEST else _read_names(own, vary)


def _read_names(own: tuple[str, ...], vary: bytes) -> tuple[bytes, ...]:
    named = {name.strip().lower() for name in vary.split(b",")}
    return tuple(sorted((named | {name.encode() for name in own}) - {b""}))


_known: Final = lru_cache(maxsize=256)(_read_names)


def _opaque(tag: bytes) -> bytes:
    """An entity tag without what says that it is weak: that makes no difference here (RFC 9110 §8.8.3.2)."""
    return tag.strip().removeprefix(b"W/")
