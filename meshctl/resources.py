"""Where the files that are no code lie: `templates/` and `completions/`, at a checkout's top level or in the wheel, and
the pages of the manual, within the package."""

from __future__ import annotations

from pathlib import Path
from typing import Final, Literal

from meshctl.errors import MeshError

Kind = Literal["templates", "templates/api", "templates/grafana", "templates/prometheus", "completions", "man"]

_PACKAGE: Final = Path(__file__).parent


def folder(kind: Kind) -> Path:
    """The folder of that kind. The wheel carries a copy under `meshctl/_data`; a checkout has the original, but for the
    manual, which stands there and goes to `share/man` where the wheel is installed."""
    installed = _PACKAGE / "_data" / kind
    return installed if installed.is_dir() or kind == "man" else _PACKAGE.parent / kind


def names(kind: Kind) -> list[str]:
    """The names of the files of that kind, in order."""
    return sorted(path.name for path in folder(kind).glob("*") if path.is_file() and not path.name.startswith("."))


def text(kind: Kind, name: str) -> str:
    """A file's text. Raises MeshError not_found."""
    if name not in names(kind):
        raise MeshError("not_found", f'no "{name}" in {folder(kind)}', hint=f"there are: {', '.join(names(kind))}")
    return (folder(kind) / name).read_text("utf-8")
