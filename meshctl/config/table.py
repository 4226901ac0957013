"""What all tables of mesh.toml share: strictness, and the small steps from shorthand to long form."""

from __future__ import annotations

from typing import Any, Final

from pydantic import BaseModel, ConfigDict

from meshctl.config.problems import Wrong, quoted
from meshctl.config.scalars import kind_of

# For the JSON schema of tables that say one thing.
ONE_KEY: Final[dict[str, Any]] = {"minProperties": 1, "maxProperties": 1}


class Table(BaseModel):
    """A table of the file: unknown keys and values of another type are errors; nothing is guessed."""

    # Deferred: only the whole document is ever decoded, so its parts need no decoders of their own.
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, defer_build=True)

    def given(self) -> dict[str, Any]:
        """The keys the file has in this table, with their values."""
        return {name: getattr(self, name) for name in self.model_fields_set}


def listed(value: object) -> object:
    """One table stands for a list of one."""
    return [value] if isinstance(value, dict) else value


def several(value: object) -> object:
    """One word stands for a list of one."""
    if not isinstance(value, str | list):
        raise Wrong(f"{kind_of(value)} is not valid here", expected="a name or an array of names")
    return [value] if isinstance(value, str) else value


def either(value: object, *names: str) -> object:
    """The value if it is no table or a table with exactly one of the names."""
    if isinstance(value, dict):
        found = [name for name in names if name in value]
        if len(found) > 1:
            raise Wrong(f"{quoted(found[0])} and {quoted(found[1])} are both given", expected="one of them")
        if not value:
            raise Wrong("an empty table says nothing", expected=" or ".join(f"{{ {name} = … }}" for name in names))
    return value


def distinct_keys(value: object) -> object:
    """The value, unless it is a table with the same header twice in different case."""
    if isinstance(value, dict):
        seen: set[str] = set()
        for key in value:
            if key.lower() in seen:
                raise Wrong(f"header {quoted(key.lower())} is given twice", expected="each header once")
            seen.add(key.lower())
    return value


def shorthand(value: object, name: str, expected: str) -> object:
    """A string stands for `{ name = string }`; tables pass, everything else is refused."""
    if isinstance(value, str):
        return {name: value}
    if not isinstance(value, dict):
        raise Wrong(f"{kind_of(value)} is not valid here", expected=expected)
    return value
