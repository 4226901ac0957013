"""Versions of an API, in the file's shape. The inverse of `build_api`."""

from __future__ import annotations

from typing import Any

from meshctl.core.calendar import day
from meshctl.model.api import Api, ApiVersion

Table = dict[str, Any]


def apis(values: tuple[Api, ...]) -> Table:
    """The `api` table, under its key; nothing where there are none."""
    return {"api": {each.name: api(each) for each in values}} if values else {}


def api(value: Api) -> Table:
    """One [api.NAME] table."""
    table: Table = {"by": {value.by.kind: value.by.value}}
    if value.default is not None:
        table["default"] = value.default
    if value.by.kind == "path":
        table["strip"] = value.strip
    table["enforce_sunset"] = value.enforce_sunset
    return table | {"versions": {each.name: api_version(each) for each in value.versions}}


def api_version(value: ApiVersion) -> Table:
    """One [api.NAME.versions.VERSION] table."""
    table: Table = {
        "aliases": list(value.aliases),
        "service": value.service,
        "version": value.version,
        "prefix": value.prefix,
        "deprecated": value.deprecated is not None and moment(value.deprecated),
        "sunset": value.sunset is not None and moment(value.sunset),
        "link": value.link,
    }
    return {key: each for key, each in table.items() if each}


def moment(seconds: float) -> str:
    """A moment as a date where it begins one in UTC, else with its time.

    >>> moment(1782777600.0), moment(1782777601.0)
    ('2026-06-30', '2026-06-30T00:00:01Z')
    """
    minutes, second = divmod(int(seconds) % 86_400, 60)
    time = f"T{minutes // 60:02}:{minutes % 60:02}:{second:02}Z" if minutes or second else ""
    return day(seconds).name + time
