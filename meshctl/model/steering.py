"""What is done to a service's requests live, beside the split: faults that are injected, copies that a version gets.

They stand in the store, under `traffic/steering/fault/<service>/<caller>` and `traffic/steering/mirror/<service>`, and
never in mesh.toml. Shares are fractions, 0 to 1; times are seconds since the epoch.
"""

from __future__ import annotations

import msgspec


class Fault(msgspec.Struct, frozen=True):
    """The faults that those who send to a service inject until a moment. A share of 0 means that there is no such
    fault."""

    service: str
    caller: str = ""
    """Only requests that this service sends, or "gateway" for those from outside; "" for all."""
    delay: float = 0.0
    """Seconds to wait before a request goes on."""
    delay_share: float = 0.0
    abort: int = 0
    """The status to answer instead of sending the request on."""
    abort_share: float = 0.0
    reset_share: float = 0.0
    """Of the requests whose connection is cut instead."""
    throttle: int = 0
    """Bytes of an answer's body in a second."""
    throttle_share: float = 0.0
    until: float = 0.0
    """When it ends, whoever lives then."""
    who: str = ""
    at: float = 0.0


class Mirror(msgspec.Struct, frozen=True):
    """The copies of a service's requests that one of its versions gets."""

    service: str
    to: str
    """The version."""
    share: float = 0.1
    diff: bool = False
    """Whether its answers are compared with those that the callers got."""
    ignore: tuple[str, ...] = ()
    """JSONPaths of what may differ in JSON bodies."""
    headers: tuple[str, ...] = ()
    """Names of header fields that are compared beside content-type, in lower case."""
    all_methods: bool = False
    """Whether requests are copied, too, whose methods change something (RFC 9110 §9.2.1)."""
    who: str = ""
    at: float = 0.0


class Steering(msgspec.Struct, frozen=True):
    """All of it."""

    faults: tuple[Fault, ...] = ()
    mirrors: tuple[Mirror, ...] = ()


class MirrorCount(msgspec.Struct, frozen=True):
    """What became of the requests of one mirror so far."""

    service: str
    at: float
    """Of the mirror: one that is set anew counts anew."""
    copied: int = 0
    """Copies that were sent, or tried to be."""
    failed: int = 0
    """Those that got no whole answer."""
    dropped: int = 0
    """Requests that were due and not copied: too large, or too many at once."""
    compared: int = 0
    """Pairs of answers that are the same byte for byte; others are compared elsewhere."""
    uncompared: int = 0
    """Pairs that nobody compares: too large, or too many at once."""


class Shown(msgspec.Struct, frozen=True, array_like=True):
    """An answer as it is compared."""

    status: int
    fields: dict[str, str]
    """Those that are compared, by lower-case name."""
    body: bytes


class Difference(msgspec.Struct, frozen=True):
    """One thing in which two answers differ, with both values, shortened."""

    what: str
    """`status`, `content-type`, or where in the body: `$.items[0].price`."""
    original: str
    copy: str


class Example(msgspec.Struct, frozen=True):
    """A request whose copy was answered otherwise."""

    method: str
    path: str
    at: float
    differences: tuple[Difference, ...]


class MirrorTally(msgspec.Struct, frozen=True):
    """What one proxy or all together have seen of a mirror."""

    service: str
    at: float = 0.0
    copied: int = 0
    failed: int = 0
    dropped: int = 0
    compared: int = 0
    uncompared: int = 0
    mismatched: int = 0
    examples: tuple[Example, ...] = ()
