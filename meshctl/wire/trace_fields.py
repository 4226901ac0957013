"""What of a request's fields says which trace it belongs to, beside traceparent: tracestate, and B3 of older systems.
Pure. What is invalid counts as not said, since a trace is nothing to refuse a request for.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from meshctl.wire.fields import Fields, without

MOST_MEMBERS: Final = 32
"""Of a tracestate (W3C Trace Context §3.3.1.1)."""
LONGEST_STATE: Final = 512
"""Bytes of a tracestate that are passed on: as many as must be (§3.3.1.5)."""

_LONG_MEMBER: Final = 128
_STATE: Final = b"tracestate"
_FIRST: Final = frozenset(b"tTbBxX")
_MEMBER: Final = re.compile(
    rb"[a-z0-9][a-z0-9_*/@-]{0,255}=[\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e]"
).fullmatch
_TRACE: Final = re.compile(rb"(?:[0-9a-f]{16}){1,2}").fullmatch
_SPAN: Final = re.compile(rb"[0-9a-f]{16}").fullmatch
_SAID: Final = {b"1": True, b"d": True, b"true": True, b"0": False, b"false": False}


class B3(NamedTuple):
    """What a request says in B3. `is_sampled` is None where that is left to whoever comes next; `trace` and `span` are
    empty where it says no more than that."""

    trace: bytes
    span: bytes
    is_sampled: bool | None


class Said(NamedTuple):
    """What a head says of its trace, and what of it may pass on."""

    b3: B3 | None
    state: bytes
    """The whole tracestate, combined."""
    fields: Fields
    """The head's fields with that tracestate in them, or the very same where nothing had to change."""
    bare: Fields
    """The same without any, for a trace that is not its own."""


def is_silent(fields: Fields) -> bool:
    """Whether no field of a request can say anything of its trace, which is mostly so."""
    # Asked of each head that is not the last one again: three looks at all of it cost a third of a look at each line.
    head = b"\n".join((b"", *fields)).lower()
    return b"\ntracestate" not in head and b"\nb3" not in head and b"\nx-b3-" not in head


def read(fields: Fields) -> Said:
    """Read the fields of a request."""
    states: list[bytes] = []
    older: dict[bytes, bytes] = {}
    for line in fields:
        # Asked of each field: one look at a letter keeps nearly all of them out.
        if line[0] in _FIRST:
            name, _, value = line.partition(b":")
            low = name.lower()
            if low == _STATE:
                states.append(value.strip(b" \t"))
            elif low == b"b3" or low.startswith(b"x-b3-"):
                older.setdefault(low, value.strip(b" \t"))
    b3 = _single(older[b"b3"]) if b"b3" in older else _several(older) if older else None
    if not states:
        return Said(b3, b"", fields, fields)
    bare = without(fields, (_STATE,))
    state = combined(states)
    if len(states) == 1 and states[0] == state:
        return Said(b3, state, fields, bare)
    return Said(b3, state, [*bare, b"tracestate: " + state] if state else bare, bare)


def combined(values: list[bytes]) -> bytes:
    """One tracestate of several fields, in their order; b"" where any member is none, or there are too many. Where it
    is too long, long members go first, and then the last ones (§3.3.1.5).

    >>> combined([b"a=1 , b=2", b"", b"c@d=3"])
    b'a=1,b=2,c@d=3'
    """
    members = [member for value in values for part in value.split(b",") if (member := part.strip(b" \t"))]
    if len(members) > MOST_MEMBERS or not all(map(_MEMBER, members)):
        return b""
    if _length(members) > LONGEST_STATE:
        members = [each for each in members if len(each) <= _LONG_MEMBER]
    while _length(members) > LONGEST_STATE:
        members.pop()
    return b",".join(members)


def _length(members: list[bytes]) -> int:
    return sum(map(len, members)) + len(members) - 1


def _single(value: bytes) -> B3 | None:
    """`{trace}-{span}-{sampled}-{parent}`, of which the last two may be missing; or whether it is sampled, alone."""
    if value in _SAID:
        return B3(b"", b"", _SAID[value])
    parts = value.split(b"-")
    if len(parts) not in (2, 3, 4) or (len(parts) == 4 and not _SPAN(parts[3])):
        return None
    if len(parts) > 2 and parts[2] not in (b"0", b"1", b"d"):
        return None
    return _made(parts[0], parts[1], _SAID[parts[2]] if len(parts) > 2 else None)


def _several(older: dict[bytes, bytes]) -> B3 | None:
    is_sampled = True if older.get(b"x-b3-flags") == b"1" else _SAID.get(older.get(b"x-b3-sampled", b"").lower())
    if b"x-b3-traceid" not in older:
        return B3(b"", b"", is_sampled) if is_sampled is not None else None
    return _made(older[b"x-b3-traceid"], older.get(b"x-b3-spanid", b""), is_sampled)


def _made(trace: bytes, span: bytes, is_sampled: bool | None) -> B3 | None:
    trace, span = trace.lower(), span.lower()
    if not (_TRACE(trace) and _SPAN(span)) or not trace.strip(b"0") or not span.strip(b"0"):
        return None
    return B3(trace.rjust(32, b"0"), span, is_sampled)
