"""Tokens: which texts are any, which signatures are believed, and which claims hold."""

from __future__ import annotations

import hmac
import json
from base64 import urlsafe_b64encode
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshctl.config.scalars_auth import ALGORITHMS
from meshctl.core.jwk import choose, has_kid, read_keys
from meshctl.core.principal import Principal, Refused
from meshctl.core.tokens import LONGEST, BadToken, judge, read, read_json
from meshctl.core.verify import verify
from meshctl.model.auth import Jwt

VECTORS = Path(__file__).with_name("vectors") / "json_web_signature_test.json"
NOW = 1_800_000_000.0

REFUSED_THOUGH_VALID = {
    346: "the key says RS256 or PS256, the token is signed with PS384: a key is for one algorithm",
    350: "the same",
    347: 'the key says "ES521", which is no algorithm',
    351: "the same",
    372: 'there is a "?" in the base64url, which RFC 7515 §2 does not allow',
    373: "the same",
}
TAKEN_THOUGH_INVALID = {
    367: "letter for letter the token of case 357, which is valid",
    370: "the same",
}


def cases() -> list[tuple[int, dict[str, Any], Any, str]]:
    """Number, key, token and result of every Wycheproof vector."""
    found = json.loads(VECTORS.read_text())
    return [
        (case["tcId"], group.get("public") or group["private"], case["jws"], case["result"])
        for group in found["testGroups"]
        for case in group["tests"]
    ]


def is_believed(jwk: dict[str, Any], text: bytes, algorithms: tuple[str, ...] = ALGORITHMS) -> bool:
    """Whether the verifier takes the token."""
    try:
        keys = read_keys(json.dumps({"keys": [jwk]}).encode(), with_secrets=True)
    except ValueError:
        return False
    try:
        verify(read(text), keys, algorithms)
    except BadToken:
        return False
    return True


def test_wycheproof() -> None:
    """Every vector is judged as it should be, but for those that are listed with the reason."""
    wrong = set()
    for number, jwk, jws, result in cases():
        text = jws if isinstance(jws, str) else json.dumps(jws)
        if is_believed(jwk, text.encode()) != (result == "valid"):
            wrong.add(number)
    assert wrong == REFUSED_THOUGH_VALID.keys() | TAKEN_THOUGH_INVALID.keys()
    texts = {number: jws for number, _, jws, _ in cases()}
    assert texts[367] == texts[370] == texts[357]


def part(value: object) -> bytes:
    """A part of a token."""
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    return urlsafe_b64encode(data).rstrip(b"=")


def token(header: object, payload: object = b"{}", signature: bytes = b"x") -> bytes:
    """A token whose signature nobody made."""
    return b".".join((part(header), part(payload), part(signature)))


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"...",
        b"a.b",
        b"a.b.c.d",
        token({"alg": "ES256"}) + b"=",
        b" " + token({"alg": "ES256"}),
        token({"alg": "ES256"}) + b"\n",
        token([]),
        token("alg"),
        token({}),
        token({"alg": None}),
        token({"alg": ["ES256"]}),
        token({"alg": "ES256", "kid": 5}),
        token({"alg": "ES256", "crit": ["exp"]}),
        token({"alg": "ES256", "b64": False}),
        token(b'{"alg":"none","alg":"ES256"}'),
        token(b'{"alg":"ES256","x":NaN}'),
        token(b'{"alg":"ES256"'),
        token(b"\xff\xfe"),
        token(b'{"alg":"ES256","a":' + b"[" * 4000 + b"]" * 4000 + b"}"),
        b"eyJhbGciOiJFUzI1NiJ9.e30.AB",  # bits behind the last byte
        token({"alg": "ES256"}, b"x" * LONGEST),
        b"A" * 1_000_000,
    ],
    ids=lambda text: repr(text[:24]),
)
def test_no_tokens(text: bytes) -> None:
    """What is not a signed token in its one spelling is refused, and the words for it have nothing of the token."""
    with pytest.raises(BadToken) as caught:
        read(text)
    assert len(text) < 5 or text.decode("latin-1") not in str(caught.value)


@given(st.binary(max_size=80) | st.text("ey.AQgw-_=", max_size=80).map(str.encode))
def test_any_bytes(text: bytes) -> None:
    """Whatever comes, it is a token or refused."""
    try:
        found = read(text)
    except BadToken:
        return
    assert text == found.signed + b"." + part(found.signature)


@given(st.dictionaries(st.text(), st.none() | st.booleans() | st.integers() | st.text() | st.lists(st.text())))
def test_any_claims(claims: dict[str, Any]) -> None:
    """Whatever a payload claims, it is judged."""
    found = read_json(json.dumps(claims).encode())
    assert isinstance(judge(found, Jwt(), "users", NOW), Principal | Refused)


@given(
    st.fixed_dictionaries(
        {},
        optional=dict.fromkeys(
            ["exp", "nbf", "iat", "iss", "aud", "sub", "scope", "roles"],
            st.none()
            | st.booleans()
            | st.floats()
            | st.text(max_size=3)
            | st.lists(st.integers() | st.none())
            | st.just({}),
        ),
    )
)
def test_odd_claims(claims: dict[str, Any]) -> None:
    """Claims of any type are judged, and none without an expiry that is a time is accepted."""
    found = judge(claims, Jwt(issuer="i", audience=("a",)), "users", NOW)
    assert isinstance(found, Refused)


GOOD = {"iss": "i", "aud": "api", "sub": "ada", "exp": NOW + 60, "scope": "a b:c", "roles": ["x", "y z"]}


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({}, ""),
        ({"aud": ["web", "api"]}, ""),
        ({"nbf": NOW + 29}, ""),
        ({"exp": NOW - 29}, ""),
        ({"exp": int(NOW) + 5, "iat": NOW - 5, "nbf": NOW - 5}, ""),
        ({"exp": NOW - 30}, "token_expired"),
        ({"exp": NOW - 1e9}, "token_expired"),
        ({"exp": None}, "token_invalid"),
        ({"exp": "9999999999"}, "token_invalid"),
        ({"exp": True}, "token_invalid"),
        ({"exp": 1e300}, "token_invalid"),
        ({"exp": float("inf")}, "token_invalid"),
        ({"exp": -5}, "token_invalid"),
        ({"nbf": NOW + 31}, "token_invalid"),
        ({"nbf": "now"}, "token_invalid"),
        ({"iat": NOW + 31}, "token_invalid"),
        ({"iss": "j"}, "token_invalid"),
        ({"iss": ["i"]}, "token_invalid"),
        ({"iss": None}, "token_invalid"),
        ({"aud": "API"}, "token_invalid"),
        ({"aud": None}, "token_invalid"),
        ({"aud": []}, "token_invalid"),
        ({"aud": {"api": 1}}, "token_invalid"),
        ({"sub": 5}, "token_invalid"),
    ],
)
def test_claims(changes: dict[str, Any], reason: str) -> None:
    """A token holds for its audience, of its issuer, within its time and the leeway; all else has its reason."""
    config = Jwt(issuer="i", audience=("other", "api"), leeway=30.0)
    found = judge(GOOD | changes, config, "users", NOW)
    assert reason == (found.reason if isinstance(found, Refused) else "")


def test_a_principal() -> None:
    """Of a token that holds it is known who it is about, what that may, and until when."""
    found = judge(GOOD, Jwt(leeway=30.0), "users", NOW)
    assert isinstance(found, Principal)
    assert ("ada", {"a", "b:c"}, {"x", "y", "z"}, NOW + 90) == (found.subject, found.scopes, found.roles, found.until)
    other = judge(GOOD | {"scp": ["r", "s"], "realm": {"roles": "q"}}, Jwt(scopes="scp", roles="realm.roles"), "u", NOW)
    assert isinstance(other, Principal)
    assert ({"r", "s"}, {"q"}) == (other.scopes, other.roles)


# keys


def jwk_set(*keys: object) -> bytes:
    """A document with keys."""
    return json.dumps({"keys": list(keys)}).encode()


PUBLIC = {number: jwk for number, jwk, _, _ in cases() if "k" not in jwk}
EC, RSA = PUBLIC[18], PUBLIC[33]
SECRET = {"kty": "oct", "k": "A" * 43, "kid": "s"}


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"<!doctype html><title>Sign in</title>",
        b"null",
        b"[]",
        b"{}",
        b'{"keys": {}}',
        b'{"keys": []}',
        b'{"keys": [null, 5, "x", {}, {"kty": "EC"}, {"kty": "RSA", "n": 5}]}',
        jwk_set(EC | {"use": "enc"}),
        jwk_set(EC | {"key_ops": ["sign"]}),
        jwk_set(EC | {"alg": "RS256"}),
        jwk_set(EC | {"crv": "P-521"}),
        jwk_set(EC | {"x": EC["y"]}),
        jwk_set(RSA | {"n": "AQAB"}),
        jwk_set(SECRET),
        b"[" * 100_000,
        b" " * 1_100_000,
        b"-----BEGIN PUBLIC KEY-----\nnothing\n-----END PUBLIC KEY-----\n",
    ],
    ids=lambda document: repr(document[:40]),
)
def test_no_keys(document: bytes) -> None:
    """What has no key that could verify is refused as a whole."""
    with pytest.raises(ValueError, match=r"^(is|has) "):
        read_keys(document, with_secrets=False)


def test_one_bad_key_spoils_no_other() -> None:
    """Of a set, those keys are read that can be."""
    found = read_keys(jwk_set({"kty": "new"}, EC, EC | {"kid": 5}, RSA | {"use": "enc"}, SECRET), with_secrets=False)
    assert [EC["kid"]] == [each.kid for each in found]


def test_a_secret_is_long_enough() -> None:
    """A secret verifies no signature whose hash is longer than it."""
    (found,) = read_keys(jwk_set(SECRET), with_secrets=True)
    assert {"HS256"} == found.algorithms


def test_the_key_of_a_token() -> None:
    """A token's kid chooses the key, and its algorithm must be the key's; without kid there must be one that fits."""
    keys = read_keys(jwk_set(EC | {"kid": "a"}, EC | {"kid": "b"}, RSA | {"kid": "c"}), with_secrets=False)
    assert keys[1] is choose(keys, "b", "ES256")
    assert choose(keys, "b", "RS256") is None
    assert choose(keys, "d", "ES256") is None
    assert choose(keys, None, "ES256") is None
    assert keys[2] is choose(keys, None, "RS256")
    assert (has_kid(keys, "c"), has_kid(keys, "d"), has_kid(keys, None)) == (True, False, True)


def test_a_public_key_is_no_secret() -> None:
    """A token signed by HMAC with the text of a public key is not believed, whatever it says of its key."""
    signed = part({"alg": "HS256", "kid": EC["kid"]}) + b"." + part({"sub": "eve"})
    for secret in (json.dumps(EC).encode(), EC["x"].encode()):
        forged = signed + b"." + part(hmac.digest(secret, signed, "sha256"))
        assert not is_believed(EC, forged)
        assert not is_believed({name: value for name, value in EC.items() if name != "alg"}, forged)


def test_only_what_is_configured() -> None:
    """A good signature by an algorithm that the configuration does not have is not believed."""
    number, jwk, jws, _ = next(case for case in cases() if case[0] == 18)
    assert number
    assert is_believed(jwk, jws.encode(), ("ES256",))
    assert not is_believed(jwk, jws.encode(), ("RS256", "EdDSA"))
