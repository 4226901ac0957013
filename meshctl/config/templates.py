"""The configurations `meshctl init` can start from, by name, with the files that some need beside them."""

from __future__ import annotations

from typing import Final

from meshctl import resources
from meshctl.config.problems import did_you_mean, quoted
from meshctl.errors import MeshError

_SUFFIX: Final = ".toml"
_BESIDE: Final[dict[str, resources.Kind]] = {"api": "templates/api"}
"""Where the files are that stand beside a template's mesh.toml."""


def names() -> list[str]:
    """The templates' names, the simplest first."""
    found = [name.removesuffix(_SUFFIX) for name in resources.names("templates") if name.endswith(_SUFFIX)]
    return sorted(found, key=lambda name: (name != "minimal", name == "full", name))


def text(name: str) -> str:
    """The template's text. Raises MeshError usage where there is none of that name."""
    if name not in names():
        hint = did_you_mean(name, names()) or f"there are: {', '.join(names())}"
        raise MeshError("usage", f"template {quoted(name)} does not exist", hint=hint)
    return resources.text("templates", name + _SUFFIX)


def beside(name: str) -> dict[str, str]:
    """The files that the template needs in the folder of its mesh.toml, and their texts."""
    kind = _BESIDE.get(name)
    return {} if kind is None else {file: resources.text(kind, file) for file in resources.names(kind)}
