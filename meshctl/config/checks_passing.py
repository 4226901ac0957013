"""Cross-checks of what passes a route."""

from __future__ import annotations

from collections.abc import Iterator

from meshctl.config.document import Document
from meshctl.config.document_passing import CorsTable
from meshctl.config.document_route import RouteTable
from meshctl.config.problems import Finding, Path

_ANY = "*"


def check(document: Document) -> Iterator[Finding]:
    """What is wrong with it."""
    for number, table in enumerate(document.routes or ()):
        path: Path = ("routes", number)
        if table.cors is not None:
            yield from _cors((*path, "cors"), table.cors)
            yield from _edited(path, table)


def _cors(path: Path, table: CorsTable) -> Iterator[Finding]:
    if _ANY in table.origins and len(table.origins) > 1:
        yield Finding((*path, "origins", table.origins.index(_ANY)), '"*" is everybody already', '"*" alone')
    if not table.credentials:
        return
    # What the Fetch standard takes for a name then, and no page could want.
    lists = {"origins": table.origins, "methods": table.methods, "headers": table.headers, "expose": table.expose}
    for key, values in lists.items():
        if values is not None and _ANY in values:
            message = f'with credentials no browser takes "*" for {key}'
            yield Finding((*path, key, values.index(_ANY)), message, "each by name")


def _edited(path: Path, table: RouteTable) -> Iterator[Finding]:
    edits = table.response_headers
    if edits is None:
        return
    for key, names in (("set", edits.set or {}), ("add", edits.add or {})):
        for name in names:
            if name.startswith("access-control-"):
                message = "cors says it, too: browsers refuse an answer that has it twice"
                yield Finding((*path, "response_headers", key, name), message, hint="leave it to cors")
