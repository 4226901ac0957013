"""The route's response header edits, for answers the proxy makes itself on the user's behalf."""

from __future__ import annotations

from meshctl.model.route import HeaderEdits
from meshctl.proxy.shaping import dropped, fixed
from meshctl.wire.fields import Fields, without


def edit(fields: Fields, edits: HeaderEdits) -> Fields:
    """`fields` without those removed or set, then those set and added; what has variables comes with the answer."""
    return without(fields, dropped(edits)) + fixed(edits)
