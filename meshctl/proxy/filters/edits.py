"""The route's response header edits, for answers the proxy makes itself on the user's behalf."""

from __future__ import annotations

from meshctl.model.route import HeaderEdits
from meshctl.wire.fields import Fields, make, without


def edit(fields: Fields, edits: HeaderEdits) -> Fields:
    """`fields` without those removed or set, then those set and added."""
    dropped = {name.lower().encode("latin-1") for name in (*edits.remove, *(name for name, _ in edits.set))}
    return without(fields, dropped) + make(*(text for pair in (*edits.set, *edits.add) for text in pair))
