"""Becoming the app: a command turned into a process as a shell would, but in a process group of its own that the kernel
ends with the wrapper; or why that is not possible (127 not found, 126 not executable).

Knows nothing of what the app is for, nor of what follows when it ends.
"""

from __future__ import annotations

import errno
import os
import shutil
import signal
import struct
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final, NoReturn

from meshctl.errors import MeshError, no_process
from meshctl.sidecar import linux

# Ignored by every Python program, which says nothing about who started it.
_OF_PYTHON: Final = frozenset({signal.SIGPIPE, signal.SIGXFSZ})
_TROUBLE: Final = struct.Struct("!i")
_SHELL: Final = "/bin/sh"


def ignored_signals() -> frozenset[int]:
    """The signals that whoever started this process had it ignore (`nohup` does), which the app must ignore as well.
    Asked before this process changes anything."""
    return frozenset(
        number for number in signal.valid_signals() - _OF_PYTHON if signal.getsignal(number) is signal.SIG_IGN
    )


def check(command: Sequence[str], environ: Mapping[str, str], folder: str = "") -> None:
    """Raises MeshError command_not_found where no such command is there, or not_found where the folder is not: known
    before anything is started for it."""
    if folder and not os.path.isdir(folder):
        raise MeshError("not_found", f'there is no folder "{folder}" to run the command in')
    if not os.path.dirname(command[0]) and not shutil.which(command[0], os.F_OK, environ.get("PATH")):
        raise _explain(command, errno.ENOENT)


def launch(
    command: Sequence[str],
    environ: Mapping[str, str],
    ignored: frozenset[int] = frozenset(),
    folder: str = "",
    enter: Callable[[], None] | None = None,
) -> int:
    """Start `command` in a process group of its own, and in `folder` where one is given; the process id, which also
    names the group. Signals in `ignored` are ignored, all others as they are by default. `enter` has the new process go
    into namespaces of its own.

    Returns when it runs. Raises MeshError command_not_found or command_not_executable, or failed where the machine has
    no room for another process."""
    listen, tell = os.pipe()
    wrapper = os.getpid()
    # A signal between fork and exec would be taken for one to the wrapper: Python's handler writes into its pipe.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        pid = os.fork()
        if pid == 0:
            _become(command, environ, ignored, folder, enter, before, wrapper, tell)
    except OSError as error:
        os.close(listen)
        raise no_process(f'"{command[0]}"', error) from error
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        os.close(tell)
    # The pipe's other end is closed by exec, or by a child that ends.
    with os.fdopen(listen, "rb") as said:
        trouble = said.read()
    if trouble:
        os.waitpid(pid, 0)
        raise _explain(command, *_TROUBLE.unpack(trouble))
    return pid


def _become(
    command: Sequence[str],
    environ: Mapping[str, str],
    ignored: frozenset[int],
    folder: str,
    enter: Callable[[], None] | None,
    mask: set[int | signal.Signals],
    wrapper: int,
    tell: int,
) -> NoReturn:
    """In the child: be `command`, and never come back."""
    try:
        os.setpgid(0, 0)
        if enter is not None:
            enter()
        # Asked to end rather than killed: whoever guards the group kills it if it does not.
        linux.die_with_parent(signal.SIGTERM)
        if os.getppid() != wrapper:  # it died before that was known to the kernel
            os._exit(1)
        for number in signal.valid_signals():
            wanted = signal.SIG_IGN if number in ignored else signal.SIG_DFL
            if signal.getsignal(number) not in (wanted, None):
                signal.signal(number, wanted)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        if folder:
            os.chdir(folder)
        _execute(command, {**environ, **_listening(environ, wrapper)})
    except OSError as error:
        os.write(tell, _TROUBLE.pack(error.errno or errno.ENOEXEC))
    except ValueError:
        os.write(tell, _TROUBLE.pack(errno.EINVAL))
    finally:
        os._exit(127)


def _execute(command: Sequence[str], environ: Mapping[str, str]) -> None:
    try:
        os.execvpe(command[0], list(command), environ)  # noqa: S606 - the user's own command, without a shell
    except OSError as error:
        if error.errno != errno.ENOEXEC:
            raise
    # A script without a "#!" line: POSIX has the shell run it, and every shell does.
    script = shutil.which(command[0], path=environ.get("PATH")) or command[0]
    os.execve(_SHELL, [_SHELL, script, *command[1:]], environ)  # noqa: S606


def _listening(environ: Mapping[str, str], wrapper: int) -> dict[str, str]:
    """Sockets handed down by systemd are for the process it names: that is the app now (sd_listen_fds(3))."""
    return {"LISTEN_PID": str(os.getpid())} if environ.get("LISTEN_PID") == str(wrapper) else {}


def _explain(command: Sequence[str], number: int) -> MeshError:
    name = command[0]
    if number in (errno.ENOENT, errno.ENOTDIR):
        if "/" in name and os.path.isfile(name):
            why = f'"{name}" cannot be run: the interpreter on its first line is not there'
            return MeshError("command_not_found", why, hint="mend its #! line, or name the interpreter: sh, python, …")
        return MeshError("command_not_found", f'command not found: "{name}"', hint=_advice(name))
    if os.path.isdir(name):
        return MeshError("command_not_executable", f'"{name}" is a directory, not a command')
    hint = "make it executable with `chmod +x`, or name its interpreter first" if number == errno.EACCES else ""
    return MeshError("command_not_executable", f'"{name}" cannot be run: {os.strerror(number).lower()}', hint=hint)


def _advice(name: str) -> str:
    if not name.strip():
        return "give a command after --"
    if any(map(str.isspace, name)):
        return f"give it in several words, or have a shell take it apart: -- sh -c '{name}'"
    if "/" not in name and Path(name).is_file():
        interpreter = "python " if name.endswith(".py") else "node " if name.endswith(".js") else "./"
        return f"there is a file of that name here: -- {interpreter}{name}"
    return "look at $PATH, or give the command's whole path"
