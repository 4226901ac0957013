"""The ports by which a wrapped app reaches the mesh: on the loopback address, to which every user of the machine can
connect, and whoever comes in there speaks as the app's service. So the kernel is asked whose the other end is.

Only this user, the users of its containers (subuid(5)) and root are let in. A proxy of root lets in everybody: its app
may have become any user. Where the kernel cannot be asked (macOS, no `inet_diag`) whoever knows the port comes in.
"""

from __future__ import annotations

import os
import socket
import struct
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from meshctl.proxy.acceptor import Accepting, Make
from meshctl.proxy.tasks import spawn

if TYPE_CHECKING:
    from meshctl.proxy.worker import Worker

Users = tuple[range, ...]

# sock_diag(7): one question about one TCP socket, and the parts of the answer that matter here.
_SOCK_DIAG: Final = 4
_BY_FAMILY: Final = 20
_ERROR: Final = 2
_HEADER: Final = struct.Struct("=IHHII")
_QUESTION: Final = struct.Struct("=BBBBI2s2s16s16sI8s")
_OWNER: Final = struct.Struct("=II")
_OWNER_AT: Final = _HEADER.size + 4 + 48 + 12
_ANY_COOKIE: Final = b"\xff" * 8
_ALL_STATES: Final = 0xFFFFFFFF
_LONGEST: Final = 8_192


class OwnDoor(Accepting):
    """Accepts those of `users` on a listening socket, and has `make` speak to them."""

    def __init__(
        self,
        worker: Worker,
        address: str,
        end: socket.socket,
        make: Make,
        users: Users,
    ) -> None:
        super().__init__(worker, address, end)
        self._make = make
        self._users = users

    def __repr__(self) -> str:
        return f"<OwnDoor {self.address}>"

    def welcome(self, end: socket.socket, client: str) -> None:
        """See `Accepting.welcome`."""
        user = owner(end)
        if user is not None and any(user in each for each in self._users):
            spawn(self.serve(self._make, end), name=f"accept on {self.address}")
            return
        self.worker.counters.refuse("not_the_app")
        whose = "" if user is None else str(user)
        self.worker.complaints.tell("not_the_app", "other_user", listener=self.address, user=whose)
        end.close()


def users_let_in(subordinate: str = "/etc/subuid") -> Users | None:
    """Who may come in where only the app should; None where that is everybody."""
    user = os.geteuid()
    if not user or sys.platform != "linux" or not _can_ask():
        return None
    return (range(1), range(user, user + 1), *_of_containers(user, subordinate))


def _of_containers(user: int, path: str) -> Iterator[range]:
    import pwd

    try:
        names = {str(user), pwd.getpwuid(user).pw_name}
    except KeyError:
        names = {str(user)}
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            lines = file.read().splitlines()
    except OSError:
        return
    for line in lines:
        name, _, rest = line.partition(":")
        first, _, count = rest.partition(":")
        if name in names and first.isdecimal() and count.isdecimal():
            yield range(int(first), int(first) + int(count))


def owner(end: socket.socket) -> int | None:
    """The user whose the other end of a TCP connection on this machine is; None where it is closed already, or
    nobody's here. Raises nothing."""
    try:
        (own, port), (peer, theirs) = end.getsockname()[:2], end.getpeername()[:2]
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _SOCK_DIAG) as kernel:
            kernel.send(_question(end.family, (peer, theirs), (own, port)))
            # It has answered when `send` returns.
            said = kernel.recv(_LONGEST, socket.MSG_DONTWAIT)
    except OSError:
        return None
    if len(said) < _OWNER_AT + _OWNER.size or _HEADER.unpack_from(said)[1] == _ERROR:
        return None
    user, inode = _OWNER.unpack_from(said, _OWNER_AT)
    # One that was closed with its bytes still under way is nobody's, and is told of as root's.
    return user if inode else None


def _question(family: int, source: tuple[str, int], target: tuple[str, int]) -> bytes:
    addresses = [socket.inet_pton(family, host.partition("%")[0]) for host, _ in (source, target)]
    ports = [port.to_bytes(2, "big") for _, port in (source, target)]
    asked = _QUESTION.pack(family, socket.IPPROTO_TCP, 0, 0, _ALL_STATES, *ports, *addresses, 0, _ANY_COOKIE)
    return _HEADER.pack(_HEADER.size + len(asked), _BY_FAMILY, 1, 1, 0) + asked


def _can_ask() -> bool:
    """Whether the kernel answers such questions: about a connection of our own."""
    try:
        with socket.socket() as door:
            door.bind(("127.0.0.1", 0))
            door.listen(1)
            with socket.create_connection(door.getsockname()[:2], 1.0):
                end, _ = door.accept()
                with end:
                    return owner(end) == os.geteuid()
    except OSError:
        return False
