"""Cross-checks of what a route asks of requests: two that exclude each other, and documents that nothing leads to."""

from __future__ import annotations

from collections.abc import Iterator

from meshctl.config.document import Document
from meshctl.config.document_route import RouteTable
from meshctl.config.problems import Finding, Path, quoted


def check(document: Document) -> Iterator[Finding]:
    """What is wrong with it."""
    for number, table in enumerate(document.routes or ()):
        path: Path = ("routes", number)
        if table.openapi is not None and table.request_schema is not None:
            message = '"openapi" is given too, which says what bodies are'
            yield Finding((*path, "request_schema"), message, "one of openapi and request_schema")
        yield from _base((*path, "openapi", "base"), table)


def _base(path: Path, table: RouteTable) -> Iterator[Finding]:
    base = table.openapi.base if table.openapi is not None else None
    prefix = table.path.prefix if table.path is not None else None
    if base is None or prefix is None:
        return
    under, route = base.rstrip("/") + "/", prefix.rstrip("/") + "/"
    if not under.startswith(route) and not route.startswith(under):
        message = f"no path under {quoted(base)} comes to the route, whose path is {quoted(prefix)}"
        yield Finding(path, message, "the path under which clients see the API")
