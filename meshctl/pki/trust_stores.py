"""Where this machine's programs look for trusted roots, and how one gets in and out: a table of systems, and NSS.

A store answers whether a root is in it, puts it in or takes it out; where that needs root it says which command does
it. Must not know the mesh: it is given roots as `TrustedRoot`.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from meshctl.errors import MeshError


@dataclass(frozen=True, slots=True)
class TrustedRoot:
    """A root to be trusted by others: `slug` is its name as a file, unique to it; `file` is where its PEM lies."""

    slug: str
    fingerprint: str
    pem: bytes
    file: Path


class NeedsRoot(Exception):  # noqa: N818 - a way out, not a failure of the program
    """Only root can do it; `command` is what to run."""

    def __init__(self, command: str) -> None:
        super().__init__(command)
        self.command = command


class TrustStore(Protocol):
    """One place where programs look for roots."""

    @property
    def kind(self) -> str:
        """What reads it: "system" or "nss"."""

    @property
    def place(self) -> str:
        """Where it is, for people."""

    def has(self, root: TrustedRoot) -> bool:
        """Whether the root is in it."""

    def install(self, root: TrustedRoot) -> None:
        """Put the root in. Raises NeedsRoot or MeshError."""

    def uninstall(self, root: TrustedRoot) -> None:
        """Take the root out. Raises NeedsRoot or MeshError."""


@dataclass(frozen=True, slots=True)
class System:
    """A family of systems: the folder where an administrator's roots are, what they are called there, and what makes
    the system take up a change after a root went in or out."""

    name: str
    folder: str
    suffix: str
    refresh: tuple[str, ...]
    refresh_without: tuple[str, ...]


SYSTEMS: Final = (
    System(
        "Debian, Ubuntu, Alpine",
        "usr/local/share/ca-certificates",
        ".crt",
        ("update-ca-certificates",),
        ("update-ca-certificates", "--fresh"),
    ),
    System(
        "Fedora, RHEL",
        "etc/pki/ca-trust/source/anchors",
        ".pem",
        ("update-ca-trust", "extract"),
        ("update-ca-trust", "extract"),
    ),
    System(
        "Arch",
        "etc/ca-certificates/trust-source/anchors",
        ".crt",
        ("trust", "extract-compat"),
        ("trust", "extract-compat"),
    ),
    System(
        "SUSE",
        "usr/share/pki/trust/anchors",
        ".pem",
        ("update-ca-certificates",),
        ("update-ca-certificates",),
    ),
)
KEYCHAIN: Final = "/Library/Keychains/System.keychain"
# Where Chromium and Firefox keep theirs, below a user's home.
_NSS_HOMES: Final = (
    ".pki/nssdb",
    "snap/chromium/current/.pki/nssdb",
    ".mozilla/firefox/*",
    "snap/firefox/common/.mozilla/firefox/*",
    ".var/app/org.mozilla.firefox/.mozilla/firefox/*",
    "Library/Application Support/Firefox/Profiles/*",
)


class FolderStore:
    """A system that takes up what lies in a folder. `refreshes` is False where the system is not this running one."""

    kind = "system"

    def __init__(self, system: System, prefix: Path = Path("/"), *, refreshes: bool = True) -> None:
        self._system = system
        self._folder = prefix / system.folder
        self._refreshes = refreshes

    def __repr__(self) -> str:
        return f"<FolderStore {self._folder}>"

    @property
    def place(self) -> str:
        """The folder."""
        return str(self._folder)

    def has(self, root: TrustedRoot) -> bool:
        """Whether the root's file is there and holds it."""
        try:
            return self._path(root).read_bytes() == root.pem
        except OSError:
            return False

    def install(self, root: TrustedRoot) -> None:
        """Put the root's file there and let the system take it up."""
        path, refresh = self._path(root), self._system.refresh
        if not os.access(self._folder, os.W_OK):
            put = shlex.join(["sudo", "install", "-m", "0644", str(root.file), str(path)])
            raise NeedsRoot(f"{put} && {shlex.join(['sudo', *refresh])}")
        fresh = path.with_name(f".{path.name}.{os.getpid()}")
        handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        with os.fdopen(handle, "wb") as file:
            # Other users' programs are to read it, whatever the umask of the one who installs it.
            os.fchmod(handle, 0o644)
            file.write(root.pem)
        fresh.replace(path)
        self._refresh(refresh)

    def uninstall(self, root: TrustedRoot) -> None:
        """Take the root's file away and let the system forget it."""
        path, refresh = self._path(root), self._system.refresh_without
        if not path.exists():
            return
        if not os.access(self._folder, os.W_OK):
            raise NeedsRoot(f"{shlex.join(['sudo', 'rm', str(path)])} && {shlex.join(['sudo', *refresh])}")
        path.unlink()
        self._refresh(refresh)

    def _path(self, root: TrustedRoot) -> Path:
        return self._folder / (root.slug + self._system.suffix)

    def _refresh(self, command: Sequence[str]) -> None:
        if self._refreshes:
            run(*command)


class KeychainStore:
    """The keychain of a Mac, for all its users."""

    kind = "system"
    place = KEYCHAIN

    def has(self, root: TrustedRoot) -> bool:
        """Whether the keychain lists the root's SHA-256."""
        return root.fingerprint.upper() in run("security", "find-certificate", "-a", "-Z", KEYCHAIN).upper()

    def install(self, root: TrustedRoot) -> None:
        """Add the root as trusted."""
        self._as_root("security", "add-trusted-cert", "-d", "-r", "trustRoot", "-k", KEYCHAIN, str(root.file))

    def uninstall(self, root: TrustedRoot) -> None:
        """Delete the root with what was said of its trust."""
        if self.has(root):
            self._as_root("security", "delete-certificate", "-Z", root.fingerprint.upper(), "-t", KEYCHAIN)

    def _as_root(self, *command: str) -> None:
        if os.geteuid() != 0:
            raise NeedsRoot(shlex.join(["sudo", *command]))
        run(*command)


class NssStore:
    """One database of NSS, as Firefox and Chromium have them."""

    kind = "nss"

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __repr__(self) -> str:
        return f"<NssStore {self._folder}>"

    @property
    def place(self) -> str:
        """The database's folder."""
        return str(self._folder)

    def has(self, root: TrustedRoot) -> bool:
        """Whether the database has the root under its name."""
        command = ["certutil", "-L", "-d", f"sql:{self._folder}", "-n", root.slug, "-a"]
        try:
            done = subprocess.run(command, capture_output=True, check=False)  # noqa: S603 - without a shell
        except FileNotFoundError as error:
            raise _no_certutil() from error
        return done.returncode == 0 and done.stdout.split() == root.pem.split()

    def install(self, root: TrustedRoot) -> None:
        """Add the root as trusted for servers."""
        run("certutil", "-A", "-d", f"sql:{self._folder}", "-t", "C,,", "-n", root.slug, "-i", str(root.file))

    def uninstall(self, root: TrustedRoot) -> None:
        """Delete the root."""
        if self.has(root):
            run("certutil", "-D", "-d", f"sql:{self._folder}", "-n", root.slug)


def stores(*, home: Path, platform: str, prefix: Path | None = None) -> list[TrustStore]:
    """The trust stores there are: the system's, and NSS databases below `home`. With `prefix` only that of the system
    which is built there, and nothing is run for it."""
    if prefix is None and platform == "darwin":
        system: list[TrustStore] = [KeychainStore()]
    else:
        base = prefix or Path("/")
        known = [each for each in SYSTEMS if (base / each.folder).is_dir()]
        system = [FolderStore(each, base, refreshes=prefix is None) for each in known[:1]]
    if prefix is not None:
        return system
    databases = sorted(path.parent for pattern in _NSS_HOMES for path in home.glob(f"{pattern}/cert9.db"))
    return [*system, *map(NssStore, databases)]


def run(*command: str) -> str:
    """What the command writes to stdout. Raises MeshError with the last thing it said where it fails."""
    if shutil.which(command[0]) is None:
        if command[0] == "certutil":
            raise _no_certutil()
        raise MeshError("failed", f'"{command[0]}" is not installed')
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - without a shell
    if done.returncode != 0:
        said = (done.stderr or done.stdout).strip().splitlines()
        why = said[-1] if said else f"it ended with {done.returncode}"
        raise MeshError("failed", f"`{shlex.join(command)}` failed: {why}")
    return done.stdout


def _no_certutil() -> MeshError:
    hint = "install libnss3-tools (Debian, Ubuntu), nss-tools (Fedora) or nss (Homebrew)"
    return MeshError("failed", "browsers' own stores need certutil, which is not installed", hint=hint)
