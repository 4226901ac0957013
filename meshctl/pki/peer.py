"""May this peer in? What a member of the mesh must prove beyond a chain to a trusted root, and why one did not.

OpenSSL builds and verifies the chain, but accepts as leaf what SPIFFE forbids: a CA, a key that may sign certificates,
several identities. So the leaf itself is judged here (X509-SVID §4, §5.2; RFC 5280 §4.2), before any byte of the peer's
is acted on. Must not know sockets, contexts or whom the caller expected. Fails closed: what cannot be read is refused.
"""

from __future__ import annotations

from collections.abc import Container
from typing import TYPE_CHECKING, Literal

import msgspec

from meshctl.pki.identity import service_of, split_id

if TYPE_CHECKING:
    from cryptography.x509 import Certificate, Extensions

Reason = Literal["", "peer_no_identity", "peer_foreign", "peer_expired", "peer_revoked", "peer_unfit"]
"""Why a peer is refused: no or several identities; one of another mesh; out of its time; withdrawn; a certificate that
is not for this use."""


class Verdict(msgspec.Struct, frozen=True):
    """Who a peer proved to be, or why it is refused. What is known of a refused peer is told all the same."""

    service: str = ""
    identity: str = ""
    """The SPIFFE ID: `spiffe://shop.mesh/service/orders`."""
    serial: str = ""
    """Of the certificate, in lower-case hex."""
    reason: Reason = ""
    """Empty where the peer is accepted."""
    detail: str = ""

    @property
    def is_accepted(self) -> bool:
        """Whether it may in."""
        return not self.reason


def serial_text(number: int) -> str:
    """A serial number as it is written everywhere: lower-case hex without leading zeros."""
    return f"{number:x}"


def judge(der: bytes, *, trust_domain: str, now: float, revoked: Container[str]) -> Verdict:
    """The verdict on a leaf certificate whose chain OpenSSL has verified. `revoked` holds serials as `serial_text` has
    them. Raises nothing that a certificate causes."""
    try:
        certificate, uris = _read(der)
    except unreadable() as error:
        return Verdict(reason="peer_unfit", detail=f"the certificate cannot be read: {error}")
    serial, extensions = serial_text(certificate.serial_number), certificate.extensions
    named = _named(uris, trust_domain)
    refusal = (
        (named.reason, named.detail)
        if named.reason
        else _untimely(certificate, now) or _withdrawn(serial, revoked) or _unfit(extensions)
    )
    reason, detail = refusal or ("", "")
    return Verdict(named.service, named.identity, serial, reason, detail)


def unreadable() -> tuple[type[Exception], ...]:
    """What `cryptography` raises for a certificate that it cannot read."""
    from cryptography import x509
    from cryptography.exceptions import UnsupportedAlgorithm

    return (
        ValueError,
        TypeError,
        UnsupportedAlgorithm,
        x509.DuplicateExtension,
        x509.InvalidVersion,
        x509.UnsupportedGeneralNameType,
    )


def _read(der: bytes) -> tuple[Certificate, list[str]]:
    """A certificate and its URI names. Raises what `judge` catches."""
    import warnings

    from cryptography import x509

    with warnings.catch_warnings():
        # What the library only frowns upon is checked by name below: a peer must not be able to write to our stderr.
        warnings.simplefilter("ignore")
        certificate = x509.load_der_x509_certificate(der)
        # RFC 5280 §4.1.2.2. Without this a revoked serial could come back under another sign.
        if certificate.serial_number <= 0:
            raise ValueError("its serial number is not positive")
        try:
            names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        except x509.ExtensionNotFound:
            return certificate, []
        return certificate, names.get_values_for_type(x509.UniformResourceIdentifier)


def _named(uris: list[str], trust_domain: str) -> Verdict:
    """Who the peer says it is; a reason where that is nobody of this mesh."""
    if len(uris) != 1:
        count = f"{len(uris)} URI names" if uris else "no URI name"
        return Verdict(reason="peer_no_identity", detail=f"the certificate has {count}, a SPIFFE ID is exactly one")
    uri = uris[0]
    try:
        domain, _ = split_id(uri)
        if domain != trust_domain:
            detail = f'"{uri}" is of the trust domain "{domain}", not "{trust_domain}"'
            return Verdict(identity=uri, reason="peer_foreign", detail=detail)
        return Verdict(service_of(uri, trust_domain), uri)
    except ValueError as error:
        return Verdict(identity=uri, reason="peer_no_identity", detail=f'"{uri}" is no identity of a service: {error}')


_Refusal = tuple[Reason, str] | None


def _untimely(certificate: Certificate, now: float) -> _Refusal:
    # RFC 5280 §4.1.2.5: the period includes both dates.
    start, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    if now < start.timestamp():
        return "peer_expired", f"the certificate is not valid before {start:%Y-%m-%dT%H:%M:%SZ}; check both clocks"
    if now > end.timestamp():
        return "peer_expired", f"the certificate expired at {end:%Y-%m-%dT%H:%M:%SZ}"
    return None


def _withdrawn(serial: str, revoked: Container[str]) -> _Refusal:
    return ("peer_revoked", f"the certificate {serial} is revoked") if serial in revoked else None


def _unfit(extensions: Extensions) -> _Refusal:
    """What forbids the certificate to stand for a workload (X509-SVID §4.1, §4.3, §4.4)."""
    from cryptography import x509
    from cryptography.x509.oid import ExtendedKeyUsageOID

    for each in extensions:
        value = each.value
        if isinstance(value, x509.BasicConstraints) and value.ca:
            return "peer_unfit", "the certificate is one of an authority, not of a workload"
        if isinstance(value, x509.ExtendedKeyUsage):
            both = {ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH}
            if not both <= set(value):
                return "peer_unfit", "its extended key usage is not for servers and clients both"
    return _unfit_usage(extensions)


def _unfit_usage(extensions: Extensions) -> _Refusal:
    from cryptography import x509

    try:
        usage = extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound:
        return "peer_unfit", "the certificate has no key usage"
    if usage.key_cert_sign or usage.crl_sign:
        return "peer_unfit", "its key may sign certificates or revocation lists"
    if not usage.digital_signature:
        return "peer_unfit", "its key may not make digital signatures"
    return None
