"""Files ⇄ configurations: read mesh.toml and the certificates it names. The only part of `config/` that reads.

Two ways in: `load` a file, or `decode_text` that came from elsewhere. Both say every problem at once.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

import msgspec

from meshctl import clock
from meshctl.config.problems import ConfigInvalid, Finding, Problem, Wrong, quoted
from meshctl.errors import MeshError, install
from meshctl.model.mesh import Mesh

if TYPE_CHECKING:
    from collections.abc import Callable

    from meshctl.config.described import Described
    from meshctl.config.document import CertificateTable, Document
    from meshctl.config.problems import Path as KeyPath
    from meshctl.config.sources import Sources

NAME: Final = "mesh.toml"
LARGEST: Final = 16 * 1024**2
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Loaded:
    """A valid configuration: the mesh, the text it comes from, and warnings. `path` is absolute, None for a text."""

    mesh: Mesh
    text: str
    name: str = NAME
    warnings: tuple[Problem, ...] = ()
    path: Path | None = None


def load(path: Path, *, with_files: bool = True) -> Loaded:
    """The configuration in a file. Raises ConfigInvalid, or MeshError config_unreadable where there is no text."""
    name = str(path)
    path = path.absolute()
    text = _text(_read(path, name), name)
    loaded = decode_text(text, name=name, folder=path.parent, with_files=with_files)
    return Loaded(loaded.mesh, loaded.text, name, loaded.warnings, path)


def decode_text(text: str, *, name: str = NAME, folder: Path, with_files: bool = True) -> Loaded:
    """The configuration in a text whose relative paths stand in `folder`. Raises ConfigInvalid with every problem."""
    from meshctl.config.build import build
    from meshctl.config.checks import check
    from meshctl.config.decode import BadSyntax, decode
    from meshctl.config.positions import locate

    text = text.removeprefix("\ufeff")
    try:
        decoded = decode(text)
    except BadSyntax as error:
        raise ConfigInvalid([Problem(name, error.line, error.column, "", error.message, error.expected)]) from None
    findings = list(decoded.findings)
    mesh, described = Mesh(), None
    if decoded.document is not None:
        mesh = build(decoded.document, str(folder.absolute()))
        cross = check(decoded, mesh) + (_files(decoded.document, folder) if with_files else [])
        described = _described(decoded.document, folder, with_files=with_files)
        cross += described.findings if described is not None else []
        findings += [msgspec.structs.replace(each, path=decoded.written(each.path)) for each in cross]
    problems = locate(findings, text, name)
    if any(problem.severity == "error" for problem in problems):
        raise ConfigInvalid(problems)
    if mesh.apis and decoded.document is not None:
        from meshctl.config.versioning import versioned

        mesh = versioned(decoded.document, mesh)
    if described is not None:
        mesh = described.filled(mesh)
    return Loaded(mesh, text, name, tuple(problems))


def _read(path: Path, name: str) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST + 1)
    except FileNotFoundError as error:
        raise MeshError("config_unreadable", f"{name}: no such file", hint="write one with `meshctl init`") from error
    except IsADirectoryError as error:
        raise MeshError(
            "config_unreadable", f"{name}: is a folder", hint=f'name a file in it: "{path / NAME}"'
        ) from error
    except PermissionError as error:
        raise MeshError(
            "config_unreadable", f"{name}: permission denied", hint=f"readable by user {os.getuid()}?"
        ) from error
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise MeshError("config_unreadable", f"{name}: {reason.lower()}") from error
    if len(data) > LARGEST:
        raise MeshError("config_unreadable", f"{name}: larger than 16 MiB", hint="is this the right file?")
    return data


def _text(data: bytes, name: str) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        before = data[: error.start]
        line, column = before.count(b"\n") + 1, error.start - (before.rfind(b"\n") + 1) + 1
        message = f"{name}:{line}:{column}: byte 0x{data[error.start]:02x} is not UTF-8"
        raise MeshError("config_unreadable", message, hint="save the file as UTF-8") from error


def _files(document: Document, folder: Path) -> list[Finding]:
    """What is wrong with the files that the document names."""
    from meshctl.config.asking_files import authorities, secrets
    from meshctl.config.checks import certificates

    now = clock.wall()
    findings = []
    for path, table in certificates(document):
        findings += _pair(path, table, folder, now)
    findings += _credentials(document, folder)
    findings += secrets(document, folder)
    for key, file in authorities(document):
        findings += _authority(key, folder / file, now)
    findings += _tracing(document, folder)
    for name, service in (document.services or {}).items():
        if service.tls and service.tls.ca:
            findings += _authority(("services", name, "tls", "ca"), folder / service.tls.ca, now)
    return findings


def _pair(path: KeyPath, table: CertificateTable, folder: Path, now: float) -> list[Finding]:
    from meshctl.config import certificates

    findings = []
    certificate = key = None
    where = (*path, "certificate")
    try:
        certificate = certificates.read_certificate(_content(folder / table.certificate))
        if complaint := certificates.validity(certificate, now):
            findings.append(Finding(where, f"{quoted(table.certificate)} {complaint}", severity="warning"))
    except Wrong as error:
        findings.append(Finding(where, f"{quoted(table.certificate)} {error.message}", error.expected, error.hint))
    if table.key is None:
        return findings  # said by the checks
    try:
        key = certificates.read_key(_content(folder / table.key))
    except Wrong as error:
        findings.append(Finding((*path, "key"), f"{quoted(table.key)} {error.message}", error.expected, error.hint))
    if certificate and key and not certificates.fits(certificate, key):
        findings.append(
            Finding((*path, "key"), f"{quoted(table.key)} does not fit the certificate {quoted(table.certificate)}")
        )
    return findings


def _authority(path: KeyPath, file: Path, now: float) -> list[Finding]:
    from meshctl.config import certificates

    try:
        found = certificates.read_certificates(_content(file))
    except Wrong as error:
        return [Finding(path, f"{quoted(file.name)} {error.message}", error.expected, error.hint)]
    complaints = [complaint for each in found if (complaint := certificates.validity(each, now))]
    return [Finding(path, f"{quoted(file.name)} {each}", severity="warning") for each in complaints]


def _credentials(document: Document, folder: Path) -> list[Finding]:
    """What is wrong with the files that callers are known by."""
    from meshctl.core.htpasswd import read_users
    from meshctl.core.jwk import read_keys

    findings = []
    for name, way in (document.auth or {}).items():
        path: KeyPath = ("auth", name)
        file = ""
        try:
            if way.jwt is not None and way.jwt.keys:
                path, file = (*path, "jwt", "keys"), way.jwt.keys
                is_secret = any(each.startswith("HS") for each in way.jwt.algorithms or ())
                read_keys(_content(folder / file), with_secrets=is_secret)
            elif way.basic is not None:
                path, file = (*path, "basic", "users"), way.basic.users
                read_users(_content(folder / file, "").decode())
        except Wrong as error:
            findings.append(Finding(path, f"{quoted(file)} {error.message}", error.expected, error.hint))
        except ValueError as error:
            findings.append(Finding(path, f"{quoted(file)}: {error}"))
    return findings


def _tracing(document: Document, folder: Path) -> list[Finding]:
    """What is wrong with what traces need."""
    from meshctl.config.build_tracing import has_library, read_fields

    if document.tracing is None:
        return []
    findings = []
    if not has_library():
        problem = "nobody is told: OpenTelemetry is not installed"
        findings.append(Finding(("tracing",), problem, "", install("otlp"), "warning"))
    path: KeyPath = ("tracing", "headers_file")
    if file := document.tracing.headers_file:
        try:
            read_fields(_content(folder / file, "").decode())
        except Wrong as error:
            findings.append(Finding(path, f"{quoted(file)} {error.message}", error.expected, error.hint))
        except ValueError as error:
            findings.append(Finding(path, f"{quoted(file)}: {error}"))
    return findings


def _described(document: Document, folder: Path, *, with_files: bool) -> Described | None:
    """What files say of the requests that routes take; None where no route asks."""
    from meshctl.config.build_checked import is_described

    if not is_described(document):
        return None
    from meshctl.config.described import Described

    return Described(document, str(folder.absolute()), _beside if with_files else None)


def load_openapi(path: Path, use: Callable[[Sources], T]) -> T:
    """What is made of an OpenAPI document. Raises MeshError config_unreadable for what is none."""
    from meshctl.config.described import described_at
    from meshctl.config.sources import Broken, Sources

    sources = Sources(path.name, lambda name: _beside(str(path), name))
    try:
        return use(sources)
    except (Broken, Wrong) as error:
        message, hint = described_at(str(path), sources, error), error.hint or error.expected
        raise MeshError("config_unreadable", message, hint=hint) from error


def _beside(document: str, name: str) -> bytes:
    """The bytes of a file in the folder of a document. Raises Wrong."""
    folder = Path(document).parent.resolve()
    path = folder / name
    if Path(document).name != name and not path.resolve().is_relative_to(folder):
        raise Wrong("leads out of the document's folder")
    data = _content(path, "")
    if len(data) >= LARGEST:
        raise Wrong("is larger than 16 MiB")
    return data


def _content(path: Path, expected: str = "a PEM file") -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(LARGEST)
    except FileNotFoundError as error:
        raise Wrong("does not exist", hint=f"looked for {quoted(path)}") from error
    except PermissionError as error:
        raise Wrong("may not be read: permission denied") from error
    except IsADirectoryError as error:
        raise Wrong("is a folder", expected=expected) from error
    except (OSError, ValueError) as error:
        raise Wrong(f"cannot be read: {str(error).lower()}") from error
