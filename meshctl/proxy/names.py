"""The names that an app with a network of its own asks for: whatever server it asks, it is answered here, with aliases
that lead its connections back to the names (`core.aliases`).

    a service, anything under the mesh's own ends   an alias at once
    localhost                                       this machine
    any other name                                  an alias, if the machine's resolver knows it; else what that says
    any other name, where nothing may leave         an alias: its connection is refused with the reason, and the name
                                                    is told to nobody outside

Only addresses are told: what else there may be of a name is said not to be there.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address
from typing import TYPE_CHECKING, Any, Final, cast

from meshctl.core.aliases import Aliases
from meshctl.proxy.egress import service_meant
from meshctl.proxy.relay import wordless
from meshctl.proxy.tasks import spawn
from meshctl.wire.dns import AAAA, FAILED, LONGEST, NO_SUCH_NAME, NOT_DONE, OK, A, Address, Question, answer, read
from meshctl.wire.message import Malformed

if TYPE_CHECKING:
    from meshctl.proxy.worker import Worker

PORT: Final = 53
LIVES: Final = 30
"""Seconds that an answer may be remembered."""
MOST_ASKED: Final = 256
"""Names that may be looked up at once."""
_AT_ONCE: Final = 64
_SHORT: Final = 4_096
_ANCILLARY: Final = 256
_LOCALHOST: Final = "localhost"
_HERE: Final[dict[int, Address]] = {A: IPv4Address("127.0.0.1"), AAAA: IPv6Address("::1")}
# Temporary failures, or no server that would know.
_UNKNOWN: Final = frozenset((socket.EAI_AGAIN, socket.EAI_FAIL, socket.EAI_SYSTEM, socket.EAI_MEMORY))
_SIZE: Final = struct.Struct("!H")


class Names:
    """See the module. Questions come to `ends`."""

    def __init__(self, worker: Worker, aliases: Aliases, ends: Sequence[socket.socket]) -> None:
        self._worker = worker
        self._aliases = aliases
        self._ends = ends
        self._asked = 0

    def __repr__(self) -> str:
        return f"<Names {self._aliases!r}, {self._asked} looked up>"

    def open(self) -> None:
        """Answer from now on."""
        for end in self._ends:
            end.setblocking(False)
            self._worker.loop.add_reader(end, self._on_readable, end)

    async def reply(self, data: bytes) -> bytes:
        """The answer to a question; b"" for what is none."""
        try:
            question = read(data)
        except Malformed:
            return b""
        if not question.is_query:
            return answer(question, NOT_DONE)
        name = question.name
        if name == _LOCALHOST or name.endswith(f".{_LOCALHOST}"):
            return answer(question, OK, [each for kind, each in _HERE.items() if kind == question.kind], LIVES)
        code = OK if self._is_known(name) else await self._look_up(name)
        return self._told(question, code)

    def _told(self, question: Question, code: int) -> bytes:
        if code != OK or question.kind not in (A, AAAA):
            return answer(question, code)
        old, new = self._aliases.of(question.name)
        return answer(question, OK, (old if question.kind == A else new,), LIVES)

    def _is_known(self, name: str) -> bool:
        """Whether the name has an alias whatever anybody outside says of it."""
        snapshot = self._worker.snapshot
        if service_meant(name, snapshot.mesh.trust_domain) or snapshot.mesh.egress == "deny":
            return bool(name)
        return snapshot.tables["outbound"].find(wordless(name)) is not None

    async def _look_up(self, name: str) -> int:
        if not name:
            return OK
        if self._asked >= MOST_ASKED:
            return FAILED
        self._asked += 1
        try:
            await self._worker.loop.getaddrinfo(name, None, type=socket.SOCK_STREAM)
        except socket.gaierror as error:
            return FAILED if error.errno in _UNKNOWN else NO_SUCH_NAME
        except (OSError, UnicodeError):
            return NO_SUCH_NAME
        finally:
            self._asked -= 1
        return OK

    def _on_readable(self, end: socket.socket) -> None:
        for _ in range(_AT_ONCE):
            try:
                data, ancillary, _, client = end.recvmsg(_SHORT, _ANCILLARY)
            except (BlockingIOError, InterruptedError):
                return
            except OSError:
                continue  # What came back of an answer that nobody waits for.
            spawn(self._answer(end, data, ancillary, client), name="name")

    async def _answer(self, end: socket.socket, data: bytes, ancillary: list[Any], client: Any) -> None:
        said = await self.reply(data)
        if said:
            try:
                # From the very address that was asked: a client takes it from nobody else.
                end.sendmsg([said], ancillary, 0, client)
            except OSError:
                pass  # It asks again.


class LongQuestions(asyncio.Protocol):
    """The same over TCP (RFC 1035 §4.2.2), one after the other."""

    def __init__(self, names: Names) -> None:
        self._names = names
        self._transport: asyncio.Transport = cast(asyncio.Transport, None)
        self._data = bytearray()
        self._is_busy = False

    def __repr__(self) -> str:
        return f"<LongQuestions, {len(self._data)} bytes to read>"

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._data += data
        if len(self._data) > 2 * LONGEST:
            self._transport.abort()
        elif not self._is_busy:
            self._is_busy = True
            spawn(self._work(), name="names")

    async def _work(self) -> None:
        data = self._data
        while len(data) >= _SIZE.size and len(data) >= (end := _SIZE.size + _SIZE.unpack_from(data)[0]):
            question = bytes(data[_SIZE.size : end])
            del data[:end]
            said = await self._names.reply(question)
            if not said or self._transport.is_closing():
                self._transport.close()
                return
            self._transport.write(_SIZE.pack(len(said)) + said)
        self._is_busy = False
