"""Handing over from the command line to the lean process that goes on: its options, and its word that it is ready.

    command ──options, in an unnamed file──▶ process ──Ready or Failure, in a pipe──▶ whoever tells people

In the foreground the command's process is replaced (exec), so that Ctrl-C, the exit status and the memory are the
process's own; a short-lived child of it waits for the word. Knows neither gateways nor sidecars.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final, NoReturn, TypeVar

import msgspec

import meshctl
from meshctl.errors import MeshError, no_process

TELLING: Final = 5
"""Seconds that a failure is given to reach the terminal."""

_PR_SET_PDEATHSIG: Final = 1

_T = TypeVar("_T")


class Failure(msgspec.Struct, frozen=True, tag=True):
    """It could not begin."""

    code: str
    message: str
    hint: str

    @property
    def error(self) -> MeshError:
        """The error it failed with."""
        return MeshError(self.code, self.message, hint=self.hint)


class Ready(msgspec.Struct, frozen=True, tag=True):
    """It serves. `view` is what there is to tell of it, as JSON."""

    view: msgspec.Raw


Word = Failure | Ready


def python(module: str) -> list[str]:
    """The command line that runs a module of ours, whatever lies in the working directory: there may be a file called
    `queue.py`, and Python would take it for its own."""
    root = Path(meshctl.__file__).parent.parent
    # A checkout that was never installed is found by being in it, and by nothing else.
    return [sys.executable, *([] if Path.cwd() == root else ["-P"]), "-m", module]


# of whoever hands over


def become(
    module: str,
    options: msgspec.Struct,
    keep: Sequence[int],
    kind: type[_T],
    on_ready: Callable[[_T], None],
    on_error: Callable[[MeshError], None],
) -> NoReturn:
    """Be `module` from now on, with the descriptors in `keep`. Its word, which comes with a view of this `kind`, is
    told in a child that then ends."""
    source, tell, listen = _pipes(options)
    if os.fork() == 0:
        # Twice, so that nobody has to reap it.
        if os.fork() == 0:
            for handle in (tell, *keep):
                os.close(handle)
            _announce(listen, kind, on_ready, on_error)
        os._exit(0)
    os.wait()
    os.close(listen)
    for handle in (source, tell, *keep):
        os.set_inheritable(handle, True)
    # Until there is somebody to act on it (`given`): Python, while it loads, would only show where it was.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    os.execv(sys.executable, [*python(module), str(source), str(tell)])  # noqa: S606 - ourselves, without a shell


def start(module: str, options: msgspec.Struct, keep: Sequence[int], kind: type[_T], log: Path) -> _T:
    """Start `module` in the background, writing to `log`, and return its view when it is ready; the descriptors in
    `keep` are its own then. Raises MeshError where it does not get so far."""
    handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    try:
        child, listen = launch(module, options, keep, stdout=handle, stderr=handle, outlives_us=True)
    finally:
        os.close(handle)
    try:
        view = hear(child, listen, kind, log)
    except KeyboardInterrupt:
        # Who waits for it and will not wait any more does not want it.
        child.terminate()
        child.wait()
        raise
    # It outlives this process, so nobody here will wait for it.
    child.returncode = 0
    return view


def launch(
    module: str,
    options: msgspec.Struct,
    keep: Sequence[int],
    *,
    stdout: int,
    stderr: int,
    outlives_us: bool = False,
    environ: Mapping[str, str] | None = None,
) -> tuple[subprocess.Popen[bytes], int]:
    """Start `module` as a child with a session of its own; the child, and the descriptor to read its `word` from. The
    descriptors in `keep` are its own then. Unless it `outlives_us`, Linux asks it to end when this process does,
    however that ends: ask for it in the main thread, because it is the thread that has to live. Raises MeshError."""
    source, tell, listen = _pipes(options)
    try:
        child = subprocess.Popen(  # noqa: S603 - ourselves
            [*python(module), str(source), str(tell)],
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
            pass_fds=(source, tell, *keep),
            start_new_session=True,
            env=environ,
            # What it calls is loaded already, and takes no locks of Python's.
            preexec_fn=None if outlives_us else partial(_end_with, os.getpid(), _libc()),  # noqa: PLW1509
        )
    except OSError as error:
        os.close(listen)
        raise no_process("meshctl", error) from error
    except BaseException:
        os.close(listen)
        raise
    finally:
        for each in (source, tell, *keep):
            os.close(each)
    return child, listen


def hear(child: subprocess.Popen[bytes], listen: int, kind: type[_T], log: Path) -> _T:
    """Wait for the word of a process that `launch` started: its view. Raises MeshError, once it has ended, where it
    does not get so far; `log` is where people find what it said."""
    said = _hear(listen)
    if isinstance(said, Ready):
        return msgspec.json.decode(said.view, type=kind)
    child.wait()
    if said is None:
        raise MeshError("failed", "the process ended before it was ready", hint=f"see {log}")
    raise said.error


def word(said: bytes) -> Word | None:
    """What a process said into the pipe of `launch`; None where it ended without a word."""
    return msgspec.json.decode(said, type=Word) if said else None


# of the process itself


def given(kind: type[_T]) -> tuple[_T, Teller]:
    """What this process was told on its command line: its options, and whom to tell."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    source, tell = int(sys.argv[1]), int(sys.argv[2])
    os.set_inheritable(tell, False)
    with os.fdopen(source, "rb") as file:
        return msgspec.json.decode(file.read(), type=kind), Teller(tell)


class Teller:
    """The process's end of the pipe that its word goes into."""

    def __init__(self, handle: int) -> None:
        self._handle = handle

    def __repr__(self) -> str:
        return f"<Teller fd {self._handle}>"

    def ready(self, view: msgspec.Struct) -> None:
        """Tell that it serves."""
        self._say(Ready(msgspec.Raw(msgspec.json.encode(view))))
        os.close(self._handle)

    def failed(self, error: MeshError) -> None:
        """Tell why it could not begin, and return when that was told, or after a while: the error comes before the
        shell's prompt."""
        self._say(Failure(error.code, error.message, error.hint))
        waiting = select.poll()
        waiting.register(self._handle, 0)  # what is always reported is enough: POLLERR
        waiting.poll(TELLING * 1000)

    def _say(self, word: Word) -> None:
        try:
            os.write(self._handle, msgspec.json.encode(word) + b"\n")
        except OSError:
            pass  # Whoever started it has gone meanwhile, which is no reason to stop.


# the rest is private


def _pipes(options: msgspec.Struct) -> tuple[int, int, int]:
    """Descriptors: one to read the options from, one to tell on, and its other end. The options never stand on a
    command line, where other users could read them."""
    content = msgspec.json.encode(options)
    handle = os.memfd_create("meshctl-options") if hasattr(os, "memfd_create") else _unnamed_file()
    os.write(handle, content)
    os.lseek(handle, 0, os.SEEK_SET)
    listen, tell = os.pipe()
    return handle, tell, listen


def _unnamed_file() -> int:
    import tempfile

    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())


def _libc() -> Any:
    """The C library, where it has prctl. Loaded before the fork: a child between fork and exec must not load any."""
    import ctypes

    return ctypes.CDLL(None) if sys.platform == "linux" else None


def _end_with(parent: int, libc: Any) -> None:
    """In the child, before exec: have the kernel ask it to end when `parent` has died (prctl(2))."""
    if libc is not None:
        libc.prctl(_PR_SET_PDEATHSIG, int(signal.SIGTERM))
    if os.getppid() != parent:  # it died before that was known to the kernel
        os._exit(1)


def _hear(listen: int) -> Word | None:
    """The process's word; None where it ended without one."""
    with os.fdopen(listen, "rb") as file:
        return word(file.readline())


def _announce(
    listen: int, kind: type[_T], on_ready: Callable[[_T], None], on_error: Callable[[MeshError], None]
) -> None:
    # Open until this process ends: a process that failed waits for that, so that its error comes before the prompt.
    os.dup(listen)
    said = _hear(listen)
    if isinstance(said, Ready):
        on_ready(msgspec.json.decode(said.view, type=kind))
    elif isinstance(said, Failure):
        on_error(said.error)
