"""Other people's opinions of certificates: OpenSSL's strict chain building, and pkilint's reading of RFC 5280."""

from __future__ import annotations

import subprocess
from pathlib import Path

from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import Certificate, load_pem_x509_certificates


def openssl(folder: Path, chain: bytes, bundle: bytes, *options: str) -> str:
    """What `openssl verify -x509_strict` says of a leaf and its intermediates: "" where it holds."""
    certificates = load_pem_x509_certificates(chain)
    for name, content in (
        ("leaf.pem", certificates[0].public_bytes(Encoding.PEM)),
        ("rest.pem", b"".join(each.public_bytes(Encoding.PEM) for each in certificates[1:])),
        ("bundle.pem", bundle),
    ):
        (folder / name).write_bytes(content)
    rest = ("-untrusted", "rest.pem") if len(certificates) > 1 else ()
    command = ["openssl", "verify", "-x509_strict", "-no-CApath", "-no-CAstore", "-CAfile", "bundle.pem", *rest]
    done = subprocess.run([*command, *options, "leaf.pem"], cwd=folder, capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else done.stdout + done.stderr


def findings(certificate: Certificate) -> list[str]:
    """What pkilint finds wrong, or worth a notice, in one certificate."""
    from pkilint import loader
    from pkilint.pkix import certificate as pkix
    from pkilint.pkix import extension, name

    decoding = pkix.create_decoding_validators(name.ATTRIBUTE_TYPE_MAPPINGS, extension.EXTENSION_MAPPINGS)
    linter = pkix.create_pkix_certificate_validator_container(
        decoding,
        [
            pkix.create_issuer_validator_container([]),
            pkix.create_validity_validator_container(),
            pkix.create_subject_validator_container([]),
            pkix.create_extensions_validator_container([]),
            pkix.create_spki_validator_container([]),
        ],
    )
    document = loader.load_der_certificate(certificate.public_bytes(Encoding.DER), "certificate")
    return [
        f"{each.finding.severity.name} {each.finding.code} {each.message or ''}".strip()
        for result in linter.validate(document.root)
        for each in result.finding_descriptions
        if each.finding.severity.name not in ("INFO", "DEBUG")
    ]
