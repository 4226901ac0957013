"""The files by which the gateway and the servers that it asks about callers know each other: secrets that are nobody
else's to read, and authorities. Looks at files; knows nothing of what is in them.
"""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from meshctl.config.problems import Finding, Wrong, quoted
from meshctl.errors import because

if TYPE_CHECKING:
    from meshctl.config.document import Document
    from meshctl.config.problems import Path as KeyPath


def secrets(document: Document, folder: Path) -> Iterator[Finding]:
    """What is wrong with the files of secrets."""
    for name, way in (document.auth or {}).items():
        for kind, table in (("introspection", way.introspection), ("oidc", way.oidc)):
            if table is None or table.client_secret_file is None:
                continue
            file = table.client_secret_file
            try:
                _look(folder / file)
            except Wrong as error:
                path: KeyPath = ("auth", name, kind, "client_secret_file")
                yield Finding(path, f"{quoted(file)} {error.message}", error.expected, error.hint)


def authorities(document: Document) -> Iterator[tuple[KeyPath, str]]:
    """The files of authorities, and where they are named."""
    for name, way in (document.auth or {}).items():
        tables = {
            "introspection": way.introspection,
            "forward_auth": way.forward_auth,
            "certificate": way.certificate,
        }
        for kind, table in tables.items():
            if table is not None and table.ca is not None:
                yield ("auth", name, kind, "ca"), table.ca


def _look(file: Path) -> None:
    try:
        with file.open("rb") as opened:
            is_empty = not opened.read(1)
        bits = stat.S_IMODE(file.stat().st_mode)
    except OSError as error:
        hint = f"looked for {quoted(file)}" if isinstance(error, FileNotFoundError) else ""
        said = "does not exist" if hint else f"cannot be read: {because(error)}"
        raise Wrong(said, hint=hint) from error
    if is_empty:
        raise Wrong("is empty", expected="a line with the secret")
    if bits & 0o077:
        raise Wrong(f"holds a secret, and others may read it (mode {bits:04o})", hint=f"chmod 600 {file}")
