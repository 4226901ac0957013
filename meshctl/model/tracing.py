"""Traces: what is asked for, and a span as a proxy tells of it. Must not know where spans go, nor in which words."""

from __future__ import annotations

import msgspec


class Tracing(msgspec.Struct, frozen=True):
    """Which requests are traced, and where that is told."""

    endpoint: str
    """The URL of an OTLP/HTTP receiver, without "/v1/traces"."""
    sample: float = 0.01
    """The share of the traces that begin here; whoever began one has decided about it."""
    headers_file: str = ""
    """A file with header fields that the receiver wants, a line each: "authorization: Bearer …"."""
    service_name: str = ""
    """What proxies call themselves in traces; "" is each by its service, a gateway "gateway"."""


class Span(msgspec.Struct, frozen=True, array_like=True):
    """One step of a trace. Identifiers are in lower-case hex, times in nanoseconds since the epoch."""

    trace: str
    id: str
    parent: str
    """The span that this one is part of; "" for the first of a trace."""
    state: str
    """The trace's `tracestate`."""
    name: str
    is_server: bool
    """Whether it is a request that came in, and not a try to have it answered."""
    start: int
    end: int
    failed: bool
    attributes: dict[str, str | int]


class Traced(msgspec.Struct, frozen=True, tag=True):
    """Spans that a worker tells of, and how many more it had and could not keep."""

    spans: tuple[Span, ...]
    dropped: int = 0
