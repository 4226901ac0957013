"""A proxy's own certificate and key, and how it gets them: from a process that makes them and ends (`issuing`).

So a proxy never loads cryptography, and no key touches a disk, a command line, an environment or an error message.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import tempfile
from typing import Final

import msgspec

from meshctl.control.handover import python
from meshctl.control.order import Credentials, Order, Refused, Reply, Task
from meshctl.errors import MeshError, because
from meshctl.store.home import Home

__all__ = ["DEADLINE", "Credentials", "Order", "request"]

DEADLINE: Final = 60.0
"""Seconds that issuing may take. It needs a fraction of one, unless hundreds of sidecars start at once."""
_PIECE: Final = 65536


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
        why = because(error)
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
