"""The parts of a route, in the file's shape. The inverse of `build_parts`."""

from __future__ import annotations

import json
from typing import Any

from meshctl.config.render_passing import json_edits
from meshctl.model.part import Part
from meshctl.model.route import Route
from meshctl.model.units import format_duration

Table = dict[str, Any]


def parts(value: Route) -> Table:
    """What a route says of its parts; empty where it has none."""
    return {"parts": [part(each) for each in value.parts]}


def part(value: Part) -> Table:
    """One [[routes.parts]] table."""
    return {
        "name": value.name,
        "service": value.service,
        **({"version": value.version} if value.version else {}),
        "path": value.path,
        "need": {"default": json.loads(value.default)} if value.need == "default" else value.need,
        "group": value.group,
        "timeout": format_duration(value.timeout),
        "headers": list(value.headers),
        "response_body": json_edits(value.edits),
    }
