"""An issuer of tokens for tests, with real keys."""

from __future__ import annotations

import hmac
import json
import time
from base64 import urlsafe_b64encode
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm

NAME = "https://id.example.com"
API_KEY = b"mk_00000001_" + b"k" * 43


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


def bad_tokens(issuer: Issuer) -> dict[str, tuple[bytes, str]]:
    """Tokens with one thing wrong each, and the reason."""
    stranger = Issuer(issuer.kid)
    good = issuer.token()
    head, payload, signature = good.split(b".")
    now = time.time()
    public = issuer.jwks
    forged = unsigned({"alg": "HS256", "kid": issuer.kid}, issuer.claims()).rsplit(b".", 1)[0]
    return {
        "garbage": (b"garbage", "token_invalid"),
        "dots": (b"..", "token_invalid"),
        "a megabyte in the head's limit": (b"A" * 40_000, "token_invalid"),
        "expired": (issuer.token(exp=now - 60), "token_expired"),
        "no expiry": (issuer.token(exp=None), "token_invalid"),
        "not yet": (issuer.token(nbf=now + 600), "token_invalid"),
        "from the future": (issuer.token(iat=now + 600), "token_invalid"),
        "another audience": (issuer.token(aud="web"), "token_invalid"),
        "no audience": (issuer.token(aud=None), "token_invalid"),
        "another issuer": (issuer.token(iss="https://evil.example.com"), "token_invalid"),
        "no issuer": (issuer.token(iss=None), "token_invalid"),
        "another key of that name": (stranger.token(), "token_invalid"),
        "an unknown key": (issuer.token({"kid": "nope"}), "token_invalid"),
        "its own key": (stranger.token({"jwk": stranger.jwk}), "token_invalid"),
        "a URL for its key": (stranger.token({"jku": "http://127.0.0.1:9/", "kid": "x"}), "token_invalid"),
        "none": (unsigned({"alg": "none"}, issuer.claims()), "token_invalid"),
        "None with a signature": (unsigned({"alg": "nOnE", "kid": issuer.kid}, issuer.claims(), b"x"), "token_invalid"),
        "none over a good one": (unsigned({"alg": "none"}, {})[:-1] + b"." + signature, "token_invalid"),
        "a secret made of the public key": (
            forged + b"." + urlsafe_b64encode(hmac.digest(public, forged, "sha256")).rstrip(b"="),
            "token_invalid",
        ),
        "another payload": (head + b"." + unsigned({}, issuer.claims(sub="eve")).split(b".")[1] + b"." + signature,
                            "token_invalid"),
        "no signature": (head + b"." + payload + b".", "token_invalid"),
        "zeros": (head + b"." + payload + b"." + b"A" * 86, "token_invalid"),
        "critical": (issuer.token({"crit": ["exp"]}), "token_invalid"),
        "padded": (good + b"==", "token_invalid"),
        "an API key": (API_KEY, "token_invalid"),
    }  # fmt: skip
