"""Cross-checks: what no single value shows. Names that nothing has, rules that never win, keys that exclude each other.

It sees a well-shaped document and the mesh built from it, never a file: `files` looks at certificates.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from meshctl.config import (
    checks_allow,
    checks_api,
    checks_auth,
    checks_caching,
    checks_checked,
    checks_limits,
    checks_parts,
    checks_passing,
    checks_route,
    checks_service,
    checks_start,
)
from meshctl.config.decode import Decoded
from meshctl.config.document import MESH, CertificateTable, Document, GatewayTable
from meshctl.config.problems import Finding, Path, did_you_mean, quoted
from meshctl.model.address import overlap, parse_address
from meshctl.model.mesh import Listener, Mesh

OFF = "off"


def check(decoded: Decoded, mesh: Mesh) -> list[Finding]:
    """Everything that is wrong between the values of a decoded document whose mesh is `mesh`."""
    document = decoded.document
    if document is None:
        return []
    findings = [
        *checks_route.check(decoded, document.routes or [], mesh),
        *checks_service.check(decoded, document.services or {}, mesh),
        *checks_start.check(decoded, document.services or {}, mesh),
        *checks_auth.check(decoded, document.auth or {}, document.routes or [], mesh),
        *checks_api.check(decoded, document.api or {}, document.routes or [], mesh),
        *checks_limits.check(document),
        *checks_passing.check(document),
        *checks_checked.check(document),
        *checks_caching.check(document, mesh),
        *checks_parts.check(decoded, document.routes or [], mesh),
        *checks_allow.check(decoded, document.allow or [], mesh),
        *(_gateway(document.gateway, mesh) if document.gateway else ()),
        *checks_service.lead_back(document, mesh),
        *_keys(document),
        *_issued(document),
    ]
    return [finding for finding in findings if not decoded.is_damaged(finding.path)]


def certificates(document: Document) -> Iterator[tuple[Path, CertificateTable]]:
    """Every certificate file the document names, with its key path."""
    for path, tables in _lists(document):
        yield from (((*path, number), table) for number, table in enumerate(tables) if table.certificate != MESH)


def _lists(document: Document) -> Iterator[tuple[Path, Sequence[CertificateTable]]]:
    """The certificates of each listener, and those all share."""
    gateway = document.gateway
    if gateway is None:
        return
    yield ("gateway", "tls"), gateway.tls or ()
    for index, listener in enumerate(gateway.listen or ()):
        yield ("gateway", "listen", index, "tls"), listener.tls or ()


def _gateway(table: GatewayTable, mesh: Mesh) -> Iterator[Finding]:
    yield from _listeners(mesh.gateway.listeners)
    yield from _admin(table, mesh)
    if table.tls and table.listen and all(each.tls is not None for each in table.listen):
        yield Finding(("gateway", "tls"), "has no effect: every listener has its own tls", severity="warning")


def _keys(document: Document) -> Iterator[Finding]:
    for path, table in certificates(document):
        if table.key is None:
            hint = did_you_mean(table.certificate, [MESH])
            yield Finding((*path, "key"), "missing", "the certificate's private key, a PEM file", hint)


def _issued(document: Document) -> Iterator[Finding]:
    for path, tables in _lists(document):
        for number, table in enumerate(tables):
            if table.certificate == MESH and table.key is not None:
                message, hint = "the mesh's certificate brings its own key", 'a file of that name is written "./mesh"'
                yield Finding((*path, number, "key"), message, "no key", hint)
            if table.certificate == MESH and len(tables) > 1:
                message = "the mesh's certificate is for every host that comes, so it stands alone"
                expected = 'files, or { certificate = "mesh" } and no other'
                yield Finding((*path, number, "certificate"), message, expected)


def _listeners(listeners: tuple[Listener, ...]) -> Iterator[Finding]:
    by_port: dict[int, list[Listener]] = {}
    for number, listener in enumerate(listeners):
        before = by_port.setdefault(listener.port, [])
        rival = next((each for each in before if overlap(each.host, listener.host)), None)
        if rival and listener.port:
            same = (
                "is given twice"
                if rival.address == listener.address
                else f"is already taken by {quoted(rival.address)}"
            )
            yield Finding(("gateway", "listen", number), f"{quoted(listener.address)} {same}")
        before.append(listener)


def _admin(table: GatewayTable, mesh: Mesh) -> Iterator[Finding]:
    if table.admin in (None, OFF):
        return
    host, port = parse_address(mesh.gateway.admin)
    for listener in mesh.gateway.listeners:
        if port and port == listener.port and overlap(host, listener.host):
            yield Finding(
                ("gateway", "admin"), f"{quoted(mesh.gateway.admin)} is already taken by {quoted(listener.address)}"
            )
            return
