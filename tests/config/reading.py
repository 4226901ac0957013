"""Reads configurations for tests."""

from __future__ import annotations

from pathlib import Path

from meshctl.config.files import Loaded, decode_text
from meshctl.config.problems import ConfigInvalid, Problem

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
