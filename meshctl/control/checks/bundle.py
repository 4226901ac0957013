"""An archive for a bug report: what doctor found, versions, the configuration, status, metrics and the ends of logs.

Nothing secret is in it (`redacting`), and no file of the home but logs is ever opened for it: no key can get into it. A
part that cannot be had is in it as the reason why.
"""

from __future__ import annotations

import io
import platform
import sys
import tarfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from meshctl import __version__, clock
from meshctl.control.checks.facts import Facts
from meshctl.control.checks.finding import Result, Unknown
from meshctl.control.checks.redacting import redacted, redacted_text
from meshctl.control.checks.requirements import installed, requirements
from meshctl.control.client import ask_all
from meshctl.errors import MeshError, because
from meshctl.store.home import write_private

LINES: Final = 200
"""How many of the last lines of each log."""
_BLOCK: Final = 256 * 1024
_LONGEST: Final = 4096
_FOLDER: Final = "meshctl-doctor"


class Part(msgspec.Struct, frozen=True):
    """A file of the archive."""

    name: str
    content: bytes


def collect(facts: Facts, results: Sequence[Result]) -> list[Part]:
    """All that goes into the archive. Raises nothing that the mesh causes; hangs where the store does."""
    parts = [
        _document("versions.json", _versions),
        _document("doctor.json", lambda: msgspec.to_builtins(results)),
        _document("configuration.json", lambda: _configuration(facts)),
        _document("status.json", lambda: [msgspec.to_builtins(view) for view in facts.views()]),
        _document("services.json", lambda: _services(facts)),
    ]
    return parts + _metrics(facts) + _logs(facts)


def write(path: Path, parts: Sequence[Part]) -> None:
    """Put the archive under `path`, for this user's eyes alone. Raises MeshError where something is there already."""
    if path.exists():
        raise MeshError("failed", f'"{path}" is already there', hint="name another file")
    if not path.absolute().parent.is_dir():
        raise MeshError(
            "failed", f'"{path.absolute().parent}" is not a directory', hint="name a file in one that is there"
        )
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz") as archive:
        for part in parts:
            entry = tarfile.TarInfo(f"{_FOLDER}/{part.name}")
            entry.size, entry.mode, entry.mtime = len(part.content), 0o600, int(clock.wall())
            archive.addfile(entry, io.BytesIO(part.content))
    write_private(path.absolute(), made.getvalue())


def _document(name: str, read: Callable[[], Any]) -> Part:
    try:
        found = redacted(read())
    except Exception as error:
        # Whatever stands in the way of one part, the others are wanted all the more.
        found = {"missing": redacted_text(f"{type(error).__name__}: {error}")}
    return Part(name, msgspec.json.format(msgspec.json.encode(found), indent=2))


def _versions() -> dict[str, Any]:
    return {
        "meshctl": __version__,
        "python": sys.version,
        "system": platform.platform(),
        "at": clock.timestamp(clock.wall()),
        "libraries": dict(installed(each.name for each in requirements())),
    }


def _configuration(facts: Facts) -> dict[str, Any]:
    """What is applied, in the form of a file with nothing left out."""
    from meshctl.config.render import render

    found = facts.applied()
    if found is None:
        raise Unknown("nothing is applied yet")
    return {"revision": found.number, "source": found.summary.source, "mesh": render(found.mesh())}


def _services(facts: Facts) -> list[dict[str, Any]]:
    return [{"proxy": record.id, "service": msgspec.to_builtins(service)} for record, service in facts.services()]


def _metrics(facts: Facts) -> list[Part]:
    try:
        records = [each.record for each in facts.told() if each.view is not None]
    except (MeshError, Unknown):
        return []
    answers = ask_all(records, "/metrics") if records else []
    return [
        Part(f"metrics/{answer.record.id}.txt", answer.body if answer.error is None else answer.error.message.encode())
        for answer in answers
    ]


def _logs(facts: Facts) -> list[Part]:
    parts = []
    for path in _log_files(facts):
        try:
            text = redacted_text("\n".join(_last_lines(path)))
        except OSError as error:
            text = f"cannot be read: {because(error)}"
        parts.append(Part(f"logs/{path.name}", f"{text}\n".encode() if text else b""))
    return parts


def _log_files(facts: Facts) -> list[Path]:
    found = sorted(facts.home.logs.glob("*.log")) if facts.home.logs.is_dir() else []
    try:
        applied = facts.applied()
    except (MeshError, Unknown):
        return found
    access = applied.mesh().gateway.access_log.path if applied else ""
    return [*found, Path(access)] if access.startswith("/") and Path(access).is_file() else found


def _last_lines(path: Path) -> list[str]:
    with path.open("rb") as file:
        end = file.seek(0, io.SEEK_END)
        file.seek(max(0, end - _BLOCK))
        lines = file.read().decode("utf-8", "replace").splitlines()
    # Where the block begins in the middle of a line, that line could hide what it is.
    return [line[:_LONGEST] for line in lines[1 if end > _BLOCK else 0 :][-LINES:]]
