"""Live weights: the shares of a service's versions that hold in the place of the file's, and how they came to be.

Under `traffic/weights/<service>` in the store stands what holds now with the states before it, under
`traffic/history/<service>/<number>` each change that was made. Neither ever reaches mesh.toml.
"""

from __future__ import annotations

import msgspec

Shares = dict[str, float]
"""Weights by version, in percent; empty means those of the file."""


class State(msgspec.Struct, frozen=True):
    """Weights, who set them, when (seconds since the epoch) and by what: "shift v2=10", "rollback of promote v3"."""

    weights: Shares
    who: str = ""
    at: float = 0.0
    what: str = ""
    origin: str = ""
    """What led to these weights at first: the `what` of a change, not of the rollback that brought them back. It is
    what the next rollback undoes."""


class LiveWeights(msgspec.Struct, frozen=True):
    """What holds for a service now, and the states before it, the latest last: `rollback` goes back through them."""

    service: str
    number: int
    """How many changes were made so far."""
    now: State
    before: tuple[State, ...] = ()


class Shift(msgspec.Struct, frozen=True):
    """One change of a service's weights, as `traffic history` shows it. Weights are those in effect, in percent."""

    service: str
    number: int
    at: float
    who: str
    what: str
    before: Shares
    after: Shares
