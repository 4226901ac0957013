"""The files of the mesh's authority: `root-<n>.crt|key` and `intermediate-<n>.crt|key` in the home's `pki` directory.

Answers with pairs that fit, or with an error that says which file is wrong, how, and what to do. Private keys are born
0600; one that others can read is refused rather than used. Knows neither the store nor what is issued.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from meshctl.errors import MeshError, because
from meshctl.store.home import Home, write_private

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

    from meshctl.pki.authority import Pair

_LARGEST: Final = 1024 * 1024
_ROOT: Final = re.compile(r"root-(\d{1,9})\.crt")
_BACKUP: Final = "put it back from a backup, or replace the whole authority with `meshctl certs rotate --root`"


class AuthorityFiles:
    """The authority's directory in one home. `offline` is another directory for the keys of roots."""

    def __init__(self, home: Home, offline: Path | None = None) -> None:
        self.folder = home.path / "pki"
        self._offline = offline

    def __repr__(self) -> str:
        return f"<AuthorityFiles {self.folder}>"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Alone in the directory, which is made where it is missing; the kernel lets go of the lock even after kill
        -9."""
        try:
            self.folder.mkdir(mode=0o700, exist_ok=True)
            handle = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise _unreadable(self.folder, error) from error
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)

    # names

    def root_key(self, number: int) -> Path:
        """Where the key of a root is."""
        return (self._offline or self.folder) / f"root-{number}.key"

    def root_certificate(self, number: int) -> Path:
        """Where the certificate of a root is."""
        return self.folder / f"root-{number}.crt"

    def intermediate(self, number: int) -> tuple[Path, Path]:
        """Where certificate and key of the intermediate under that root are."""
        return self.folder / f"intermediate-{number}.crt", self.folder / f"intermediate-{number}.key"

    def root_numbers(self) -> list[int]:
        """The numbers of the roots whose certificates are there, ascending."""
        found = (_ROOT.fullmatch(name) for name in (os.listdir(self.folder) if self.folder.is_dir() else ()))
        return sorted(int(each[1]) for each in found if each)

    # reading

    def read_root_certificate(self, number: int) -> Certificate:
        """The certificate of a root."""
        return _certificates(self.root_certificate(number))[0]

    def read_root(self, certificate: Certificate, number: int, passphrase: bytes | None) -> Pair:
        """A root with its key. Raises MeshError authority_unusable; `is_key_at_hand` tells beforehand."""
        path = self.root_key(number)
        return _pair(certificate, path, _content(path, is_private=self._offline is None), passphrase)

    def is_key_at_hand(self, number: int) -> bool:
        """Whether the key of a root lies in the home, readable without a passphrase."""
        try:
            return b"ENCRYPTED" not in self.root_key(number).read_bytes()
        except OSError:
            return False

    def has_intermediate(self, number: int) -> bool:
        """Whether an intermediate was ever finished: its certificate is written last."""
        return self.intermediate(number)[0].exists()

    def read_intermediate(self, number: int) -> Pair:
        """The intermediate under that root, with its key."""
        key = self.intermediate(number)[1]
        return _pair(self.read_intermediate_certificate(number), key, _content(key), None)

    def read_intermediate_certificate(self, number: int) -> Certificate:
        """The certificate of the intermediate under that root."""
        return _certificates(self.intermediate(number)[0])[0]

    # writing

    def protect_root(self, number: int, passphrase: bytes | None) -> bool:
        """Bring the key of a root that lies in the home to the offline directory and under the passphrase, as far as
        they are given; whether anything was done. An encrypted key is moved as it is."""
        from meshctl.pki import pem

        path, home = self.root_key(number), self.folder / f"root-{number}.key"
        if not home.exists() or (path == home and passphrase is None):
            return False
        text = _content(home)
        if passphrase is not None:
            certificate = self.read_root_certificate(number)
            text = pem.write_key(_pair(certificate, home, text, passphrase).key, passphrase)
        write_private(path, text)
        if path != home:
            home.unlink()
        return True

    def write_root(self, number: int, root: Pair, passphrase: bytes | None) -> None:
        """Keep a root, its key under `passphrase` where there is one. The key comes first: a certificate that is there
        is complete."""
        from meshctl.pki import pem

        write_private(self.root_key(number), pem.write_key(root.key, passphrase))
        write_private(self.root_certificate(number), pem.write_certificates([root.certificate]))

    def write_intermediate(self, number: int, intermediate: Pair) -> None:
        """Keep an intermediate. One that is renewed under its own key is usable at every moment."""
        from meshctl.pki import pem

        certificate, key = self.intermediate(number)
        write_private(key, pem.write_key(intermediate.key))
        write_private(certificate, pem.write_certificates([intermediate.certificate]))

    def remove(self, number: int) -> None:
        """Forget a root and its intermediate for good."""
        for path in (self.root_certificate(number), *self.intermediate(number), self.root_key(number)):
            try:
                path.unlink(missing_ok=True)
            except OSError as error:
                raise _unreadable(path, error) from error


def _pair(certificate: Certificate, path: Path, text: bytes, passphrase: bytes | None) -> Pair:
    from meshctl.pki import pem
    from meshctl.pki.authority import Pair

    try:
        key = pem.read_key(text, passphrase)
    except pem.KeyIsEncrypted as error:
        hint = "name a file that holds its passphrase with --passphrase-file, or type it with --passphrase"
        raise MeshError("authority_unusable", f'the key "{path}" {error}', hint=hint) from error
    except ValueError as error:
        raise MeshError("authority_unusable", f'the key "{path}" {error}', hint=_BACKUP) from error
    if not pem.fits(certificate, key):
        message = f'the key "{path}" does not fit the certificate beside it'
        raise MeshError("authority_unusable", message, hint=_BACKUP)
    return Pair(certificate, key)


def _certificates(path: Path) -> list[Certificate]:
    from meshctl.pki import pem

    try:
        return pem.read_certificates(_content(path, is_private=False))
    except ValueError as error:
        raise MeshError("authority_unusable", f'the certificate "{path}" {error}', hint=_BACKUP) from error


def _content(path: Path, *, is_private: bool = True) -> bytes:
    """What is in the file. The very descriptor that is read is checked to be nobody else's."""
    try:
        with path.open("rb") as file:
            found = os.fstat(file.fileno())
            if is_private and found.st_uid != os.geteuid():
                hint = "run as that user, or make the file yours"
                raise MeshError("authority_unusable", f'"{path}" belongs to user {found.st_uid}', hint=hint)
            if is_private and found.st_mode & 0o077:
                raise _exposed(path, stat.S_IMODE(found.st_mode))
            return file.read(_LARGEST)
    except OSError as error:
        raise _unreadable(path, error) from error


def _exposed(path: Path, mode: int) -> MeshError:
    hint = (
        f"run `chmod 600 {path}`; if somebody else may have read it, replace the authority with "
        "`meshctl certs rotate --root`"
    )
    return MeshError("authority_unusable", f'"{path}" is open to other users (mode {mode:04o})', hint=hint)


def _unreadable(path: Path, error: OSError) -> MeshError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return MeshError("store_full", f'no space left to write "{path}"', hint="free some space and try again")
    if isinstance(error, FileNotFoundError):
        return MeshError("authority_unusable", f'"{path}" is missing', hint=_BACKUP)
    why = because(error)
    return MeshError("authority_unusable", f'"{path}" cannot be used: {why}', hint="check its permissions")
