"""TLS at both ends: the listener's certificates, chosen by SNI and reloaded when their files change, and the contexts
that verify endpoints.

A listener has one outer context that never changes; its SNI callback swaps in the current one, so a new certificate
serves the next handshake without a new socket. A pair that does not load leaves the old ones in place.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Callable
from typing import Final, NamedTuple

from meshctl.model.service import UpstreamTls

_HTTP1: Final = ["http/1.1"]


class CertificateProblem(Exception):  # noqa: N818 - it is told, not a failure of the program
    """A certificate or key file cannot be used; says which and why."""


Stamp = tuple[int, int] | None


class _ByName(NamedTuple):
    """The contexts of certificates by the names they are for."""

    names: dict[str, ssl.SSLContext]
    default: ssl.SSLContext

    def choose(self, handshake: ssl.SSLObject | ssl.SSLSocket, name: str | None, _outer: ssl.SSLContext) -> None:
        """Have a handshake show the certificate that is for `name`."""
        host = (name or "").lower()
        found = self.names.get(host) or self.names.get("*." + host.partition(".")[2])
        handshake.context = found or self.default


class ListenerTls:
    """The certificates of one listener. Raises CertificateProblem where one does not load."""

    def __init__(self, pairs: tuple[tuple[str, str], ...]) -> None:
        self._pairs = pairs
        self._seen = _stamps(pairs)
        self.shown = _loaded(pairs)
        """Another one whenever other certificates serve."""
        self.context = _server_context(*pairs[0])
        self.context.sni_callback = self._choose

    def __repr__(self) -> str:
        return f"<ListenerTls {len(self._pairs)} certificates, names {sorted(self.shown.names)}>"

    def refresh(self) -> str | None:
        """Load the files again if any changed: None when nothing did, "" when the new ones serve, else why they do
        not."""
        stamps = _stamps(self._pairs)
        if stamps == self._seen:
            return None
        self._seen = stamps
        try:
            self.shown = _loaded(self._pairs)
        except CertificateProblem as problem:
            return str(problem)
        return ""

    def adopt(self, other: ListenerTls) -> None:
        """Serve the certificates of `other` from the next handshake on."""
        self._pairs, self.shown, self._seen = other._pairs, other.shown, other._seen

    def changed(self, change: Callable[[ssl.SSLContext], None]) -> ssl.SSLContext:
        """A context that shows the certificates there are in the files now, where each that it is made of was handed to
        `change`. Raises CertificateProblem."""
        shown = _loaded(self._pairs)
        outer = _server_context(*self._pairs[0])
        for each in {outer, shown.default, *shown.names.values()}:
            change(each)
        outer.sni_callback = shown.choose
        return outer

    def _choose(self, handshake: ssl.SSLObject | ssl.SSLSocket, name: str | None, outer: ssl.SSLContext) -> None:
        self.shown.choose(handshake, name, outer)


def client_context(tls: UpstreamTls) -> ssl.SSLContext:
    """The context for HTTPS to endpoints. Raises CertificateProblem where the CA file does not load."""
    try:
        context = ssl.create_default_context(cafile=tls.ca)
    except (OSError, ssl.SSLError) as error:
        raise CertificateProblem(f'CA file "{tls.ca}" cannot be loaded: {error.strerror or error}') from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(_HTTP1)
    if not tls.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def server_context() -> ssl.SSLContext:
    """The context of a listener for clients from outside the mesh, without any certificate yet."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
    context.set_alpn_protocols(_HTTP1)
    return context


def said(error: Exception) -> str:
    """What OpenSSL or the system says of a failure."""
    return getattr(error, "reason", "") or getattr(error, "strerror", "") or str(error)


def no_password() -> str:
    """Refuses an encrypted key: without this OpenSSL would ask on the terminal and the worker would hang."""
    raise ValueError("the key is encrypted")


def _server_context(certificate: str, key: str) -> ssl.SSLContext:
    context = server_context()
    try:
        context.load_cert_chain(certificate, key, password=no_password)
    except (OSError, ssl.SSLError, ValueError) as error:
        what = f'certificate "{certificate}" with key "{key}"'
        raise CertificateProblem(f"{what} cannot be loaded: {said(error)}") from error
    return context


def _loaded(pairs: tuple[tuple[str, str], ...]) -> _ByName:
    contexts = [_server_context(*pair) for pair in pairs]
    names: dict[str, ssl.SSLContext] = {}
    if len(contexts) > 1:
        for (certificate, _), context in zip(pairs, contexts, strict=True):
            for name in _dns_names(certificate):
                names.setdefault(name, context)
    return _ByName(names, contexts[0])


def _stamps(pairs: tuple[tuple[str, str], ...]) -> list[Stamp]:
    return [stamp(path) for pair in pairs for path in pair]


def stamp(path: str | None) -> Stamp:
    """What differs once another file is there."""
    if path is None:
        return None
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ino


def _dns_names(certificate: str) -> list[str]:
    """The DNS names of the first certificate in the file, in lower case."""
    from cryptography import x509

    with open(certificate, "rb") as file:
        leaf = x509.load_pem_x509_certificate(file.read())
    try:
        names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return []
    return [name.lower() for name in names.get_values_for_type(x509.DNSName)]
