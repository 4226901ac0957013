"""Whom does a client's certificate name? Its names as claims, for routes that ask for it, once OpenSSL has verified its
chain. It does not say whether the certificate is believed: that is a matter of who signed it.

A certificate names by its alternative names, the first of them; the common name is anybody's text and only holds where
there are none (RFC 9525 §6.3 has the same for servers).
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from typing import TYPE_CHECKING, Final

import msgspec

from meshctl.pki.peer import unreadable

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

_CALLED_BY: Final = ("dns", "email", "uri", "cn")
"""The claims that a certificate's subject may be, the first that it has."""


class Shown(msgspec.Struct, frozen=True):
    """What a client's certificate says."""

    subject: str
    """Whom it names, in a word."""
    claims: Mapping[str, object]
    until: float
    """When it ends, in seconds since the epoch."""
    signers: frozenset[bytes]
    """SHA-256 of each certificate of its chain up to the one that is trusted."""


def read(chain: list[bytes]) -> Shown:
    """What the first certificate of a verified chain says; all are DER. Raises ValueError where it cannot be read."""
    import warnings

    from cryptography import x509

    try:
        with warnings.catch_warnings():
            # A client must not be able to write to our stderr.
            warnings.simplefilter("ignore")
            return _read(x509.load_der_x509_certificate(chain[0]), chain)
    except unreadable() as error:
        raise ValueError(str(error)) from error


def _read(certificate: Certificate, chain: list[bytes]) -> Shown:
    from cryptography.x509.oid import NameOID

    fingerprint = sha256(chain[0]).hexdigest()
    names = _names(certificate)
    kinds = {"cn": NameOID.COMMON_NAME, "o": NameOID.ORGANIZATION_NAME, "ou": NameOID.ORGANIZATIONAL_UNIT_NAME}
    for claim, kind in kinds.items():
        names[claim] = [str(each.value) for each in certificate.subject.get_attributes_for_oid(kind)]
    subject = next((each for claim in _CALLED_BY for each in names[claim] if each), fingerprint)
    claims: dict[str, object] = {claim: all_[0] if len(all_) == 1 else all_ for claim, all_ in names.items() if all_}
    claims |= {"sub": subject, "serial": f"{certificate.serial_number:x}", "fingerprint": fingerprint}
    until = certificate.not_valid_after_utc.timestamp()
    return Shown(subject, claims, until, frozenset(sha256(each).digest() for each in chain))


def _names(certificate: Certificate) -> dict[str, list[str]]:
    """The alternative names by their kind."""
    from cryptography import x509

    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return {"dns": [], "email": [], "uri": []}
    return {
        "dns": found.get_values_for_type(x509.DNSName),
        "email": found.get_values_for_type(x509.RFC822Name),
        "uri": found.get_values_for_type(x509.UniformResourceIdentifier),
    }
