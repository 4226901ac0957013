"""The keys that tokens are verified with, out of a JWK Set (RFC 7517) or a PEM text, each with the algorithms it may be
used with: a key is never used with another, whatever a token says. Pure, but loads `cryptography`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

LARGEST: Final = 1_048_576
"""Bytes of a document with keys."""
MOST: Final = 200
"""Keys that are read of one."""

_BY_CURVE: Final = {"P-256": "ES256", "P-384": "ES384", "P-521": "ES512", "Ed25519": "EdDSA"}
_RSA: Final = frozenset(("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"))
# A secret is at least as long as the hash (RFC 7518 §3.2).
_SECRET_BYTES: Final = {"HS256": 32, "HS384": 48, "HS512": 64}
_PRIVATE: Final = frozenset(("d", "p", "q", "dp", "dq", "qi", "oth"))
_LEAST_RSA_BITS: Final = 2048


class VerifyingKey(NamedTuple):
    """A key with its id ("" for none), the algorithms it may be used with, and the key as the library has it."""

    kid: str
    algorithms: frozenset[str]
    key: Any


def read_keys(document: bytes, *, with_secrets: bool) -> tuple[VerifyingKey, ...]:
    """The keys of a JWK Set, a JWK or a PEM text, those alone that may verify signatures. Secrets are only read
    `with_secrets`: in what everybody may fetch they are none. Raises ValueError where there is no key to use."""
    if len(document) > LARGEST:
        raise ValueError(f"is larger than {LARGEST} bytes")
    if document.lstrip().startswith(b"-----BEGIN"):
        return (_from_pem(document),)
    try:
        found = json.loads(document)
    except (ValueError, RecursionError) as error:
        raise ValueError("is neither a JWK Set nor a PEM public key") from error
    if isinstance(found, dict) and "kty" in found:
        found = {"keys": [found]}
    listed = found.get("keys") if isinstance(found, dict) else None
    if not isinstance(listed, list):
        raise ValueError('is no JWK Set: there is no list "keys"')
    keys = tuple(key for each in listed[:MOST] if (key := _from_jwk(each, with_secrets)) is not None)
    if not keys:
        raise ValueError("has no key that could verify a signature")
    return keys


def choose(keys: Sequence[VerifyingKey], kid: str | None, algorithm: str) -> VerifyingKey | None:
    """The key that a token names; where it names none, the only one that fits its algorithm (RFC 7515 §4.1.4). None
    where there is no such key, or it is for another algorithm."""
    fitting = [each for each in keys if algorithm in each.algorithms]
    if kid is not None:
        fitting = [each for each in fitting if each.kid == kid]
        return fitting[0] if fitting else None
    return fitting[0] if len(fitting) == 1 else None


def has_kid(keys: Sequence[VerifyingKey], kid: str | None) -> bool:
    """Whether any key has the id; where none is asked for, whether there is any key."""
    return bool(keys) if kid is None else any(each.kid == kid for each in keys)


def _from_jwk(jwk: object, with_secrets: bool) -> VerifyingKey | None:
    """A key that may verify; None for whatever else may stand in a set (RFC 7517 §5)."""
    if not isinstance(jwk, dict) or jwk.get("use", "sig") != "sig":
        return None
    operations = jwk.get("key_ops")
    if operations is not None and not (isinstance(operations, list) and "verify" in operations):
        return None
    kid = jwk.get("kid", "")
    if not isinstance(kid, str):
        return None
    try:
        algorithms, key = _material(jwk, with_secrets)
    except Exception:  # whatever the library says of a key that it cannot read, the others are none the worse for it
        return None
    own = jwk.get("alg")
    if own is not None:
        algorithms &= {"EdDSA" if own == "Ed25519" else own}
    return VerifyingKey(kid, algorithms, key) if algorithms else None


def _material(jwk: Mapping[str, Any], with_secrets: bool) -> tuple[frozenset[str], Any]:
    from jwt.algorithms import ECAlgorithm, HMACAlgorithm, OKPAlgorithm, RSAAlgorithm

    kind = jwk.get("kty")
    if kind == "oct" and with_secrets:
        secret = HMACAlgorithm.from_jwk(dict(jwk))
        return frozenset(name for name, least in _SECRET_BYTES.items() if len(secret) >= least), secret
    public = {name: value for name, value in jwk.items() if name not in _PRIVATE}
    if kind == "RSA":
        key = RSAAlgorithm.from_jwk(public)
        return (_RSA if key.key_size >= _LEAST_RSA_BITS else frozenset()), key
    curve = _BY_CURVE.get(str(jwk.get("crv")))
    if kind == "EC" and curve is not None:
        return frozenset((curve,)), ECAlgorithm.from_jwk(public)
    if kind == "OKP" and curve == "EdDSA":
        return frozenset((curve,)), OKPAlgorithm.from_jwk(public)
    return frozenset(), None


def _from_pem(text: bytes) -> VerifyingKey:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
    from cryptography.hazmat.primitives.serialization import load_pem_public_key
    from cryptography.x509 import load_pem_x509_certificate

    try:
        key: object
        if b"BEGIN CERTIFICATE" in text:
            key = load_pem_x509_certificate(text).public_key()
        else:
            key = load_pem_public_key(text)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise ValueError("is no PEM public key") from error
    if isinstance(key, rsa.RSAPublicKey) and key.key_size >= _LEAST_RSA_BITS:
        return VerifyingKey("", _RSA, key)
    if isinstance(key, ed25519.Ed25519PublicKey):
        return VerifyingKey("", frozenset(("EdDSA",)), key)
    curves = {"secp256r1": "ES256", "secp384r1": "ES384", "secp521r1": "ES512"}
    if isinstance(key, ec.EllipticCurvePublicKey) and key.curve.name in curves:
        return VerifyingKey("", frozenset((curves[key.curve.name],)), key)
    raise ValueError("is a public key that no algorithm fits")
