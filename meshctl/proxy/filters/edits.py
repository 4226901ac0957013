"""The route's response header edits, for answers the proxy makes itself on the user's behalf."""

from __future__ import annotations

from meshctl.model.route import HeaderEdits
from meshctl.wire.fields import Field, make


def edit(fields: list[Field], edits: HeaderEdits) -> list[Field]:
    """`fields` without those removed or set, then those set and added."""
    dropped = {name.lower().encode("latin-1") for name in (*edits.remove, *(name for name, _ in edits.set))}
    kept = [field for field in fields if field[0] not in dropped]
    return kept + [make(name, value) for name, value in (*edits.set, *edits.add)]
