"""What is hashed of a request to find its endpoint or its version, and the bucket that keeps a user on one version.

A connection mostly says the same fields again, and its reader gives the same objects for them: then so is the bucket.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from meshctl.core.split import bucket
from meshctl.model.policy import Key
from meshctl.proxy.client_address import told_address
from meshctl.wire.fields import IDENTIFIERS, Fields

if TYPE_CHECKING:
    from meshctl.proxy.stream import Stream
    from meshctl.proxy.worker import Worker
    from meshctl.wire.message import Request


class Stuck(NamedTuple):
    """The bucket of the last request of a client, who asked for it, and what it was made of: the very objects."""

    sticky: Sticky | None
    fields: Fields
    special: dict[bytes, bytes]
    bucket: int | None


NOT_STUCK: Final = Stuck(None, [], {}, None)


class Caller(Protocol):
    """What a key may ask of who sent a request."""

    client: str
    """Its address."""
    peer: str
    """The service it proved to be, or ""."""
    entry: str
    """Which listener it came in by."""
    trusted: bool
    """Whether it is a proxy that is believed whom it speaks for."""


class Sticky:
    """Finds the bucket of requests to one service."""

    __slots__ = ("_is_lasting", "_key", "_service", "_worker")

    def __init__(self, key: Key, service: str, worker: Worker) -> None:
        self._key = key
        self._service = service
        self._worker = worker
        # The identifiers are no part of what says itself again, a target even less.
        lasts = key.kind in {"header", "cookie", "client_ip", "identity"}
        self._is_lasting = lasts and not (key.kind == "header" and key.name.encode("latin-1") in IDENTIFIERS)

    def __repr__(self) -> str:
        return f"<Sticky {self._service} by {self._key.kind} {self._key.name}>"

    def bucket(self, request: Request, stream: Stream) -> int | None:
        """The request's bucket; None where it has no key."""
        last = stream.stuck
        if last.sticky is self and last.fields is request.fields and last.special is request.special:
            return last.bucket
        key = request_key(self._key, request, stream, self._worker)
        found = None if key is None else bucket(key, self._service)
        if self._is_lasting and request.is_bare:
            stream.stuck = Stuck(self, request.fields, request.special, found)
        return found


def request_key(key: Key, request: Request, stream: Caller, worker: Worker | None = None) -> str | None:
    """What is hashed of a request; None where it does not carry it. `worker` is whose request it is: what its app sends
    goes out under the name of its service."""
    if key.kind == "header":
        return request.header(key.name)
    if key.kind == "cookie":
        return request.cookie(key.name)
    if key.kind == "query":
        return request.query(key.name)
    if key.kind == "claim":
        return request.claim(key.name)
    if key.kind == "identity":
        own = worker.service if worker is not None and stream.entry != "gateway" else ""
        return stream.peer or own or None
    if stream.trusted and worker is not None:
        return told_address(stream.client, request, worker.snapshot) or None
    return stream.client
