"""Which libraries meshctl needs, as its own package says, and which of them are there in which version."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping
from importlib import metadata
from pathlib import Path
from typing import Final

import msgspec

import meshctl

_NAME: Final = re.compile(r"[\w.-]+")
_BOUND: Final = re.compile(r"(>=|<)\s*([\d.]+)")
_NUMBER: Final = re.compile(r"\d+")


class Requirement(msgspec.Struct, frozen=True):
    """A library: at least one version, and less than another where one is given."""

    name: str
    least: tuple[int, ...] = ()
    below: tuple[int, ...] = ()

    def admits(self, version: str) -> bool:
        """Whether this version will do."""
        found = _numbers(version)
        return found >= self.least and (not self.below or found < self.below)


def requirements() -> tuple[Requirement, ...]:
    """All of them; those of tests and benchmarks are not among them. A checkout that was never installed says it in its
    pyproject.toml."""
    try:
        lines = metadata.requires("meshctl") or []
    except metadata.PackageNotFoundError:
        file = Path(meshctl.__file__).parent.parent / "pyproject.toml"
        lines = tomllib.loads(file.read_text(encoding="utf-8"))["project"]["dependencies"]
    return tuple(parsed(line) for line in lines if "extra ==" not in line)


def parsed(line: str) -> Requirement:
    """A requirement as packages write it: "typer>=0.26,<0.29"."""
    name = _NAME.match(line)
    bounds = {sign: _numbers(version) for sign, version in _BOUND.findall(line.partition(";")[0])}
    return Requirement(name[0] if name else line, bounds.get(">=", ()), bounds.get("<", ()))


def installed(names: Iterable[str]) -> Mapping[str, str]:
    """The versions of those that are there."""
    found = {}
    for name in names:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def _numbers(version: str) -> tuple[int, ...]:
    """What of a version counts here: 1.2.3rc1 → (1, 2, 3)."""
    return tuple(int(found[0]) for part in version.split(".") if (found := _NUMBER.match(part)))
