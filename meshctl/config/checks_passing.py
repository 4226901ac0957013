"""Cross-checks of what passes a route."""

from __future__ import annotations

from collections.abc import Iterator

from meshctl.config.document import Document
from meshctl.config.document_passing import CorsTable
from meshctl.config.document_route import RouteTable
from meshctl.config.problems import Finding, Path, did_you_mean, one_of, quoted
from meshctl.core.path_template import names
from meshctl.core.template import Variable, variables

_ANY = "*"


def check(document: Document) -> Iterator[Finding]:
    """What is wrong with it."""
    for number, table in enumerate(document.routes or ()):
        path: Path = ("routes", number)
        if table.cors is not None:
            yield from _cors((*path, "cors"), table.cors)
            yield from _edited(path, table)
        yield from _variables(path, table)


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


def _variables(path: Path, table: RouteTable) -> Iterator[Finding]:
    """Variables that nothing stands behind: names that the route's path does not have, claims of nobody."""
    for where, said in _texts(path, table):
        for each in variables(said):
            yield from stands_for_nothing(where, table, each, 'a path such as { template = "/users/{id}" }')


def stands_for_nothing(where: Path, table: RouteTable, each: Variable, example: str) -> Iterator[Finding]:
    """A variable of a segment that the route's path does not name, or of claims that nobody has."""
    if each.kind == "path" and each.name:
        known = sorted(known_names(table))
        if each.name not in known:
            message = f"the route's path has no name {quoted(each.name)}"
            yield Finding(where, message, one_of(known) or example, did_you_mean(each.name, known))
    elif each.kind == "claim" and table.auth is None:
        message = "nobody has claims: the route does not ask who calls"
        yield Finding(where, message, hint="give the route auth", severity="warning")


def known_names(table: RouteTable) -> frozenset[str]:
    """The names that the route's path has for segments."""
    if table.path is None:
        return frozenset()
    if table.path.template is not None:
        return frozenset(names(table.path.template))
    return frozenset()


def _texts(path: Path, table: RouteTable) -> Iterator[tuple[Path, str]]:
    if table.rewrite is not None and table.rewrite.path is not None:
        yield (*path, "rewrite", "path"), table.rewrite.path
    tables = {
        "request_headers": table.request_headers,
        "response_headers": table.response_headers,
        "request_query": table.request_query,
    }
    for key, edits in tables.items():
        if edits is None:
            continue
        for name, said in (edits.set or {}).items():
            yield (*path, key, "set", name), said
        for name, values in (edits.add or {}).items():
            yield from (((*path, key, "add", name, number), said) for number, said in enumerate(values))


def _edited(path: Path, table: RouteTable) -> Iterator[Finding]:
    edits = table.response_headers
    if edits is None:
        return
    for key, given in (("set", edits.set or {}), ("add", edits.add or {})):
        for name in given:
            if name.startswith("access-control-"):
                message = "cors says it, too: browsers refuse an answer that has it twice"
                yield Finding((*path, "response_headers", key, name), message, hint="leave it to cors")
