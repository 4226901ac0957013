"""How the mesh's certificates are made: a root, an intermediate, leaves for workloads and for servers. Nothing else: no
file, no store, no clock; the caller gives `now` in seconds since the epoch.

    root (10 years) ──signs──▶ intermediate (1 year, pathlen 0) ──signs──▶ workload (24 h), server (as long as asked)

All keys are ECDSA on P-256. A leaf never outlives its issuer. Workloads are X.509-SVIDs (SPIFFE X509-SVID §2-§4).
Neither root nor intermediate carries the trust domain as an identity: the mesh may change it without a new root.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from meshctl import clock
from meshctl.model.names import check_host_pattern
from meshctl.pki.identity import mesh_names, spiffe_id

DAY: Final = 86400.0
ROOT_LIFE: Final = 3650 * DAY
INTERMEDIATE_LIFE: Final = 365 * DAY
WORKLOAD_LIFE: Final = DAY
BACKDATED: Final = 600.0
"""Seconds before `now` that everything is valid from: a peer whose clock is late must not refuse what is new."""

# RFC 5280 appendix A.1: ub-common-name.
_LONGEST_NAME: Final = 64
_CRITICAL: Final = True
_CLIENT: Final = ExtendedKeyUsageOID.CLIENT_AUTH
_SERVER: Final = ExtendedKeyUsageOID.SERVER_AUTH

Extension = tuple[x509.ExtensionType, bool]


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate and its private key. Its `repr` tells nothing of the key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    def __repr__(self) -> str:
        return f"<Pair {self.certificate.subject.rfc4514_string()}>"


def new_key() -> ec.EllipticCurvePrivateKey:
    """A new private key."""
    return ec.generate_private_key(ec.SECP256R1())


def make_root(name: str, *, now: float) -> Pair:
    """A new self-signed root called `name`."""
    key = new_key()
    extensions = [
        (x509.BasicConstraints(ca=True, path_length=1), _CRITICAL),
        (_usage("key_cert_sign", "crl_sign"), _CRITICAL),
    ]
    subject = _subject(name)
    certificate = _signed(key, subject, key.public_key(), subject, now, now + ROOT_LIFE, extensions)
    return Pair(certificate, key)


def make_intermediate(root: Pair, name: str, *, now: float, key: ec.EllipticCurvePrivateKey | None = None) -> Pair:
    """An intermediate called `name` that may sign leaves and nothing else; with `key`, that one goes on being used."""
    key = key or new_key()
    extensions = [
        (x509.BasicConstraints(ca=True, path_length=0), _CRITICAL),
        (_usage("key_cert_sign", "crl_sign"), _CRITICAL),
    ]
    certificate = _issued(root, key.public_key(), _subject(name), now, INTERMEDIATE_LIFE, extensions)
    return Pair(certificate, key)


def make_workload(issuer: Pair, service: str, trust_domain: str, *, now: float) -> Pair:
    """An X.509-SVID for a service of the mesh, with a new key."""
    key = new_key()
    names: list[x509.GeneralName] = [x509.UniformResourceIdentifier(spiffe_id(trust_domain, service))]
    names += [x509.DNSName(name) for name in mesh_names(service, trust_domain)]
    extensions = _leaf_extensions(names, [_SERVER, _CLIENT])
    return Pair(_issued(issuer, key.public_key(), _subject(service), now, WORKLOAD_LIFE, extensions), key)


def make_server(issuer: Pair, hosts: Sequence[str], *, now: float, life: float, is_client: bool = False) -> Pair:
    """A certificate for host names, "*.host" and addresses, with a new key; with `is_client` good for clients too.

    Raises ValueError where there is none, or one is no host."""
    if not hosts:
        raise ValueError("a certificate needs at least one host")
    key = new_key()
    names = [_host_name(host) for host in dict.fromkeys(hosts)]
    extensions = _leaf_extensions(names, [_SERVER, *([_CLIENT] if is_client else [])])
    return Pair(_issued(issuer, key.public_key(), _subject(hosts[0]), now, life, extensions), key)


def _host_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(host.strip("[]")))
    except ValueError:
        return x509.DNSName(check_host_pattern(host))


def _leaf_extensions(
    names: Iterable[x509.GeneralName], purposes: Iterable[x509.ObjectIdentifier]
) -> list[tuple[Any, bool]]:
    return [
        (x509.BasicConstraints(ca=False, path_length=None), _CRITICAL),
        (_usage("digital_signature"), _CRITICAL),
        (x509.ExtendedKeyUsage(purposes), not _CRITICAL),
        (x509.SubjectAlternativeName(names), not _CRITICAL),
    ]


def _issued(
    issuer: Pair,
    public: ec.EllipticCurvePublicKey,
    subject: x509.Name,
    now: float,
    life: float,
    extensions: Iterable[Extension],
) -> x509.Certificate:
    """A certificate signed by `issuer`, which it does not outlive."""
    ca = issuer.certificate
    end = min(now + life, ca.not_valid_after_utc.timestamp())
    known = ca.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    # With its issuer's identifier a chain is found even where an old and a new issuer have one name.
    identifier = x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(known)
    return _signed(issuer.key, ca.subject, public, subject, now, end, [*extensions, (identifier, not _CRITICAL)])


def _signed(
    signer: ec.EllipticCurvePrivateKey,
    issuer: x509.Name,
    public: ec.EllipticCurvePublicKey,
    subject: x509.Name,
    now: float,
    end: float,
    extensions: Iterable[Extension],
) -> x509.Certificate:
    builder = x509.CertificateBuilder(
        issuer_name=issuer,
        subject_name=subject,
        public_key=public,
        serial_number=x509.random_serial_number(),
        not_valid_before=clock.utc(now - BACKDATED),
        not_valid_after=clock.utc(end),
    )
    for extension, is_critical in extensions:
        builder = builder.add_extension(extension, is_critical)
    builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(public), not _CRITICAL)
    return builder.sign(signer, hashes.SHA256())


def _subject(name: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "meshctl"),
            x509.NameAttribute(NameOID.COMMON_NAME, name[:_LONGEST_NAME]),
        ]
    )


def _usage(*granted: str) -> x509.KeyUsage:
    every = (
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
    return x509.KeyUsage(**{name: name in granted for name in every})
