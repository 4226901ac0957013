"""A proxy's own certificate and key, and how it gets them: from a process that makes them and ends (`issuing`).

So a proxy never loads cryptography, and no key touches a disk, a command line, an environment or an error message.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import tempfile
from typing import Final, Literal

import msgspec

from meshctl.control.handover import python
from meshctl.errors import MeshError
from meshctl.model.views import IdentityView
from meshctl.store.home import Home

DEADLINE: Final = 30.0
"""Seconds that issuing may take; it needs a fraction of one unless the machine is very busy."""
_PIECE: Final = 65536


class Order(msgspec.Struct, frozen=True):
    """A certificate that is wanted: an identity of the mesh ("workload"), the gateway's own for `hosts` ("edge") or a
    user's ("server")."""

    kind: Literal["workload", "edge", "server"]
    trust_domain: str
    service: str = ""
    hosts: tuple[str, ...] = ()
    """Host names, "*.host" and addresses; a workload has its mesh names instead."""
    proxy: str = ""
    """The id of the proxy that will use it."""
    life: float = 0.0
    """Seconds; 0 is a day. A workload's is always a day."""
    is_client: bool = False
    """Whether a server's certificate is good for a client too."""


class Credentials(msgspec.Struct, frozen=True):
    """A certificate with its private key, and whom to trust. Its `repr` tells nothing of the key."""

    identity: str
    """The SPIFFE ID; empty for what is no workload."""
    service: str
    certificate: bytes
    """PEM: the leaf, then the intermediate."""
    key: bytes
    """PEM, without passphrase."""
    bundle: bytes
    """PEM of every trusted root."""
    serial: str
    """In lower-case hex."""
    not_before: float
    not_after: float
    generation: int
    """Of the service, when it was issued: see `trust_state.generation`."""
    root: str
    """The fingerprint of the root it chains to."""
    roots: tuple[str, ...]
    """The fingerprints of all in `bundle`, sorted."""

    def __repr__(self) -> str:
        return f"<Credentials {self.identity or self.service} serial {self.serial}>"

    @property
    def view(self) -> IdentityView:
        """What a proxy that uses them tells of itself."""
        return IdentityView(
            spiffe=self.identity,
            serial=self.serial,
            issuer=self.root,
            not_before=self.not_before,
            not_after=self.not_after,
            generation=self.generation,
            roots=self.roots,
        )


class Task(msgspec.Struct, frozen=True):
    """What the issuing process reads."""

    home: str
    order: Order


class Refused(msgspec.Struct, frozen=True, tag=True):
    """What it says where it cannot."""

    code: str
    message: str
    hint: str


class Issued(msgspec.Struct, frozen=True, tag=True):
    """What it says where it can."""

    credentials: Credentials


Reply = Refused | Issued


async def request(home: Home, order: Order, *, deadline: float = DEADLINE) -> Credentials:
    """Have the certificate made; its process has ended when this returns, raises or is cancelled. Raises MeshError."""
    process = _started(msgspec.json.encode(Task(str(home.path), order)))
    try:
        async with asyncio.timeout(deadline):
            said = await _all_of(process)
    except TimeoutError as error:
        raise MeshError("failed", f"no certificate was made within {deadline:g} s", hint="try again") from error
    finally:
        # Whatever it was about to say, nobody listens any more; one that has ended takes no notice.
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()
    return _heard(said, process.returncode)


def _started(task: bytes) -> subprocess.Popen[bytes]:
    try:
        handle = os.memfd_create("meshctl-order") if hasattr(os, "memfd_create") else _unnamed_file()
        try:
            os.write(handle, task)
            os.lseek(handle, 0, os.SEEK_SET)
            return subprocess.Popen(  # noqa: S603 - ourselves
                python("meshctl.control.issuing"),
                stdin=handle,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                # Its own session: Ctrl-C at the terminal is for the proxy, which then ends it.
                start_new_session=True,
            )
        finally:
            os.close(handle)
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        raise MeshError("failed", f"the process that makes certificates cannot be started: {why}") from error


def _unnamed_file() -> int:
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())


async def _all_of(process: subprocess.Popen[bytes]) -> bytes:
    """What the process writes until it ends. No child watcher is asked: its owner reaps children of its own."""
    assert process.stdout is not None
    handle = process.stdout.fileno()
    os.set_blocking(handle, False)
    loop = asyncio.get_running_loop()
    pieces: list[bytes] = []
    ended = loop.create_future()

    def on_readable() -> None:
        try:
            piece = os.read(handle, _PIECE)
        except BlockingIOError:
            return
        pieces.append(piece)
        if not piece and not ended.done():
            ended.set_result(None)

    loop.add_reader(handle, on_readable)
    try:
        await ended
    finally:
        loop.remove_reader(handle)
    return b"".join(pieces)


def _heard(said: bytes, status: int | None) -> Credentials:
    try:
        reply: Reply = msgspec.json.decode(said, type=Reply)
    except msgspec.DecodeError as error:
        raise MeshError("failed", f"the process that makes certificates ended with status {status}") from error
    if isinstance(reply, Refused):
        raise MeshError(reply.code, reply.message, hint=reply.hint)
    return reply.credentials
