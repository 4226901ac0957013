"""Reads configurations for tests, and writes them."""

from __future__ import annotations

from pathlib import Path

import tomli_w

from meshctl.config.files import Loaded, decode_text
from meshctl.config.problems import ConfigInvalid, Problem
from meshctl.config.render import render
from meshctl.model.mesh import Mesh

FOLDER = Path("/etc/mesh")


def read(text: str) -> Loaded:
    """The configuration in the text, without looking at the files it names."""
    return decode_text(text, folder=FOLDER, with_files=False)


def problems(text: str) -> list[Problem]:
    """Everything that is said of the text, errors and warnings."""
    try:
        return list(read(text).warnings)
    except ConfigInvalid as error:
        return list(error.problems)


def to_toml(mesh: Mesh) -> str:
    """The whole mesh as the text of a mesh.toml."""
    return tomli_w.dumps(render(mesh))
