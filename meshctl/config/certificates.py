"""Whether PEM texts are a certificate and the key that fits it. It sees bytes, never a file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from meshctl.config.problems import Wrong

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
    from cryptography.x509 import Certificate

_DAY = 86400.0


def read_certificate(pem: bytes) -> Certificate:
    """The first certificate of a chain. Raises Wrong where there is none."""
    return read_certificates(pem)[0]


def read_certificates(pem: bytes) -> list[Certificate]:
    """All certificates of a PEM text. Raises Wrong where there is none."""
    from cryptography.x509 import load_pem_x509_certificates

    try:
        return load_pem_x509_certificates(pem)
    except ValueError as error:
        raise Wrong("is no PEM certificate", expected='a text with "-----BEGIN CERTIFICATE-----"') from error


def read_key(pem: bytes) -> PrivateKeyTypes:
    """The private key of a PEM text. Raises Wrong where there is none, or one under a passphrase."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        return load_pem_private_key(pem, None)
    except TypeError as error:
        raise Wrong("is encrypted", expected="a key without passphrase") from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise Wrong("is no PEM private key", expected='a text with "-----BEGIN PRIVATE KEY-----"') from error


def fits(certificate: Certificate, key: PrivateKeyTypes) -> bool:
    """Whether the certificate was issued for the key."""
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    form = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return certificate.public_key().public_bytes(*form) == key.public_key().public_bytes(*form)


def validity(certificate: Certificate, now: float) -> str:
    """What is wrong with the certificate's dates at `now` (seconds since the epoch), or nothing."""
    start, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    if now >= end.timestamp():
        return f"expired on {end:%Y-%m-%d}"
    if now < start.timestamp():
        return f"is not valid before {start:%Y-%m-%d}"
    if end.timestamp() - now < _DAY and (end - start).days > 7:
        return f"expires within a day, on {end:%Y-%m-%d}"
    return ""
