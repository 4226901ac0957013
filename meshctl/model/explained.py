"""What becomes of a request, and why: the document of `routes explain`."""

from __future__ import annotations

import msgspec


class LoserView(msgspec.Struct, frozen=True):
    """A route that did not take the request, and why."""

    route: str
    reason: str


class ExplainView(msgspec.Struct, frozen=True):
    """Which rule takes a request and what it will meet. Without a winner `route` is empty and `reason` says what is
    answered."""

    method: str
    host: str
    path: str
    """As matched, after normalisation."""
    route: str = ""
    reason: str = ""
    match: str = ""
    target: str = ""
    forwarded: str = ""
    """The request line the endpoint would see."""
    policies: tuple[str, ...] = ()
    version: str = ""
    endpoint: str = ""
    losers: tuple[LoserView, ...] = ()
