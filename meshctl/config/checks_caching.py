"""Cross-checks of what is kept of answers: nobody may be given what was meant for somebody else."""

from __future__ import annotations

from collections.abc import Iterator

from meshctl.config.document import Document
from meshctl.config.document_route import RouteTable
from meshctl.config.problems import Finding, Path
from meshctl.core.template import variables
from meshctl.model.mesh import Mesh
from meshctl.model.units import format_size


def check(document: Document, mesh: Mesh) -> Iterator[Finding]:
    """What is wrong with it."""
    for number, (table, route) in enumerate(zip(document.routes or (), mesh.routes, strict=True)):
        if table.cache is None or route.cache is None:
            continue
        path: Path = ("routes", number, "cache")
        if table.auth is not None and table.cache.callers is None:
            expected = 'callers = "each" or "all"'
            hint = '"each" keeps answers for each caller alone, "all" gives them to all whom auth and require let in'
            yield Finding(path, "the route asks who calls: it must say whose the answers are", expected, hint)
        if table.auth is not None and table.cache.callers == "anonymous":
            message = "has no effect: the route asks who calls, so nobody is anonymous"
            yield Finding((*path, "callers"), message, 'callers = "each" or "all"')
        if route.cache.largest > mesh.gateway.cache_bytes // 2:
            most = format_size(mesh.gateway.cache_bytes // 2)
            message = f"no body longer than {most} is kept: that is half of gateway.cache_bytes"
            yield Finding((*path, "largest") if table.cache.largest is not None else path, message, severity="warning")
        yield from _unrepeatable((*path[:2],), table)


def _unrepeatable(path: Path, table: RouteTable) -> Iterator[Finding]:
    """Edits that make each request another one."""
    if table.cache is None or table.cache.callers == "all":
        return
    for key, edits in (("request_headers", table.request_headers), ("request_query", table.request_query)):
        for name, said in ((edits.set if edits else None) or {}).items():
            if any(each.kind == "request_id" for each in variables(said)):
                message = "no request is like another one, so none is answered from the cache"
                yield Finding((*path, key, "set", name), message, hint='or callers = "all"', severity="warning")
