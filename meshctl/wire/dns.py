"""Questions of name resolution and their answers (RFC 1035), as far as one asks for addresses of names. Sans-I/O: a
message in, a message out; the only exception is `Malformed`.

What else a question has (EDNS, RFC 6891) is not looked at, which a resolver takes for a server that does not know it.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address
from typing import Final, NamedTuple, TypeAlias

from meshctl.wire.message import Malformed

Address: TypeAlias = IPv4Address | IPv6Address

A: Final = 1
AAAA: Final = 28
INTERNET: Final = 1
"""Types and the class of records."""
OK: Final = 0
FAILED: Final = 2
NO_SUCH_NAME: Final = 3
NOT_DONE: Final = 4
"""Codes of answers: no error, server failure, no such name, not implemented."""
LONGEST: Final = 65_535
"""Bytes of a message."""

_HEAD: Final = struct.Struct("!6H")
_KIND: Final = struct.Struct("!2H")
_RECORD: Final = struct.Struct("!3HIH")
_IS_ANSWER: Final = 0x8000
_KIND_OF_QUERY: Final = 0x7800
_RECURSION_DESIRED: Final = 0x0100
_RECURSION_AVAILABLE: Final = 0x0080
_TO_THE_QUESTION: Final = 0xC00C
"""A name that is the question's, which follows the head (RFC 1035 §4.1.4)."""
_LONGEST_NAME: Final = 253
_LABEL: Final = re.compile(rb"[!-\-/-~]+")
"""What a label may have in it: no dot, which would make it two in a text, and nothing that cannot be seen."""


class Question(NamedTuple):
    """What is asked. `name` is in lower case, without a dot at its end; `is_query` is False for what is no question of
    this kind at all."""

    number: int
    flags: int
    name: str
    kind: int
    section: bytes
    """As it was sent: an answer repeats it, to the case of its letters."""
    is_query: bool


def read(data: bytes) -> Question:
    """The question in a message. Raises Malformed where it has none, or more than one."""
    if len(data) < _HEAD.size:
        raise Malformed("bad_request", "the question has no head")
    number, flags, questions, *_ = _HEAD.unpack_from(data)
    if flags & _IS_ANSWER or questions != 1:
        raise Malformed("bad_request", "the message is not one question")
    name, at = _name(data, _HEAD.size)
    if at + _KIND.size > len(data):
        raise Malformed("bad_request", "the question does not end")
    kind, family = _KIND.unpack_from(data, at)
    is_query = not flags & _KIND_OF_QUERY and family == INTERNET
    return Question(number, flags, name, kind, data[_HEAD.size : at + _KIND.size], is_query)


def answer(question: Question, code: int = OK, addresses: Sequence[Address] = (), lives: int = 0) -> bytes:
    """The answer to a question: a `code`, or addresses, which may be remembered for so many seconds."""
    flags = _IS_ANSWER | _RECURSION_AVAILABLE | code | question.flags & (_KIND_OF_QUERY | _RECURSION_DESIRED)
    parts = [_HEAD.pack(question.number, flags, 1, len(addresses), 0, 0), question.section]
    for each in addresses:
        kind = A if isinstance(each, IPv4Address) else AAAA
        parts += (_RECORD.pack(_TO_THE_QUESTION, kind, INTERNET, lives, len(each.packed)), each.packed)
    return b"".join(parts)


def _name(data: bytes, at: int) -> tuple[str, int]:
    """The name at a place, and where it ends. A question's is never shortened: nothing stands before it."""
    labels: list[bytes] = []
    while True:
        if at >= len(data):
            raise Malformed("bad_request", "the name does not end")
        size = data[at]
        label = data[at + 1 : at + 1 + size]
        at += 1 + size
        if not size:
            break
        if size > 63 or len(label) < size or not _LABEL.fullmatch(label):
            raise Malformed("bad_request", "the name has a label that is none")
        labels.append(label)
    name = b".".join(labels).decode("ascii").lower()
    if len(name) > _LONGEST_NAME:
        raise Malformed("bad_request", "the name is too long")
    return name, at
