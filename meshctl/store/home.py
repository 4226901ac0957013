"""Which directory a mesh lives in, and that nobody else can look into it.

The home holds the store's database, the admin sockets, the logs and later the keys: its permissions are the mesh's
access control, so all in it is born private and a home that others can enter is refused. Must not know what is stored.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from meshctl import clock
from meshctl.errors import MeshError, because
from meshctl.store.nearest import nearest_config

HOME_DIRECTORY: Final = ".meshctl"

# A socket path is at most 107 bytes on Linux and 103 on macOS and the BSDs (`sun_path` without its NUL).
LONGEST_SOCKET_PATH: Final = 103
# What is left in it for a socket's own name: "gateway-0123456789abcdef.sock" and some room.
LONGEST_SOCKET_NAME: Final = 40

_FREE_SPACE: Final = "free some space and try again"


@dataclass(frozen=True, slots=True)
class Home:
    """The paths of one mesh's home. Says where things are; `open_home` makes sure that they are there and private."""

    path: Path

    @property
    def database(self) -> Path:
        """The store's SQLite file."""
        return self.path / "mesh.db"

    @property
    def logs(self) -> Path:
        """The directory for the logs of detached proxies."""
        return self.path / "logs"

    @property
    def run(self) -> Path:
        """The directory for admin sockets; outside the home where its path is too long for a socket's address."""
        inside = self.path / "run"
        if len(os.fsencode(inside)) + 1 + LONGEST_SOCKET_NAME <= LONGEST_SOCKET_PATH:
            return inside
        return _short_run(self.path)

    def socket(self, name: str) -> Path:
        """The path of the admin socket `name`, short enough to bind. Raises ValueError for a name that is too long."""
        if not name or "/" in name or len(os.fsencode(name)) > LONGEST_SOCKET_NAME:
            raise ValueError(f"expected a socket name of 1 to {LONGEST_SOCKET_NAME} bytes")
        return self.run / name


def which_home(
    flag: str | os.PathLike[str] | None = None, *, start: Path | None = None, environ: Mapping[str, str] | None = None
) -> Path:
    """The home a command means: `flag`, $MESHCTL_HOME, `.meshctl/` beside the nearest mesh.toml at or above `start`
    (the working directory), else `meshctl` under $XDG_STATE_HOME. Touches nothing."""
    environ = os.environ if environ is None else environ
    named = flag or environ.get("MESHCTL_HOME")
    if named:
        return _absolute(Path(named).expanduser())
    config = nearest_config(start)
    if config is not None:
        return config.parent / HOME_DIRECTORY
    state = Path(environ.get("XDG_STATE_HOME", ""))
    # The XDG base directory specification: a relative path is invalid and ignored.
    return (state if state.is_absolute() else _user_home(environ) / ".local" / "state") / "meshctl"


def open_home(path: str | os.PathLike[str], create: bool = True) -> Home:
    """The home at `path`, checked to be private and usable; with `create` what is missing of it is made.

    Raises MeshError home_unusable, not_found where it is missing and must not be made, store_full on a full disk."""
    home = Home(_absolute(Path(path)))
    try:
        if create:
            _make(home.path)
        _check_private(home.path, home.path.stat)
        if create:
            _furnish(home)
        if home.run.parent != home.path and (create or home.run.is_symlink() or home.run.exists()):
            # /tmp is everybody's: what stands under the expected name may be another user's trap, such as a link to
            # another folder of this user's.
            _check_private(home.run, home.run.lstat)
    except OSError as error:
        raise _unusable(home.path, error) from error
    return home


def write_private(path: Path, data: bytes) -> None:
    """Put `data` under `path` in one step: born 0600, whole or not at all, on the disk when this returns.

    Raises MeshError home_unusable or store_full; what was under `path` before is then still there."""
    fresh = path.with_name(f".{path.name}.{os.getpid()}.{clock.bits(48):012x}")
    try:
        _write_new(fresh, data)
        try:
            fresh.replace(path)
        except OSError:
            fresh.unlink(missing_ok=True)
            raise
        sync_directory(path.parent)
    except OSError as error:
        raise _unwritable(path, error) from error


def sync_directory(path: Path) -> None:
    """Make the names in the directory `path` durable. Raises OSError."""
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _write_new(path: Path, data: bytes) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    except OSError:
        path.unlink(missing_ok=True)
        raise


def _make(path: Path) -> None:
    missing = [each for each in path.parents if not each.exists()]
    for each in reversed(missing):
        # Whatever the umask: who may write in a folder can put another one in the place of any in it.
        each.mkdir(mode=0o755, exist_ok=True)
    path.mkdir(mode=0o700, exist_ok=True)


def _furnish(home: Home) -> None:
    home.logs.mkdir(mode=0o700, exist_ok=True)
    home.run.mkdir(mode=0o700, exist_ok=True)
    ignore = home.path / ".gitignore"
    if home.path.name == HOME_DIRECTORY and not ignore.exists():
        write_private(ignore, b"*\n")


def _check_private(path: Path, look: Callable[[], os.stat_result]) -> None:
    """Raises MeshError unless `path` is a directory that this user owns, can write and shares with nobody."""
    try:
        found = look()
    except FileNotFoundError as error:
        hint = "`meshctl up`, `gateway up` and `apply` make one; another is named by --home or $MESHCTL_HOME"
        raise MeshError("not_found", f'there is no mesh home at "{path}"', hint=hint) from error
    if not stat.S_ISDIR(found.st_mode):
        raise _refusal(path, "is not a directory", "name a directory with --home or MESHCTL_HOME")
    if found.st_uid != os.geteuid():
        raise _refusal(path, f"belongs to user {found.st_uid}", "run as that user, or name another home with --home")
    if found.st_mode & 0o077:
        mode = stat.S_IMODE(found.st_mode)
        hint = f"it will hold private keys: run `chmod 700 {path}`, or name a directory that does not exist yet"
        raise _refusal(path, f"is open to other users (mode {mode:04o})", hint)
    if not os.access(path, os.R_OK | os.W_OK | os.X_OK):
        raise _refusal(path, "cannot be written", "make it writable, or name another home with --home")


def _short_run(home: Path) -> Path:
    """A short directory that belongs to `home` alone: under $XDG_RUNTIME_DIR where that is usable, else under /tmp."""
    tag = hashlib.sha256(os.fsencode(home)).hexdigest()[:12]
    runtime = Path(os.environ.get("XDG_RUNTIME_DIR", ""))
    short = runtime / f"meshctl-{tag}"
    fits = len(os.fsencode(short)) + 1 + LONGEST_SOCKET_NAME <= LONGEST_SOCKET_PATH
    if runtime.is_absolute() and fits and os.access(runtime, os.W_OK | os.X_OK):
        return short
    return Path(f"/tmp/meshctl-{os.geteuid()}-{tag}")  # noqa: S108 - created 0700 and its owner checked by open_home


def _absolute(path: Path) -> Path:
    # Not resolve(): a home reached through a symbolic link keeps the (shorter) name its user knows.
    return Path(os.path.abspath(path))


def _user_home(environ: Mapping[str, str]) -> Path:
    try:
        return Path(environ["HOME"]) if environ.get("HOME") else Path.home()
    except RuntimeError as error:
        raise MeshError("home_unusable", "this user has no home directory", hint="name one with --home") from error


def _refusal(path: Path, why: str, hint: str) -> MeshError:
    return MeshError("home_unusable", f'the mesh home "{path}" {why}', hint=hint)


def _unusable(path: Path, error: OSError) -> MeshError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return MeshError("store_full", f'no space left for the mesh home "{path}"', hint=_FREE_SPACE)
    if isinstance(error, FileExistsError | NotADirectoryError):
        return _refusal(path, "is not a directory", "name a directory with --home or MESHCTL_HOME")
    why = f"cannot be used: {error.strerror or error}".lower()
    return _refusal(path, why, "make it writable, or name another home with --home or MESHCTL_HOME")


def _unwritable(path: Path, error: OSError) -> MeshError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return MeshError("store_full", f'no space left to write "{path}"', hint=_FREE_SPACE)
    why = because(error)
    hint = "check the permissions of its directory"
    return MeshError("home_unusable", f'"{path}" cannot be written: {why}', hint=hint)
