"""Whom a worker believes over HTTPS, by what services say of that: one context for all that say the same, and another
one once the file of its authority is another. Must not know who uses them.
"""

from __future__ import annotations

import ssl
from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING

from meshctl.proxy.tls import CertificateProblem, Stamp, client_context, stamp

if TYPE_CHECKING:
    from meshctl.model.service import Service, UpstreamTls


class EndpointTls:
    """See the module."""

    def __init__(self) -> None:
        self._contexts: dict[UpstreamTls, tuple[Stamp, ssl.SSLContext]] = {}

    def __repr__(self) -> str:
        return f"<EndpointTls {len(self._contexts)} contexts>"

    def context(self, service: Service) -> ssl.SSLContext | None:
        """The context for the endpoints of `service`; None where none is spoken to over HTTPS. Raises
        CertificateProblem."""
        if not any(endpoint.tls for version in service.versions for endpoint in version.endpoints):
            return None
        found = self._contexts.get(service.tls)
        if found is None:
            # The stamp first: a file that changes in between is read once more, not never.
            seen = stamp(service.tls.ca)
            found = self._contexts[service.tls] = seen, client_context(service.tls)
        return found[1]

    def keep(self, needed: Collection[UpstreamTls]) -> None:
        """Forget all others."""
        self._contexts = {tls: found for tls, found in self._contexts.items() if tls in needed}

    def look(self) -> Iterator[tuple[UpstreamTls, ssl.SSLContext | CertificateProblem]]:
        """Those whose file has changed, with the context of now; or why there is none, and then the last one holds."""
        for tls, (seen, before) in list(self._contexts.items()):
            now = stamp(tls.ca)
            if now == seen:
                continue
            made: ssl.SSLContext | CertificateProblem
            try:
                made = client_context(tls)
            except CertificateProblem as problem:
                made = problem
            self._contexts[tls] = now, before if isinstance(made, CertificateProblem) else made
            yield tls, made
