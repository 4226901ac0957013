"""What the commands about certificates share: the mesh's authority and its passphrase, and which proxies use what."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from meshctl.cli.session import Session
from meshctl.errors import MeshError, because

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

    from meshctl.control.authority import Authority
    from meshctl.model.views import ProxyRecord, ProxyView
    from meshctl.store.protocol import Store

PassphraseFileOption = Annotated[
    Path | None,
    typer.Option("--passphrase-file", metavar="FILE", help="Read the passphrase of the root's key from a file."),
]
PassphraseOption = Annotated[bool, typer.Option("--passphrase", help="Ask for the passphrase of the root's key.")]
OfflineOption = Annotated[
    Path | None,
    typer.Option("--offline-root", metavar="DIR", help="Where the root's key is kept instead, such as on a stick."),
]


@contextmanager
def authority(
    session: Session, *, passphrase: bytes | None = None, offline: Path | None = None
) -> Iterator[tuple[Authority, Store]]:
    """The mesh's authority and its store; the home is made where it is missing."""
    from meshctl.control.authority import Authority

    home = session.home(create=True)
    with session.store(create=True) as store:
        yield Authority(home, store, passphrase=passphrase, offline=offline), store


def trust_domain(session: Session, store: Store) -> str:
    """The mesh's trust domain: that of the configuration in force, else of the nearest mesh.toml, else the default."""
    from meshctl.control import revisions
    from meshctl.model.mesh import Mesh
    from meshctl.store.nearest import find_config

    revision = revisions.current(store)
    if revision is not None:
        return revision.mesh().trust_domain
    path = find_config()
    return session.load(path)[1].mesh.trust_domain if path is not None else Mesh().trust_domain


def passphrase(file: Path | None, ask: bool, *, again: bool) -> bytes | None:
    """The passphrase that was asked for, None where none was. `again`: typed twice, because it is a new one."""
    if file is not None:
        try:
            # What a shell hands over (/dev/fd/63) is no file, and nobody else's.
            is_open = file.is_file() and bool(file.stat().st_mode & 0o077)
            found = file.read_bytes().rstrip(b"\r\n")
        except OSError as error:
            why = because(error)
            raise MeshError("usage", f'the passphrase file "{file}" cannot be read: {why}') from error
        if not found:
            raise MeshError("usage", f'the passphrase file "{file}" is empty')
        if is_open:
            raise MeshError("usage", f'the passphrase file "{file}" can be read by others', hint=f"chmod 600 {file}")
        return found
    return _typed(again=again) if ask else None


def _typed(*, again: bool) -> bytes:
    import getpass
    import sys

    if not sys.stdin.isatty():
        raise MeshError("usage", "there is no terminal to ask for a passphrase", hint="use --passphrase-file FILE")
    first = getpass.getpass("Passphrase of the root's key: ")
    if not first:
        raise MeshError("usage", "the passphrase is empty")
    if again and getpass.getpass("Again: ") != first:
        raise MeshError("usage", "the two passphrases differ")
    return first.encode()


def live(session: Session) -> list[tuple[ProxyRecord, ProxyView]]:
    """Every proxy that runs with what it says of itself; those that do not answer are named on stderr."""
    from meshctl.cli.proxies import ask_running
    from meshctl.model.views import ProxyView

    try:
        return ask_running(session, "/v1/status", ProxyView)
    except MeshError as error:
        if error.code != "not_running":
            session.terminal.warn(error.message)
        return []


def intermediate(session: Session, number: int) -> Certificate | None:
    """The certificate of the intermediate under root `number`, None where it cannot be read. One whose renewal is
    overdue is warned of: without its root's key nobody but a person can renew it, and when it ends all ends."""
    from meshctl import clock
    from meshctl.cli.lifetimes import left
    from meshctl.control.authority_files import AuthorityFiles
    from meshctl.core.renewal import renewal_moment

    try:
        found = AuthorityFiles(session.home()).read_intermediate_certificate(number)
    except MeshError as error:
        session.terminal.warn(error.message)
        return None
    start, end = found.not_valid_before_utc.timestamp(), found.not_valid_after_utc.timestamp()
    now = clock.wall()
    if now >= renewal_moment(start, end, 0):
        how = "`meshctl certs init` with the root's key at hand (--passphrase, --offline-root DIR) renews it"
        session.terminal.warn(f"what signs all certificates lives {left(end, now)} longer; {how}")
    return found


def read_file(path: Path) -> list[Certificate]:
    """The certificates of a PEM file, at least one. Raises MeshError not_found or certificate_invalid."""
    from meshctl.pki import pem

    try:
        return pem.read_certificates(path.read_bytes())
    except OSError as error:
        why = because(error)
        raise MeshError("not_found", f'"{path}" cannot be read: {why}') from error
    except ValueError as error:
        raise MeshError("certificate_invalid", f'"{path}" {error}') from error


def write_new(path: Path, content: bytes, *, mode: int, force: bool) -> None:
    """Put `content` under `path` in one step, born with `mode`. Raises MeshError where something is there already and
    must not be replaced."""
    import os

    if not force and path.exists():
        raise MeshError("failed", f'"{path}" is already there', hint="--force replaces it, --out names another folder")
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
            fresh.replace(path)
        finally:
            fresh.unlink(missing_ok=True)
    except OSError as error:
        raise MeshError("failed", f'"{path}" cannot be written: {because(error)}') from error
