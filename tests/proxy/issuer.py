"""An issuer of tokens for tests, with real keys."""

from __future__ import annotations

import json
import time
from base64 import urlsafe_b64encode
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm

NAME = "https://id.example.com"


class Issuer:
    """Issues tokens under one key at a time."""

    def __init__(self, kid: str = "k1", name: str = NAME) -> None:
        self.name = name
        self.kid = kid
        self.key = ec.generate_private_key(ec.SECP256R1())

    def __repr__(self) -> str:
        return f"<Issuer {self.name} {self.kid}>"

    @property
    def jwk(self) -> dict[str, Any]:
        """The public key."""
        found = ECAlgorithm.to_jwk(self.key.public_key(), as_dict=True)
        return found | {"kid": self.kid, "use": "sig", "alg": "ES256"}

    @property
    def jwks(self) -> bytes:
        """The document with it."""
        return json.dumps({"keys": [self.jwk]}).encode()

    def claims(self, **changes: Any) -> dict[str, Any]:
        """Good claims but for the changes; None leaves one out."""
        good = {"iss": self.name, "aud": "api", "sub": "ada", "exp": time.time() + 600, "scope": "orders:read"}
        return {name: value for name, value in (good | changes).items() if value is not None}

    def token(self, header: dict[str, Any] | None = None, **changes: Any) -> bytes:
        """A token with good claims but for the changes."""
        head = {"kid": self.kid} | (header or {})
        return jwt.encode(self.claims(**changes), self.key, "ES256", headers=head).encode()


def unsigned(header: object, payload: object, signature: bytes = b"") -> bytes:
    """A token that nobody signed."""
    parts = (json.dumps(header).encode(), json.dumps(payload).encode(), signature)
    return b".".join(urlsafe_b64encode(each).rstrip(b"=") for each in parts)
