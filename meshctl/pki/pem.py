"""Certificates and private keys as PEM text, and back. Sees bytes, never a file. Raises ValueError with the reason."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    pkcs12,
)


class KeyIsEncrypted(ValueError):  # noqa: N818 - a fact about the text, which the caller may know how to meet
    """A private key needs a passphrase, or another one than was given."""


def write_certificates(certificates: Iterable[x509.Certificate]) -> bytes:
    """The certificates, one after the other."""
    return b"".join(each.public_bytes(Encoding.PEM) for each in certificates)


def read_certificates(text: bytes) -> list[x509.Certificate]:
    """All certificates of the text, at least one."""
    try:
        return x509.load_pem_x509_certificates(text)
    except ValueError as error:
        raise ValueError("holds no PEM certificate") from error


def write_key(key: ec.EllipticCurvePrivateKey, passphrase: bytes | None = None) -> bytes:
    """The key in PKCS #8, encrypted where there is a passphrase."""
    form: KeySerializationEncryption = BestAvailableEncryption(passphrase) if passphrase else NoEncryption()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, form)


def read_key(text: bytes, passphrase: bytes | None = None) -> ec.EllipticCurvePrivateKey:
    """The key. Raises KeyIsEncrypted where it needs another passphrase."""
    is_encrypted = b"ENCRYPTED" in text
    try:
        key = load_pem_private_key(text, passphrase if is_encrypted else None)
    except TypeError as error:
        raise KeyIsEncrypted("is encrypted") from error
    except (ValueError, UnsupportedAlgorithm) as error:
        if is_encrypted and "PRIVATE KEY" in text.decode("ascii", "replace"):
            raise KeyIsEncrypted("does not open with this passphrase, or is damaged") from error
        raise ValueError("holds no PEM private key") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise ValueError("holds no elliptic curve key")
    return key


def fits(certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> bool:
    """Whether the certificate was issued for the key."""
    form = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return certificate.public_key().public_bytes(*form) == key.public_key().public_bytes(*form)


def fingerprint(certificate: x509.Certificate) -> str:
    """The SHA-256 of the certificate, in lower-case hex."""
    return certificate.fingerprint(hashes.SHA256()).hex()


def is_issued_by(certificate: x509.Certificate, issuers: Sequence[x509.Certificate]) -> bool:
    """Whether one of `issuers` has signed the certificate."""
    for issuer in issuers:
        try:
            certificate.verify_directly_issued_by(issuer)
        except (ValueError, TypeError, InvalidSignature):
            continue
        return True
    return False


def write_p12(chain: bytes, key: bytes, name: str, passphrase: bytes) -> bytes:
    """A PKCS #12 file of a chain and its key (both PEM), shown as `name` by what imports it."""
    leaf, *others = read_certificates(chain)
    lock = BestAvailableEncryption(passphrase)
    return pkcs12.serialize_key_and_certificates(name.encode(), read_key(key), leaf, others, lock)
