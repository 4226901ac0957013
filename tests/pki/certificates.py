"""Real certificates with one thing wrong each: built by `cryptography` and not by the code under test."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

NOW = 1_800_000_000.0
DOMAIN = "shop.mesh"
ORDERS = f"spiffe://{DOMAIN}/service/orders"
BOTH = (ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH)
USAGES = (
    "digital_signature",
    "content_commitment",
    "key_encipherment",
    "data_encipherment",
    "key_agreement",
    "key_cert_sign",
    "crl_sign",
    "encipher_only",
    "decipher_only",
)
# One key for all: making one costs more than everything else here.
KEY = ec.generate_private_key(ec.SECP256R1())


def leaf(
    *uris: str,
    usage: tuple[str, ...] | None = ("digital_signature",),
    extended: tuple[x509.ObjectIdentifier, ...] | None = BOTH,
    ca: bool | None = False,
    dns: tuple[str, ...] = (),
    start: float = -60,
    end: float = 3600,
    serial: int = 0xABC,
) -> bytes:
    """The DER of a self-signed certificate; `start` and `end` are seconds from NOW. None leaves an extension out."""
    at = datetime.fromtimestamp(NOW, UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
    builder = x509.CertificateBuilder(
        name, name, KEY.public_key(), serial, at + timedelta(seconds=start), at + timedelta(seconds=end)
    )
    for extension, critical in extensions(uris, dns, usage, extended, ca):
        builder = builder.add_extension(extension, critical)
    return builder.sign(KEY, hashes.SHA256()).public_bytes(serialization.Encoding.DER)


def extensions(
    uris: tuple[str, ...],
    dns: tuple[str, ...],
    usage: tuple[str, ...] | None,
    extended: tuple[x509.ObjectIdentifier, ...] | None,
    ca: bool | None,
) -> list[tuple[Any, bool]]:
    """The extensions with whether each is critical."""
    names: list[x509.GeneralName] = [x509.UniformResourceIdentifier(uri) for uri in uris]
    names += [x509.DNSName(name) for name in dns]
    found: list[tuple[Any, bool]] = [(x509.SubjectAlternativeName(names), False)] if names else []
    if usage is not None:
        found.append((x509.KeyUsage(**{name: name in usage for name in USAGES}), True))
    if extended is not None:
        found.append((x509.ExtendedKeyUsage(extended), False))
    if ca is not None:
        found.append((x509.BasicConstraints(ca=ca, path_length=None), True))
    return found
