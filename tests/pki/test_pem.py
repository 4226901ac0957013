"""PEM there and back, with and without a passphrase, and what is said of what is no PEM."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from meshctl.pki import authority, pem

ROOT = authority.make_root("root", now=1_800_000_000)
OTHER = authority.make_root("root", now=1_800_000_000)
LOCKED = pem.write_key(ROOT.key, b"right")


@pytest.mark.parametrize("passphrase", [None, b"right", "pässwörd ☂".encode()])
def test_keys_come_back(passphrase: bytes | None) -> None:
    """A key is what it was after being written and read; under a passphrase the text does not hold it in clear."""
    text = pem.write_key(ROOT.key, passphrase)
    assert (b"ENCRYPTED" in text) == (passphrase is not None)
    assert pem.fits(ROOT.certificate, pem.read_key(text, passphrase))


def test_a_passphrase_that_is_not_needed_does_no_harm() -> None:
    """A key without passphrase is read whatever passphrase is given."""
    assert pem.fits(ROOT.certificate, pem.read_key(pem.write_key(ROOT.key), b"any"))


@pytest.mark.parametrize(("passphrase", "reason"), [(None, "is encrypted"), (b"wrong", "does not open")])
def test_encrypted_keys(passphrase: bytes | None, reason: str) -> None:
    """A key that needs another passphrase says so, and is told from one that is damaged."""
    with pytest.raises(pem.KeyIsEncrypted, match=reason):
        pem.read_key(LOCKED, passphrase)


@pytest.mark.parametrize(
    "text", [b"", b"\x00\xff", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", LOCKED[:60]]
)
def test_damaged_keys(text: bytes) -> None:
    """What is no key is a ValueError, with and without a passphrase."""
    for passphrase in (None, b"right"):
        with pytest.raises(ValueError, match=r"private key|encrypted|damaged"):
            pem.read_key(text, passphrase)


def test_keys_of_another_kind() -> None:
    """A key that is not on an elliptic curve is refused: the authority never made it."""
    text = ed25519.Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    with pytest.raises(ValueError, match="elliptic curve"):
        pem.read_key(text)


def test_certificates_come_back() -> None:
    """Several certificates are read in their order; a text without any is an error."""
    text = pem.write_certificates([ROOT.certificate, OTHER.certificate])
    assert pem.read_certificates(text) == [ROOT.certificate, OTHER.certificate]
    for wrong in (b"", b"nonsense", text[:100]):
        with pytest.raises(ValueError, match="no PEM certificate"):
            pem.read_certificates(wrong)


def test_who_signed_what() -> None:
    """A certificate is told to be issued by the one that signed it, not by one that merely has the same name."""
    child = authority.make_intermediate(ROOT, "child", now=1_800_000_000)
    assert pem.is_issued_by(child.certificate, [OTHER.certificate, ROOT.certificate])
    assert not pem.is_issued_by(child.certificate, [OTHER.certificate])
    assert not pem.is_issued_by(child.certificate, [])
    assert not pem.fits(child.certificate, ec.generate_private_key(ec.SECP256R1()))


def test_fingerprints_are_openssls() -> None:
    """A fingerprint is the SHA-256 of the DER, in lower-case hex."""
    from hashlib import sha256

    der = ROOT.certificate.public_bytes(serialization.Encoding.DER)
    assert pem.fingerprint(ROOT.certificate) == sha256(der).hexdigest()
