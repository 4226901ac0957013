"""The configurations `meshctl init` can start from, by name."""

from __future__ import annotations

from meshctl import resources
from meshctl.config.problems import did_you_mean, quoted
from meshctl.errors import MeshError

_SUFFIX = ".toml"


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


def summary(name: str) -> str:
    """The template's first line, which says what it shows."""
    return text(name).partition("\n")[0].lstrip("# ").rstrip()
