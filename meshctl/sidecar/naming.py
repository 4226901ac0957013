"""As whom a wrapped app takes part in the mesh: the service, its version, the sidecar's id. Pure.

What nobody said is made out of what is there: the command's words, the versions that are configured.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import PurePath
from typing import Final

from meshctl.errors import MeshError
from meshctl.model.mesh import Mesh
from meshctl.model.names import GATEWAY, TAKEN, check_label

DEFAULT_VERSION: Final = "default"

# Words that run the app rather than name it.
_RUNNERS: Final = re.compile(
    r"(python|pypy|node|nodejs|deno|bun|ruby|perl|php|java|sh|bash|zsh|dash|env|uv|poetry|pipenv|npx|npm|pnpm|yarn"
    r"|exec|nice|nohup|time|run|start|watch|dotnet|go|cargo)[0-9.]*"
)
# A shell's own text: the app's name may stand in it anywhere.
_SCRIPT: Final = re.compile(r"[\s;&|$`]")
_PYTHON: Final = re.compile(r"(python|pypy)[0-9.]*")
_LONGEST: Final = 63


def check_service(name: str) -> str:
    """`name` if a sidecar may take part as it. Raises MeshError usage."""
    try:
        check_label(name)
    except ValueError as error:
        raise MeshError("usage", f'"{name}" is no name for a service: {error}', hint=_suggestion(name)) from error
    if name in TAKEN:
        also = "; `--gateway ADDR` exposes the mesh's routes from any sidecar" if name == GATEWAY else ""
        raise MeshError("usage", f'"{name}" is {TAKEN[name]}', hint=f"name it otherwise{also}")
    return name


def service_name(command: Sequence[str]) -> str:
    """A name for the service that `command` runs: `python app.py` → "app", `./bin/orders --fast` → "orders", `uvicorn
    shop.web:app` → "uvicorn". Raises MeshError usage where it has no name in it."""
    for at, word in enumerate(command):
        if word == "-m" and at and _PYTHON.fullmatch(PurePath(command[at - 1]).name):
            continue
        if not word or _SCRIPT.search(word):
            break
        name = PurePath(word).name
        if word.startswith("-") or "=" in word or _RUNNERS.fullmatch(name):
            continue
        label = _label(PurePath(name).stem if "." in name.strip(".") else name)
        if label and label not in TAKEN:
            return label
    raise MeshError("usage", "the command does not say what the service is called", hint="give it with --service NAME")


def version_name(given: str | None, service: str, mesh: Mesh) -> str:
    """The version the app is: as `given`, else the only one that its service has. Raises MeshError usage where there
    are several to choose from."""
    if given is not None:
        try:
            return check_label(given)
        except ValueError as error:
            raise MeshError("usage", f'"{given}" is no name for a version: {error}') from error
    configured = next((each for each in mesh.services if each.name == service), None)
    names = [version.name for version in configured.versions] if configured else []
    if len(names) > 1:
        known = ", ".join(names)
        raise MeshError("usage", f'service "{service}" has several versions: {known}', hint="say which: --version NAME")
    return names[0] if names else DEFAULT_VERSION


def proxy_id(service: str, version: str, dice: int) -> str:
    """The id of a sidecar, as short as an admin socket's name has to be; `dice` is a number of 24 random bits."""
    # "gateway-0123456789abcdef.sock" is what there is room for: 40 bytes.
    stem = f"{service[:17].rstrip('-')}-{version[:10].rstrip('-')}"
    return f"{stem}-{dice & 0xFFFFFF:06x}"


def _label(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower())[:_LONGEST].strip("-")


def _suggestion(name: str) -> str:
    label = _label(name)
    return f'for example "{label}"' if label and label not in TAKEN else ""
