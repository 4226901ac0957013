"""Cross-checks of how much callers may have: names that are given twice, and counts of what nobody can know."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from meshctl.config.document import Document
from meshctl.config.document_limits import QuotaTable, RateLimitTable
from meshctl.config.document_route import RouteTable
from meshctl.config.problems import Finding, Path, quoted

_NEEDS_AUTH = ("key", "claim")


def check(document: Document) -> Iterator[Finding]:
    """What is wrong with limits, quotas and address lists."""
    for number, table in enumerate(document.routes or ()):
        path: Path = ("routes", number)
        yield from _names(path, table)
        yield from _keys(path, table)
        if table.service is None and table.parts is None:
            for name in ("response_bytes", "bandwidth"):
                if name in table.model_fields_set:
                    message = "has no effect: only what a service answers is limited"
                    yield Finding((*path, name), message, severity="warning")


def _names(path: Path, table: RouteTable) -> Iterator[Finding]:
    first: set[str] = set()
    for where, each in _limits(path, table):
        if each.name is None:
            continue
        if each.name in first:
            message = f"{quoted(each.name)} is already the name of a limit of this route"
            yield Finding((*where, "name"), message, "a name that no other limit of the route has")
        first.add(each.name)


def _keys(path: Path, table: RouteTable) -> Iterator[Finding]:
    if table.auth is not None:
        return
    for where, each in _limits(path, table):
        for kind in _NEEDS_AUTH:
            if each.by is not None and getattr(each.by, kind) is not None:
                message = f"nobody has a {kind}: the route does not ask who calls, so all share one count"
                yield Finding((*where, "by"), message, hint="give the route auth", severity="warning")


def _limits(path: Path, table: RouteTable) -> Iterator[tuple[Path, RateLimitTable | QuotaTable]]:
    groups: tuple[tuple[str, Sequence[RateLimitTable | QuotaTable]], ...] = (
        ("rate_limits", table.rate_limits or ()),
        ("quotas", table.quotas or ()),
    )
    for key, tables in groups:
        yield from (((*path, key, number), each) for number, each in enumerate(tables))
