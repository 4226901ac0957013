"""Readers that write down what they are told, so that two ways of feeding them can be compared."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from meshctl.wire.fields import Fields, pairs
from meshctl.wire.message import Malformed, Request, Response
from meshctl.wire.request_reader import RequestReader
from meshctl.wire.response_reader import ResponseReader

SHORTCUTS = {"block", "edited", "edited_by", "is_bare", "is_normal"}
"""What the short way tells beyond what was read."""


@dataclass(slots=True)
class Read:
    """A message as it was read."""

    head: Request | Response
    body: bytes = b""
    trailers: list[tuple[bytes, bytes]] = field(default_factory=list)
    is_complete: bool = False

    def facts(self) -> dict[str, object]:
        """Everything that was read, to be compared."""
        names = [name for name in self.head.__slots__ if name not in SHORTCUTS and hasattr(self.head, name)]
        found = {name: getattr(self.head, name) for name in names}
        found["fields"] = list(pairs(self.head.fields))
        return found | {"body": self.body, "trailers": self.trailers, "complete": self.is_complete}


class Requests(RequestReader):
    """Reads requests into `seen`."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[Read] = []

    def on_request(self, request: Request) -> None:
        self.seen.append(Read(request))

    def on_body(self, data: bytes) -> None:
        self.seen[-1].body += data

    def on_message_complete(self) -> None:
        self.seen[-1].trailers = list(pairs(self.take_trailers()))
        self.seen[-1].is_complete = True


class Responses(ResponseReader):
    """Reads responses into `seen`, interim ones into `interim`."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[Read] = []
        self.interim: list[int] = []

    def on_response(self, response: Response) -> None:
        self.seen.append(Read(response))

    def on_informational(self, response: Response) -> None:
        self.interim.append(response.status)

    def on_body(self, data: bytes) -> None:
        self.seen[-1].body += data

    def on_message_complete(self) -> None:
        trailers = list(pairs(self.take_trailers()))
        if self.seen:
            self.seen[-1].trailers = trailers
            self.seen[-1].is_complete = True


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of some bytes: the messages, what followed an upgrade, why they were refused."""

    seen: list[dict[str, object]]
    rest: bytes | None = None
    reason: str = ""

    def messages(self) -> list[dict[str, object]]:
        """The messages, of bytes that held nothing else."""
        assert (self.reason, self.rest) == ("", None)
        return self.seen


def as_read(head: Request | Response, body: bytes | memoryview | None = None) -> dict[str, object]:
    """What a reader would note of a head and what came of its body."""
    return Read(head, bytes(body or b""), is_complete=body is None or len(body) == head.length).facts()


def read(make: Callable[[], Requests | Responses], pieces: Iterable[bytes]) -> Outcome:
    """Feed the pieces until they end, change the protocol, or are refused."""
    reader = make()
    left = iter(pieces)
    rest = None
    try:
        for piece in left:
            rest = reader.feed(piece)
            if rest is not None:
                break
    except Malformed as error:
        return Outcome([each.facts() for each in reader.seen], None, error.reason)
    if rest is not None:
        rest += b"".join(left)
    return Outcome([each.facts() for each in reader.seen], rest)


def head(raw: bytes) -> Request:
    """The one request in `raw`."""
    reader = Requests()
    reader.feed(raw)
    (one,) = reader.seen
    assert isinstance(one.head, Request)
    return one.head


def as_pairs(fields: Fields) -> list[tuple[bytes, bytes]]:
    """Names and values."""
    return list(pairs(fields))
