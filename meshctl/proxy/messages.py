"""What a supervisor and its workers say to each other, and the framed channel they say it over.

Each message is a length (4 bytes, big-endian) and msgpack; listening sockets travel beside `Prepare` (SCM_RIGHTS). Both
ends are processes of one program, so nothing here is negotiated.
"""

from __future__ import annotations

import socket
import struct
from collections import deque
from collections.abc import Iterator
from typing import Final

import msgspec

from meshctl.model.api_key import StoredKey
from meshctl.model.login import LoginMessage
from meshctl.model.registration import Listed
from meshctl.model.steering import Shown, Steering
from meshctl.model.tap import Seen, Taps
from meshctl.model.tracing import Traced
from meshctl.model.weights import Shares
from meshctl.proxy.inside import Enclosed

_LENGTH: Final = struct.Struct("!I")
_READ: Final = 262_144
_MOST_SOCKETS: Final = 64


class ListenerSpec(msgspec.Struct, frozen=True):
    """A listener as a worker needs it: see `model.mesh.Listener`. `key` tells whether it is the one it already has."""

    key: str
    address: str
    certificates: tuple[tuple[str, str], ...] = ()
    mesh: str = ""
    entry: str = "gateway"
    per_client: int = 0
    """Its `connections_per_client`."""


class Identify(msgspec.Struct, frozen=True, tag=True):
    """Who this proxy is to the mesh from now on, and whom it trusts. Sent before the first `Prepare` that needs it, and
    again when anything in it changes."""

    identity: str
    """The SPIFFE ID: `spiffe://shop.mesh/service/orders`."""
    trust_domain: str
    certificate: bytes
    """PEM: the leaf, then the intermediates."""
    key: bytes
    """PEM. Never on a disk, a command line or in a log."""
    bundle: bytes
    """PEM: every root that is trusted."""
    generation: int
    """Greater than before where connections made under the old certificate are to be drained."""
    revoked: tuple[str, ...] = ()
    """Serial numbers, in lower-case hex, of certificates that are refused and whose connections are closed."""
    edge: tuple[tuple[bytes, bytes], ...] = ()
    """Certificate chain and key (PEM) of listeners with `mesh` "edge"."""

    def __repr__(self) -> str:
        # What may stand in a log or a traceback has no key in it.
        return f"<Identify {self.identity}, generation {self.generation}>"


class Discovered(msgspec.Struct, frozen=True, tag=True):
    """The endpoints that are registered for these versions now; nothing has changed for others."""

    listed: tuple[Listed, ...]


class Weighted(msgspec.Struct, frozen=True, tag=True):
    """The live weights of versions, by service; they replace those of the last such message."""

    weights: dict[str, Shares]


class Steered(msgspec.Struct, frozen=True, tag=True):
    """The faults and mirrors that hold from now on, in the place of those of the last such message."""

    steering: Steering


class Keyed(msgspec.Struct, frozen=True, tag=True):
    """The API keys that hold from now on, in the place of those of the last such message."""

    keys: tuple[StoredKey, ...]


class Fetched(msgspec.Struct, frozen=True, tag=True):
    """The JWK Sets that tokens are verified with from now on, by source (`model.auth.Jwt.source`), of all of which
    something is known: b"" where it cannot be had and there was none before."""

    sets: dict[str, bytes]


class Wanted(msgspec.Struct, frozen=True, tag=True):
    """A worker has seen a token with a key that its source did not have: it may have it by now."""

    source: str


class Spent(msgspec.Struct, frozen=True, tag=True):
    """Requests that a worker has counted since it last said so: route, limit, key, the number of a quota's day or month
    (0 for a rate), and how many."""

    entries: tuple[tuple[str, str, str, int, int], ...]


class Answered(msgspec.Struct, frozen=True, tag=True):
    """A worker's word on a request that was mirrored: how it and its copy were answered. The supervisor compares what
    traffic should not wait for."""

    service: str
    at: float
    """Of the mirror."""
    method: str
    path: str
    original: Shown
    copy: Shown


class Prepare(msgspec.Struct, frozen=True, tag=True):
    """Compile revision `number`; sockets for `opened`, keys of `listeners`, come with this message, in order."""

    number: int
    """The number of this change; a revision is served again, changed, when services appear."""
    revision: int
    mesh: bytes
    listeners: tuple[ListenerSpec, ...]
    opened: tuple[str, ...] = ()
    listed: tuple[Listed, ...] = ()
    """All endpoints that are registered."""
    weights: dict[str, Shares] = {}
    steering: Steering = Steering()
    """Both as in `Weighted` and `Steered`."""


class Commit(msgspec.Struct, frozen=True, tag=True):
    """Every worker has compiled revision `number`: serve it."""

    number: int


class Abort(msgspec.Struct, frozen=True, tag=True):
    """Some worker refused revision `number`: forget it."""

    number: int


class Ask(msgspec.Struct, frozen=True, tag=True):
    """A question: `what` is "sample", "services", "plain" (who came in the clear: `PlainCallerView`s), "api_callers"
    (`ApiCallerView`s), "denied" (what rules between services refused: `DenialSample`s), "mirrors" (`MirrorCount`s), or
    "commit", whose answer says only that orders before it are obeyed."""

    id: int
    what: str


class Drain(msgspec.Struct, frozen=True, tag=True):
    """Accept no more, finish what is in flight within `seconds`, exit."""

    seconds: float


class Guard(msgspec.Struct, frozen=True, tag=True):
    """The process group of the wrapped app, which the worker ends should its supervisor vanish; 0 where none runs."""

    group: int


class Reopen(msgspec.Struct, frozen=True, tag=True):
    """The access log was rotated."""


class Prepared(msgspec.Struct, frozen=True, tag=True):
    """A worker's word on a revision: compiled, or refused with the reason."""

    number: int
    refusal: str = ""


class Answer(msgspec.Struct, frozen=True, tag=True):
    """A worker's answer to `Ask`."""

    id: int
    payload: bytes


class Notice(msgspec.Struct, frozen=True, tag=True):
    """Something an operator should know, for the supervisor's log."""

    event: str
    fields: dict[str, str] = {}
    is_trouble: bool = True


Message = (
    Prepare
    | Commit
    | Abort
    | Identify
    | Discovered
    | Weighted
    | Steered
    | Keyed
    | Fetched
    | Wanted
    | Ask
    | Drain
    | Guard
    | Enclosed
    | Reopen
    | Prepared
    | Answer
    | Notice
    | Answered
    | Taps
    | Seen
    | Spent
    | LoginMessage
    | Traced
)

_DECODER: Final = msgspec.msgpack.Decoder(Message)
_ENCODER: Final = msgspec.msgpack.Encoder()


class Channel:
    """One end of a stream socket pair, without waiting: the owner calls `receive` when it is readable and `flush` when
    it is writable."""

    def __init__(self, end: socket.socket) -> None:
        end.setblocking(False)
        self.socket = end
        self._in = bytearray()
        self._sockets: deque[int] = deque()
        self._out: deque[tuple[memoryview, list[int]]] = deque()

    def __repr__(self) -> str:
        return f"<Channel fd {self.socket.fileno()}, {len(self._out)} to send>"

    def send(self, message: Message, sockets: list[int] | None = None) -> bool:
        """Send a message; False where some of it still waits for `flush`. Raises OSError when the other end is gone."""
        payload = _ENCODER.encode(message)
        self._out.append((memoryview(_LENGTH.pack(len(payload)) + payload), sockets or []))
        return self.flush()

    def flush(self) -> bool:
        """Send what waits; True when all is sent."""
        while self._out:
            data, sockets = self._out[0]
            # One call carries so many and no more: where there are others, a single byte goes with the first ones.
            now, later = sockets[:_MOST_SOCKETS], sockets[_MOST_SOCKETS:]
            piece = data[:1] if later else data
            try:
                sent = socket.send_fds(self.socket, [piece], now) if now else self.socket.send(piece)
            except BlockingIOError:
                return False
            if sent < len(data):
                self._out[0] = (data[sent:], later)  # the sockets went with the first byte
            else:
                self._out.popleft()
        return True

    @property
    def is_behind(self) -> bool:
        """Whether the other end has not taken what was sent."""
        return bool(self._out)

    def receive(self) -> Iterator[Message]:
        """The messages that have come. Raises EOFError when the other end is gone."""
        try:
            data, sockets, _, _ = socket.recv_fds(self.socket, _READ, _MOST_SOCKETS)
        except BlockingIOError:
            return
        except ConnectionError as error:
            raise EOFError from error
        self._sockets.extend(sockets)
        if not data:
            raise EOFError
        self._in += data
        while len(self._in) >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(self._in)
            end = _LENGTH.size + length
            if len(self._in) < end:
                return
            message = _DECODER.decode(bytes(self._in[_LENGTH.size : end]))
            del self._in[:end]
            yield message

    def take(self, count: int) -> list[int]:
        """The next `count` descriptors that came along."""
        return [self._sockets.popleft() for _ in range(count)]

    def close(self) -> None:
        """Close this end."""
        self.socket.close()
